"""Audio files are decoded once a sample, by whatever steps and features read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mmdata.clean.audio import KeepDuration, MixDown
from mmdata.codec.audio import DecodeAudio
from mmdata.core.pipeline import Pipeline
from mmdata.core.sample import Audio, Blob
from mmdata.core.step import Step
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.features.audio import LogMel, Loudness, Mfcc
from mmdata.source.files import Files
from mmdata.testing.build import tone, wav_bytes

FEATURES = (LogMel(), Mfcc(), Loudness())
N_FILES = 3


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Blob]:
    """What `DecodeAudio` was given: it does its work as always."""
    blobs: list[Blob] = []
    real = DecodeAudio.map

    def counting(self: DecodeAudio, blob: Blob) -> Audio:
        blobs.append(blob)
        return real(self, blob)

    monkeypatch.setattr(DecodeAudio, "map", counting)
    return blobs


@pytest.mark.parametrize(
    ("ingest", "store"),
    [((), {"audio": "copy"}), ((), {"audio": "reference"}), ((KeepDuration(min_s=0.1),), {}), ((MixDown(),), {})],
    ids=["stored", "left", "filtered", "changed"],
)
@pytest.mark.parametrize("n", [1, 3])
def test_a_file_is_decoded_once(
    tmp_path: Path, decoded: list[Blob], ingest: Sequence[Step], store: Mapping[str, str], n: int
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(N_FILES):
        (tmp_path / "in" / f"{number}.wav").write_bytes(wav_bytes(tone(0.5, 200.0 + number, channels=2)))
    source = Files(str(tmp_path / "in"), parts={"audio": "{stem}.wav"})
    features: list[Any] = list(FEATURES[:n])
    report = run(
        Pipeline(source=source, ingest=tuple(ingest), features=tuple(features), store=dict(store)),
        str(tmp_path / "store"),
        RunOptions(),
    )
    assert report.counts.stored == N_FILES
    assert +report.counts.computed == {step.into: N_FILES for step in features}
    assert len(decoded) == N_FILES
    features_too = tuple(FEATURES)
    decoded.clear()
    later = run(
        Pipeline(source=source, ingest=tuple(ingest), features=features_too, store=dict(store)),
        str(tmp_path / "store"),
        RunOptions(),
    )
    assert sum((+later.counts.computed).values()) == N_FILES * (len(FEATURES) - n)
    assert len(decoded) == (N_FILES if n < len(FEATURES) else 0)
