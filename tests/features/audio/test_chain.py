"""A whole chain of sound in a real store: decoded once, cut, changed, and every feature of every piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdata.augment.audio import ChangeSpeed, MixBackground, Recode
from mmdata.clean.audio import Denoise, NormalizeLoudness, RemoveOffset, SplitOnSilence
from mmdata.core.pipeline import Pipeline
from mmdata.core.sample import Audio
from mmdata.core.spans import TimeMap
from mmdata.core.step import Extract
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.errors import ConfigError
from mmdata.features import audio as features
from mmdata.features.audio import framing
from mmdata.kernels.audio import power_spectra
from mmdata.source.files import Files
from mmdata.store.store import Store
from mmdata.store.verify import verify
from mmdata.testing.build import noise, silence, tone, wav_bytes

FEATURES: list[Extract[Audio]] = [
    *(features.Stft(), features.LogMel(), features.Mfcc(deltas=2), features.MfccStats(), features.Chroma()),
    *(features.SpectralCentroid(), features.SpectralBandwidth(), features.SpectralRolloff()),
    *(features.SpectralFlatness(), features.SpectralContrast(), features.ZeroCrossings(), features.Rms()),
    *(features.Pitch(), features.OnsetStrength(), features.Onsets(), features.Tempo(), features.Loudness()),
    *(features.LoudnessTrack(), features.AudioFingerprint(), features.AudioQuality(), features.AudioDuration()),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three recordings of two tones each with a second of silence between them, and a folder of backgrounds."""
    for place, hz in enumerate((300, 500, 700)):
        parts = [tone(0.8, hz), silence(1.0), tone(0.6, 2 * hz)]
        whole = Audio(np.concatenate([part.samples for part in parts], axis=1), 16000)
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{place}.wav").write_bytes(wav_bytes(whole))
    (tmp_path / "noises").mkdir()
    (tmp_path / "noises" / "hiss.wav").write_bytes(wav_bytes(noise(0.5)))
    return tmp_path


def test_a_chain_decodes_once_and_gives_every_feature_of_every_piece(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformed: Counter[tuple[int, bool]] = Counter()

    def counted(waves: Sequence[np.ndarray], **given: Any) -> list[np.ndarray]:
        transformed[given["window"], given["precise"]] += len(waves)
        return power_spectra(waves, **given)

    monkeypatch.setattr(framing, "power_spectra", counted)
    pipeline = Pipeline(
        source=Files(str(folder / "in")),
        ingest=(
            *(RemoveOffset(), SplitOnSilence(margin_s=0.0), Denoise(), NormalizeLoudness()),
            *(ChangeSpeed(min_speed=2, max_speed=2), MixBackground(folder=str(folder / "noises")), Recode()),
        ),
        store={"audio": "flac"},
        features=tuple(FEATURES),
    )
    report = run(pipeline, str(folder / "store"), RunOptions())
    assert report.counts.balances
    assert (report.counts.read, report.counts.stored, report.counts.missing) == (3, 6, {})
    steps = report.counts.steps
    assert steps["codec.audio.DecodeAudio"].n == 3  # none for 21 features
    assert {name: steps[name].n for name in steps if name.startswith("features.")} == {
        step.name: 6 for step in FEATURES
    }
    assert transformed == {(2048, False): 6, (2048, True): 6, (400, False): 6}  # once a piece for all that read it
    store = Store.open(folder / "store")
    assert verify(store).is_sound
    sample = store.sample("in/0@1.800-2.400")
    audio = sample.parts["audio"]
    assert isinstance(audio, Audio)
    assert audio.duration_s == pytest.approx(0.3, abs=0.001)
    clock = audio.clock
    assert isinstance(clock, TimeMap)
    assert float(clock.to_source(0) or 0) == pytest.approx(1.8)
    assert float(clock.to_source(clock.length_s) or 0) == pytest.approx(2.4)


def test_a_folder_that_is_gone_is_told_before_anything_is_read(folder: Path) -> None:
    pipeline = Pipeline(source=Files(str(folder / "in")), ingest=(MixBackground(folder=str(folder / "gone")),))
    with pytest.raises(ConfigError, match="there is no such folder"):
        run(pipeline, str(folder / "store"), RunOptions())
    assert not (folder / "store").exists()
