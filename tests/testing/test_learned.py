"""Generated tasks are learned as well as theory says: the smallest form of benchmarks/results.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import mmdata
from mmdata import api
from mmdata.config.load import load
from mmdata.testing.systems import SYSTEMS
from mmdata.train.folds import Compare
from mmdata.train.report import FoldsReport

PIPELINE = Path(mmdata.__file__).parent.parent / "pipelines/sentiment.yaml"


@pytest.mark.slow
def test_fusion_learns_what_only_the_combination_tells(tmp_path: Path) -> None:
    """Of words and voice, theory gives 0.95 to both together, and to neither of them more than 0.68."""
    SYSTEMS["sentiment"].build(tmp_path / "data", 600, 1)
    source = tmp_path / "data/comments.csv"
    file = load(PIPELINE, source=str(source))
    inputs = {"words": "text.ngrams", "voice": "voice.mfcc"}
    file = replace(file, train={**file.train, "inputs": inputs, "encoders": {"voice": "cnn"}})
    api.run(file, store=tmp_path / "store", source=source)
    report = api.train(file, str(tmp_path / "store"), seeds=1, compare=Compare(fusions=("late_average",)))
    assert isinstance(report, FoldsReport)
    found = {score.model: score.metrics["accuracy"] for score in report.scores}
    assert found["concat"] > 0.85
    assert max(found["words"], found["voice"], found["late_average"]) < 0.8
