"""Parts in small: what is seen and heard of each kind, and what is said where nothing can be."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from mmdata.codec.mp3 import RATES_HZ, mp3_bytes
from mmdata.core.sample import Image, Pointer
from mmdata.errors import DataError
from mmdata.report.previews import Size, envelope, preview, previews, small
from mmdata.store.read import StoredBlob
from mmdata.testing.build import flac_bytes, jpeg_bytes, moving_shapes, mp4_bytes, picture, tone


def blob(data: bytes, kind: str, name: str = "x") -> StoredBlob:
    return StoredBlob(Pointer(name, 0, len(data)), len(data), lambda: data, name, kind=kind)


def test_a_picture_is_made_small_and_never_large() -> None:
    found = preview("image", blob(jpeg_bytes(picture(400, 200)), "image"), Size(px=100))
    (still,) = found.stills
    assert (still.width, still.height, still.data[8:12]) == (100, 50, b"WEBP")
    (still,) = preview("image", blob(jpeg_bytes(picture(40, 20)), "image"), Size(px=100)).stills
    assert (still.width, still.height) == (40, 20)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright(orientation: int) -> None:
    from mmdata.codec.image.decode import opencv
    from mmdata.codec.image.encode import png_bytes

    cv2 = opencv()
    pixels = picture(32, 16, kind="gradient").pixels
    upright = cv2.cvtColor(
        cv2.imdecode(np.frombuffer(png_bytes(Image(pixels, orientation)), np.uint8), cv2.IMREAD_COLOR),
        cv2.COLOR_BGR2RGB,
    )
    still = small(Image(pixels, orientation), 64, 100)
    shown = cv2.cvtColor(cv2.imdecode(np.frombuffer(still.data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert shown.shape == upright.shape
    assert np.abs(shown.astype(int) - upright).mean() < 6  # WebP is lossy, and halves colour


def test_a_sound_is_cut_short_brought_down_and_playable() -> None:
    import soundfile

    found = preview("speech", blob(flac_bytes(tone(seconds=3, rate_hz=44100)), "audio"), Size(sound_s=1, rate_hz=16000))
    heard, rate_hz = soundfile.read(io.BytesIO(found.sound))
    assert rate_hz == 16000
    assert (found.sound_s, found.duration_s) == (1, 3)
    assert len(heard) == pytest.approx(16000, abs=2400)  # MP3 pads by whole frames
    assert found.sound_uri.startswith("data:audio/mpeg;base64,")
    assert len(found.sound) < 12_000
    assert preview("speech", blob(flac_bytes(tone(seconds=1)), "audio"), Size(sound_s=0)).sound == b""


def test_mp3_is_made_at_its_own_rates_only() -> None:
    for rate_hz in RATES_HZ:
        assert mp3_bytes(np.array([0, np.nan, np.inf, -9], np.float32).repeat(1000), rate_hz)
    with pytest.raises(DataError, match="not 96000"):
        mp3_bytes(np.zeros(10, np.float32), 96000)


def test_an_envelope_holds_the_extremes_of_each_stretch() -> None:
    wave = np.arange(1000, dtype=np.float32)
    found = envelope(wave, bins=10)
    assert found.tolist() == [[100 * at, 100 * at + 99] for at in range(10)]
    assert envelope(wave[:3], bins=10).shape == (3, 2)
    assert envelope(wave[:0]).shape == (0, 2)


def test_a_film_is_shown_by_stills_over_all_of_it_decoded_once() -> None:
    frames, _ = moving_shapes(n_frames=24)
    film = blob(mp4_bytes(frames, 8), "video")
    kept: dict[str, list[object]] = {}
    found = preview("film", film, Size(n_stills=6), kept)  # type: ignore[arg-type]
    times = [still.time_s or 0.0 for still in found.stills]
    assert len(times) == 6
    assert times[0] == 0
    assert times[-1] > 2
    assert found.duration_s == pytest.approx(3, abs=0.2)
    kept["x#bytes=0-" + str(film.size)] = []
    assert preview("film", film, Size(n_stills=3), kept).stills == []  # type: ignore[arg-type]
    assert [still.time_s for still in preview("film", film, Size(n_stills=1)).stills] == [0]


def test_captions_are_listed_with_their_times() -> None:
    data = b"WEBVTT\n\n00:00.500 --> 00:02.000\nHello <b>you</b>\n\n00:03.000 --> 00:04.000\nBye\n"
    found = preview("captions", blob(data, "captions"), Size())
    assert [cue[:2] for cue in found.cues] == [(0.5, 2.0), (3.0, 4.0)]
    assert found.text.startswith("0.5\u20132 s  Hello you\n3\u20134 s  Bye")


def test_a_long_text_is_cut() -> None:
    found = preview("text", blob(b"abcdef", "text"), Size(characters=3))
    assert (found.text, found.cut, found.about) == ("abc", True, "6 characters")


@pytest.mark.parametrize("kind", ["image", "audio", "video", "captions", "frames", "text"])
@pytest.mark.parametrize("data", [b"", b"\xff\x00" * 40])
def test_what_can_not_be_shown_says_why(kind: str, data: bytes) -> None:
    found = preview("part", blob(data, kind), Size())
    assert found.fault or not (found.stills or found.sound or found.text)
    assert found.fault or kind in ("text", "captions")


def test_what_is_far_too_large_or_elsewhere_is_not_read() -> None:
    def unread() -> bytes:
        raise AssertionError

    found = preview("film", StoredBlob(Pointer("x"), 1 << 40, unread, "x", kind="video"), Size())
    assert "64 MiB" in found.fault
    assert [each.name for each in previews({"a": blob(b"1", "blob"), "b": blob(b"2", "array")}, Size())] == ["a", "b"]


def test_bytes_that_no_step_looked_into_are_shown_as_what_they_are() -> None:
    sound = preview("speech", blob(flac_bytes(tone(seconds=1)), "blob", "key.speech.flac"), Size())
    assert (sound.kind, sound.fault, sound.duration_s) == ("audio", "", 1.0)
    assert sound.sound
    shown = preview("image", blob(jpeg_bytes(picture(40, 20)), "blob", "key.image.jpg"), Size())
    assert (shown.kind, len(shown.stills)) == ("image", 1)
    unknown = preview("page", blob(b"<html>", "blob", "key.page.html"), Size())
    assert (unknown.kind, unknown.text, unknown.stills, unknown.fault) == ("blob", "", (), "")


def test_what_needs_a_package_says_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = blob(flac_bytes(tone(0.1)), "audio")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    fault = "not shown: needs soundfile; install it with: pip install 'mmdata[audio]'"
    assert preview("audio", shown, Size()).fault == fault
