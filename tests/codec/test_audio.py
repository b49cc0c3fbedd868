from __future__ import annotations

import io
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mmdata.codec.audio import DecodeAudio
from mmdata.core.sample import Audio, Blob
from mmdata.errors import DecodeError
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.films import moving_shapes
from mmdata.testing.media import flac_bytes, mp4_bytes, ogg_bytes, wav_bytes
from mmdata.testing.sounds import noise, silence, tone

Made = dict[str, bytes]
CUT_TELLS = (
    *("wav", "24.wav", "float.wav", "rf64", "w64", "flac", "wv", "tta", "ogg", "opus", "aiff", "au", "caf", "m4a"),
    *("alac.m4a", "webm", "mp3"),
)


class TestDecodeAudio(StepContract):
    @pytest.fixture(params=["wav", "ogg"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        sound = tone(0.2)
        value = Blob.of(wav_bytes(sound) if request.param == "wav" else ogg_bytes(sound))
        return Case(DecodeAudio(), value)


def decoded(data: bytes, **settings: Any) -> Audio:
    return DecodeAudio(**settings).map(Blob.of(data))


def test_every_format_gives_the_tone(sounds: Made) -> None:
    """Half a second of 440 Hz in two channels: the loudest frequency is that, the level within 1 dB."""
    for name, data in sounds.items():
        audio = decoded(data)
        assert audio.samples.dtype == np.float32, name
        assert audio.samples.flags.c_contiguous, name
        assert len(audio.samples) == 2, name
        middle = audio.samples[0, audio.n_samples // 4 : 3 * audio.n_samples // 4]
        spectrum = np.abs(np.fft.rfft(middle))
        assert abs(spectrum.argmax() * audio.rate_hz / len(middle) - 440) < 5, name
        assert 0.45 < np.abs(middle).max() < 0.57, name
        assert 0.49 < audio.duration_s < 0.65, name
        assert audio.origin is not None, name


@pytest.mark.parametrize("name", ["wav", "24.wav", "float.wav", "flac", "aiff", "au", "caf", "rf64"])
def test_lossless_formats_give_each_sample(sounds: Made, name: str) -> None:
    audio = decoded(sounds[name])
    expected = tone(0.5, channels=2).samples
    assert audio.samples.shape == expected.shape
    assert np.abs(audio.samples - expected).max() <= (0 if name == "float.wav" else 1 / 32768)


@pytest.mark.parametrize("name", CUT_TELLS)
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_what_is_cut_short_is_refused(sounds: Made, name: str, share: float) -> None:
    data = sounds[name]
    with pytest.raises(DecodeError, match=r"cut short|damaged|can't decode"):
        decoded(data[: int(len(data) * share)])


@pytest.mark.parametrize("name", ["wav", "flac", "ogg", "opus", "aiff", "caf", "m4a", "wv", "w64"])
def test_one_byte_less_is_cut_short(sounds: Made, name: str) -> None:
    with pytest.raises(DecodeError, match=r"cut short|damaged"):
        decoded(sounds[name][:-1])


@pytest.mark.parametrize("name", ["wav", "flac", "ogg", "aiff", "w64", "mp3"])
def test_the_second_at_which_it_breaks_off_is_told(sounds: Made, name: str) -> None:
    data = ogg_bytes(noise(3.0)) if name == "ogg" else sounds[name]  # half a second of Vorbis is a single page
    data = data[: len(data) * 6 // 10]
    with pytest.raises(DecodeError) as caught:
        decoded(data)
    told = re.search(r"it breaks off at (\d\.\d\d) s", str(caught.value))
    assert told is not None, caught.value
    assert 0.05 < float(told[1]) < (2.9 if name == "ogg" else 0.45)
    part = decoded(data, strict=False)
    assert part.duration_s == pytest.approx(float(told[1]), abs=0.1 if name == "mp3" else 0.006)  # another decoder
    assert part.origin is None


def test_a_damaged_packet_is_told_with_its_second_or_left_out() -> None:
    import av

    whole = mp4_bytes(moving_shapes()[0], audio=tone(1.0))
    with av.open(io.BytesIO(whole), "r") as container:
        packet = [packet for packet in container.demux(container.streams.audio[0]) if packet.size][8]
        at, size = packet.pos or 0, packet.size
    damaged = whole[:at] + b"\xff" * size + whole[at + size :]
    with pytest.raises(DecodeError, match=r"it breaks off at 0\.4\d s: FFmpeg can't decode it: \w"):
        decoded(damaged)
    left, all_of_it = decoded(damaged, strict=False), decoded(whole)
    assert left.origin is None
    assert 0 < all_of_it.n_samples - left.n_samples <= 2 * 1024


def test_leniency_gives_what_there_is() -> None:
    data = wav_bytes(noise(0.5))
    audio = decoded(data[: len(data) // 2], strict=False)
    assert 3900 < audio.n_samples < 4100
    assert audio.origin is None


def test_a_streamed_wav_whose_size_was_never_filled_in_is_whole() -> None:
    data = wav_bytes(noise(0.1))
    at = data.index(b"data") + 4
    audio = decoded(data[:at] + b"\xff" * 4 + data[at + 4 :])
    assert np.array_equal(audio.samples, decoded(data).samples)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_samples_that_are_no_numbers_are_refused(value: float, subtype: str) -> None:
    sound = noise(0.1).samples.astype(np.float64).copy()
    sound[0, 77] = value
    file = io.BytesIO()
    soundfile.write(file, sound.T, 16000, format="WAV", subtype=subtype)
    with pytest.raises(DecodeError, match="samples that are no numbers"):
        decoded(file.getvalue())


def test_a_sound_without_samples_is_empty_and_sound() -> None:
    assert decoded(wav_bytes(silence(0.0))).samples.shape == (1, 0)


@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "m4a"])
def test_limits_on_length_hold_on_both_sides(sounds: Made, form: str) -> None:
    data = sounds[form]
    length_s = decoded(data).duration_s
    assert decoded(data, max_s=length_s + 0.1, max_samples=2 * 16000, max_bytes=len(data)).duration_s == length_s
    with pytest.raises(DecodeError, match=r"max_s is 0\.4"):
        decoded(data, max_s=0.4)
    with pytest.raises(DecodeError, match=r"max_samples is 9,000"):
        decoded(data, max_samples=9000)
    with pytest.raises(DecodeError, match="max_bytes"):
        decoded(data, max_bytes=len(data) - 1)


def test_a_length_that_no_header_gives_is_watched_while_decoding(sounds: Made) -> None:
    with pytest.raises(DecodeError, match=r"max_s is 0\.2"):
        decoded(sounds["aac"], max_s=0.2)


def test_a_header_that_lies_costs_no_memory() -> None:
    data = flac_bytes(noise(0.1))
    huge = data[:21] + bytes([data[21] | 0x0F]) + b"\xff" * 4 + data[26:]  # STREAMINFO's count of samples
    with pytest.raises(DecodeError, match="max_s"):
        decoded(huge)


def test_the_sound_track_of_a_film_is_read(films: Made) -> None:
    audio = decoded(films["sound.mp4"])
    assert audio.rate_hz == 16000
    assert abs(audio.duration_s - 1.0) < 0.15


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"", "a.wav", "it is empty"),
        (b"Hello", "a.wav", r'no sound that is decoded here: it is named \.wav but holds text \("Hello"\)'),
        (b"\x89PNG\r\n\x1a\n", "a.png", "no sound that is decoded here: it holds image/png"),
        (b"RIFF\4\0\0\0WAVE", "a.wav", "it is cut short: it has no data chunk"),
        (b"OggS", "a.ogg", "it is cut short: its headers break off"),
        (b"fLaC" + bytes(100), "a.flac", "it is cut short or damaged: libsndfile can't decode this audio/flac"),
        (
            b".snd" + struct.pack(">II", 24, 0) + bytes(20),
            "a.au",
            "FFmpeg can't decode it",
        ),
    ],
)
def test_what_is_no_sound_is_named(data: bytes, name: str, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        DecodeAudio().map(Blob.of(data, name=name))


def test_a_film_without_sound_says_so(films: Made) -> None:
    with pytest.raises(DecodeError, match="this video/mp4 has no sound track"):
        decoded(films["mp4"])


@pytest.mark.corpus
def test_all_prompts_and_captions_are_read(prompts: Path, stamps: Path) -> None:
    waves, oggs = sorted(prompts.rglob("*.wav"))[::5], sorted(stamps.rglob("*.ogg"))[::150]
    assert len(waves) > 50
    assert len(oggs) > 40
    for path in [*waves, *oggs]:
        expected, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        audio = decoded(path.read_bytes())
        assert audio.rate_hz == rate_hz
        assert np.array_equal(audio.samples, expected.T)
