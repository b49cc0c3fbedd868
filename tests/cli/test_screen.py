from __future__ import annotations

from collections import Counter

import pytest

from mmdata.cli.screen import summary
from mmdata.engine.counts import Counts, StepTimes
from mmdata.engine.report import RunReport


def told(capsys: pytest.CaptureFixture[str], **steps: StepTimes) -> list[str]:
    counts = Counts(read=2, stored=2, steps={name.replace("__", "."): times for name, times in steps.items()})
    summary(RunReport("out/s", counts=counts, seconds=3.0))
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_the_summary_names_the_bottleneck_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(
        capsys, codec__image__DecodeImage=StepTimes(2, 6.1), clean__a=StepTimes(2, 1.0), shard=StepTimes(1, 10.0)
    )
    assert [line for line in lines if "bottleneck" in line] == [
        "bottleneck: decode (codec.image.DecodeImage, 61 % of worker time)"
    ]


def test_a_short_run_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert not [line for line in told(capsys, shard=StepTimes(1, 0.2)) if "bottleneck" in line]


def test_it_says_how_often_films_were_decoded(capsys: pytest.CaptureFixture[str]) -> None:
    for decoded, said in (
        ({}, []),
        ({"sounds": 2, "sound_passes": 3}, ["decoded: sound tracks 2, passes 3"]),
        (
            {"streams": 4, "passes": 4, "frames": 96, "sounds": 1, "sound_passes": 1},
            ["decoded: picture tracks 4, passes 4, frames 96; sound tracks 1, passes 1"],
        ),
    ):
        summary(RunReport("out/s", counts=Counts(decoded=Counter(decoded)), seconds=3.0))
        lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
        assert [line for line in lines if line.startswith("decoded")] == said
