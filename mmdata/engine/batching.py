"""Running steps that take many values at once with a model."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

from mmdata.core.step import Arrays, BatchExtract, Extract, Feature


def compute(step: Feature[Any], value: Any) -> Arrays:
    """What a feature gives for one value."""
    if isinstance(step, BatchExtract):
        return step.extract(_model(step, "cpu"), [step.prepare(value)])[0]
    return cast(Extract[Any], step).extract(value)


@lru_cache(maxsize=8)
def _model(step: BatchExtract[Any], device: str) -> Any:
    return step.load(device)
