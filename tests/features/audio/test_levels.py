"""Loudness and length."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, cast

import av
import av.filter
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.codec.audio import DecodeAudio
from mmdata.core.sample import Audio, Blob
from mmdata.features.audio import AudioDuration, Loudness, LoudnessTrack, SpeechShare
from mmdata.kernels.loudness import loudness_lufs
from mmdata.testing.build import noise, silence, tone
from mmdata.testing.contracts.steps import Case, StepContract


class TestContracts(StepContract):
    @pytest.fixture(
        params=[
            Case(Loudness(), tone(channels=2)),
            Case(Loudness(), silence()),
            Case(LoudnessTrack(), tone(channels=2)),
            Case(LoudnessTrack(over="short_term"), silence(0.1)),
            Case(AudioDuration(), tone()),
            Case(SpeechShare(), noise(0.5, 44100, 2), others={"threshold": 0.6}),
            Case(SpeechShare(), silence(0.0), others={"threshold": 0.6}),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


@pytest.mark.parametrize(("audio", "lufs"), [(silence(), -70.0), (silence(0.0), -70.0), (tone(level_db=-90), -70.0)])
def test_silence_reads_the_gate(audio: Audio, lufs: float) -> None:
    assert Loudness().extract(audio) == np.float32(lufs)


def test_loudness_is_in_lufs() -> None:
    audio = noise(2.0, 44100, 2, level_db=-30)
    assert Loudness().extract(audio) == pytest.approx(loudness_lufs(audio.samples, rate_hz=44100))
    sine = tone(2.0, 1000, 48000, 2, level_db=-23)
    assert Loudness().extract(sine) == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize(("seconds", "rate_hz"), [(0.0, 8000), (1.5, 44100), (2.0, 5000)])
def test_duration_is_in_seconds(seconds: float, rate_hz: int) -> None:
    assert AudioDuration().extract(silence(seconds, rate_hz)) == seconds


def by_ffmpeg(audio: Audio) -> list[tuple[float, float]]:
    """Momentary and short-term loudness by FFmpeg's filter `ebur128`, every 100 ms."""
    graph = av.filter.Graph()
    layout = "stereo" if len(audio.samples) == 2 else "mono"
    source = graph.add_abuffer(format="fltp", sample_rate=audio.rate_hz, layout=layout)
    meter, sink = graph.add("ebur128", "metadata=1"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio.samples), format="fltp", layout=layout)
    frame.sample_rate, frame.pts = audio.rate_hz, 0
    source.push(frame)
    source.push(None)
    rows = []
    with contextlib.suppress(av.error.EOFError):
        while True:
            read = cast(Any, sink.pull()).metadata
            if "lavfi.r128.M" in read:
                rows.append((float(read["lavfi.r128.M"]), float(read["lavfi.r128.S"])))
    return rows


@pytest.mark.parametrize("channels", [1, 2])
def test_the_track_is_that_of_ffmpeg(channels: int) -> None:
    audio = noise(5.0, 48000, channels, seed=3)
    fading = audio.changed(audio.samples * np.linspace(1, 0.01, audio.n_samples, dtype=np.float32))
    theirs = np.array(by_ffmpeg(fading))
    momentary, short = LoudnessTrack().extract(fading), LoudnessTrack(over="short_term").extract(fading)
    assert (len(momentary), len(short)) == (47, 21)
    np.testing.assert_allclose(momentary, theirs[3:50, 0], atol=0.1)
    np.testing.assert_allclose(short, theirs[29:50, 1], atol=0.1)


@pytest.mark.parametrize(("seconds", "n_rows"), [(0.0, 0), (0.05, 1), (0.399, 1), (0.4, 1), (0.499, 1), (0.5, 2)])
def test_a_clip_too_short_for_a_stretch_is_one_row(seconds: float, n_rows: int) -> None:
    found = LoudnessTrack().extract(tone(seconds, 1000, 48000, level_db=-20))
    np.testing.assert_allclose(found, np.full(n_rows, -23.0), atol=0.2)


@given(seconds=st.floats(0, 4), rate_hz=st.sampled_from([1, 50, 8000, 192000]), channels=st.integers(1, 8))
@settings(deadline=None, max_examples=30)
def test_a_track_is_finite_and_never_below_the_gate(seconds: float, rate_hz: int, channels: int) -> None:
    audio = noise(min(seconds, 400 / rate_hz + 0.5), rate_hz, channels, level_db=-60)
    track = LoudnessTrack().extract(audio)
    assert np.isfinite(track).all()
    assert (track >= -70).all()


@pytest.mark.corpus
def test_the_share_of_speech_is_what_the_filter_decides_by(prompts: Path) -> None:
    from mmdata.clean.audio import KeepSpeech

    for path in sorted(prompts.rglob("*.wav"))[::120]:
        audio = DecodeAudio().map(Blob.of(path.read_bytes()))
        share = float(SpeechShare().extract(audio))
        assert 0.2 < share <= 1
        assert KeepSpeech(min_share=share - 1e-6).keep(audio) is True
        assert KeepSpeech(min_share=min(1.0, share + 1e-3)).keep(audio) is not True or share == 1
        padded = Audio(np.pad(audio.samples, ((0, 0), (0, audio.n_samples))), audio.rate_hz)
        assert float(SpeechShare().extract(padded)) == pytest.approx(share / 2, abs=0.05)
    for nothing in (silence(1), noise(1), tone(1)):
        assert SpeechShare().extract(nothing) == 0
