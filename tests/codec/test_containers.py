from __future__ import annotations

import io
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.codec.containers import FileBytes, cut_short, ffmpeg_errors
from mmdata.codec.demuxers import DEMUXERS, open_container
from mmdata.codec.sniff import media_type
from mmdata.errors import DecodeError, MissingExtra
from mmdata.testing.sounds import tone

if TYPE_CHECKING:
    from av.audio.stream import AudioStream

Made = dict[str, bytes]
SIZED = ("mkv", "webm", "avi", "mov", "mp4", "sound.mp4")


def test_whole_files_are_not_called_cut_short(sounds: Made, films: Made) -> None:
    every = [*sounds.values(), *films.values()]
    assert {cut_short(data, media_type(data)) for data in every} == {None}


def test_files_are_judged_as_their_bytes_are(sounds: Made, films: Made) -> None:
    for data in (*sounds.values(), *films.values()):
        kind = media_type(data)
        if kind == "audio/mpeg":
            continue  # sounds are held in memory
        for size in (len(data), len(data) - 1, len(data) * 2 // 3, 40, 9, 0):
            assert cut_short(FileBytes(io.BytesIO(data[:size])), kind) == cut_short(data[:size], kind), (kind, size)


def test_the_last_page_is_found_however_far_it_is_from_the_end() -> None:
    page = b"OggS\0\4" + bytes(20) + b"\1\5hello"
    assert cut_short(page + bytes(3_000_000), "video/ogg") is None
    assert cut_short(FileBytes(io.BytesIO(bytes(1 << 20) + page + bytes((1 << 20) - 2))), "video/ogg") is None


@pytest.mark.parametrize("name", SIZED)
def test_a_film_cut_anywhere_past_its_head_is_told(films: Made, name: str) -> None:
    data = films[name]
    kind = media_type(data)
    end = data.index(b"idx1") if name == "avi" else len(data)  # an index that is gone takes no frame along
    for size in range(64, end, 97):
        assert cut_short(data[:size], kind), size


def test_what_is_missing_is_counted() -> None:
    assert cut_short(b"\0\0\0\x10ftypisom\0\0\0\0\0\0\1\0mdat1234", "video/mp4") == "its mdat box of 256 bytes has 12"
    assert cut_short(b"\0\0\0\x10ftypisom\0\0\0\0", "video/mp4") == (
        "it has no moov box, which says where its frames lie"
    )
    assert cut_short(b"\0\0\0\x04ftyp", "video/mp4") == "its box at byte 0 has a size of 4"


def test_a_header_that_is_longer_than_the_file_is_cut_short() -> None:
    head = b".snd" + (0xFFFFFFF0).to_bytes(4, "big") * 2 + bytes(12)
    assert cut_short(head, "audio/basic") == "its header of 4,294,967,280 bytes has 24"


def test_a_live_matroska_of_unknown_size_is_not_cut_short() -> None:
    head = b"\x1a\x45\xdf\xa3\x80"
    assert cut_short(head + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + b"abc", "video/webm") is None
    assert cut_short(head + b"\x18\x53\x80\x67\x84abc", "video/webm") == "its Segment of 4 bytes has 3"
    assert cut_short(head + b"\x18\x53\x80\x67\x83abc", "video/webm") is None
    assert cut_short(head + b"nothing of the kind", "video/webm") == "it has no Segment"


def test_an_ogg_page_must_be_whole_and_the_last() -> None:
    page = b"OggS\0\4" + bytes(20) + b"\1\3abc"
    assert cut_short(page, "audio/ogg") is None
    assert cut_short(page[:-1], "audio/ogg") == "its last page of 31 bytes has 30"
    assert cut_short(page.replace(b"\4", b"\0"), "audio/ogg") == "its last page is not marked as the end"


@given(st.sampled_from(sorted(DEMUXERS)), st.binary(max_size=100))
def test_any_bytes_have_an_answer(kind: str, data: bytes) -> None:
    assert cut_short(data, kind) is None or cut_short(data, kind)


def _frames_in(data: bytes, kind: str) -> int:
    try:
        with ffmpeg_errors(), open_container(data, kind) as container:
            return sum(1 for _ in container.decode())
    except DecodeError:
        return 0


@pytest.mark.parametrize(
    "head", ["#EXTM3U\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile '{url}'\n"]
)
def test_a_play_list_is_never_followed(head: str, tmp_path: Path) -> None:
    """Left to guess the format, FFmpeg would open what these name."""
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        for url in (f"http://127.0.0.1:{server.getsockname()[1]}/a.ts", f"{tmp_path}/secret.wav"):
            data = head.format(url=url).encode()
            assert media_type(data) not in DEMUXERS
            for kind in ("video/mp4", "video/mp2t", "audio/mpeg"):
                assert _frames_in(data, kind) == 0
        with pytest.raises(TimeoutError):
            server.accept()


def test_every_frame_of_an_mp3_is_walked(sounds: Made) -> None:
    data = sounds["mp3"]
    assert cut_short(data[:-1], "audio/mpeg") is not None
    assert cut_short(data + b"TAG" + bytes(125), "audio/mpeg") is None
    assert cut_short(data + bytes(99), "audio/mpeg") is None
    assert cut_short(b"ID3\4\0\0\0\0\1\2" + bytes(130) + data, "audio/mpeg") is None
    assert cut_short(b"ID3\4\0\0\0\0\1\2" + bytes(130), "audio/mpeg") == "it has no frame"
    half = len(data) // 2
    fault = cut_short(data[:half] + b"?" + data[half:], "audio/mpeg")
    assert fault is not None
    assert "no frame begins" in fault


@pytest.mark.parametrize(
    ("rate_hz", "codec"), [(44100, "libmp3lame"), (22050, "libmp3lame"), (11025, "libmp3lame"), (48000, "mp2")]
)
def test_mpeg_frames_of_every_version_are_measured(rate_hz: int, codec: str) -> None:
    import av

    if codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg has no {codec}")
    file = io.BytesIO()
    sound = tone(0.5, rate_hz=rate_hz)
    with av.open(file, "w", format=codec.removeprefix("lib").removesuffix("lame")) as container:
        stream = cast("AudioStream", container.add_stream(codec, rate=rate_hz, layout="mono"))
        frame = av.AudioFrame.from_ndarray(sound.samples, format="fltp", layout="mono")
        frame.rate, frame.pts = rate_hz, 0
        for part in av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate_hz).resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    data = file.getvalue()
    assert len(data) > 1000
    assert cut_short(data, "audio/mpeg") is None
    assert cut_short(data[:-1], "audio/mpeg") is not None


def test_without_ffmpeg_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtra, match=r"pip install 'mmdata\[video\]'"), ffmpeg_errors():
        pass
