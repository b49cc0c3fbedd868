from __future__ import annotations

import json
from collections import Counter

import pytest

from mmdata.engine.counts import Counts
from mmdata.engine.report import RunReport


@pytest.mark.parametrize(
    ("rejected", "todo", "limit", "above"),
    [
        (0, 10, 0.0, False),
        (1, 10, 0.0, True),
        (1, 10, 0.1, False),
        (2, 10, 0.1, True),
        (10, 10, 1.0, False),
        (1, 0, 1.0, False),
    ],
)
def test_a_run_is_above_its_limit_when_more_than_that_share_is_rejected(
    rejected: int, todo: int, limit: float, above: bool
) -> None:
    counts = Counts(rejected=Counter({"decode": rejected}))
    assert RunReport("s", counts=counts, rejects_limit=limit, samples_todo=todo).above_limit is above


def test_a_report_is_one_json_object_with_what_the_command_line_promises() -> None:
    report = RunReport("out/s", counts=Counts(read=2, stored=2), unmatched=["README"], seconds=1.23456)
    told = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert told.keys() >= {"read", "made", "stored", "dropped", "rejected", "seconds", "steps", "store"}
    assert (told["store"], told["seconds"], told["unmatched"], told["balances"]) == ("out/s", 1.235, 1, True)
    assert told.keys().isdisjoint({"selection", "training"})
    report.selection, report.training = {"name": "v1"}, {"accuracy": 1.0}
    assert report.to_json()["selection"] == {"name": "v1"}
    assert report.to_json()["training"] == {"accuracy": 1.0}
