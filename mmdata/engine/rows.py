"""One family's rows of one shard: what is to be made, whether arrays are as promised, and what an error says."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.pipeline import Family
from mmdata.core.sample import Blob
from mmdata.engine.carry import Rejection
from mmdata.engine.locked import numbers_of
from mmdata.errors import StepError
from mmdata.store.write_features import FeatureWriter

Row = Mapping[str, np.ndarray | None]
Outcome = tuple[Row | None, str | None]  # a row, or what its error says; neither where a sample lacks the part


@dataclass
class FamilyWork:
    """One family of one shard: its step, its writer, and the rows that an older file already has.

    Args:
        gather: column arrays by sample key, taken over instead of computed.
    """

    family: Family
    writer: FeatureWriter
    gather: Mapping[str, Row] = field(default_factory=dict)
    columns: Mapping[str, ArraySpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.columns = self.family.step.columns()

    def write(self, keys: Sequence[str], outcomes: Sequence[Outcome]) -> None:
        """Append the rows of some samples, in the order of the shard."""
        arrays = {name: [None if row is None else row[name] for row, _ in outcomes] for name in self.columns}
        self.writer.add(keys, arrays, [error for _, error in outcomes])

    def checked(self, arrays: Any) -> Row:
        """What the step returned for a value, by column. Raises StepError when it is not what the step promised."""
        step = self.family.step
        named = step.named(arrays)
        for column, spec in self.columns.items():
            if column not in named:
                raise StepError(f"{step.name} promised {column!r} and did not return it")
            if fault := spec.fault(np.asarray(named[column])):
                raise StepError(f"{step.name} broke its promise for {column!r}: {fault}")
        return named


def said(why: Rejection, error: Exception) -> str:
    """The error of a row; of a bug also where in the code it is, as that is what its author asks next."""
    frames = traceback.extract_tb(error.__traceback__) if why.kind == StepError.kind else []
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{why.kind}: {why.error}{where}"


def held_bytes(value: object) -> int:
    """About what a value holds in memory: its numbers, the bytes that were read of it, and what it is made of."""
    if isinstance(value, Mapping):
        return sum(held_bytes(each) for each in value.values())
    if isinstance(value, list | tuple):
        return sum(held_bytes(each) for each in value)
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(nbytes := getattr(value, "nbytes", None), int):  # arrays of numpy, tensors of torch
        return nbytes
    blob = value if isinstance(value, Blob) else getattr(value, "origin", None)
    held = blob.size if isinstance(blob, Blob) and blob.is_read else 0
    numbers = numbers_of(value)
    return held if numbers is None else held + numbers.nbytes
