"""Answers of a trained model for samples that are in no store: features by column go in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmdata.errors import DataError
from mmdata.train.inputs import Input, Part, parts_of
from mmdata.train.model import FusionModel

Row = Mapping[str, np.ndarray]


def predict(model: FusionModel, rows: Sequence[Row], *, keys: Sequence[str] = ()) -> np.ndarray:
    """What a model gives for each sample: float32 [sample, ...].

    Of classes their probabilities, in the order of `model.plan.classes`; of numbers the value; of several tasks these
    side by side; of "contrastive" both sides' vectors of length 1, one after the other; of "reconstruction" the
    features that are decoded, filled in, side by side, in their own units.

    Args:
        model: as `checkpoint.load_model` gives it.
        rows: arrays by column, a mapping a sample; a column that it lacks is a missing input.
        keys: names of the samples, for messages.

    Raises:
        DataError: an array has another form than the model was trained on, or holds NaN or infinity; a sample has none
            of the inputs.
    """
    output, _ = _given(model, rows, keys)
    answer: np.ndarray = model.objective.answer(output).numpy()
    return answer


def said(model: FusionModel, rows: Sequence[Row], *, keys: Sequence[str] = ()) -> list[dict[str, Any]]:
    """As `predict`, as JSON can say it: a mapping a sample, by task where there are several.

    Of classes "class", "probability" and "probabilities" by class, of numbers "value", of "contrastive" "embedding" by
    side, of "reconstruction" "reconstruction" by column, the columns that were "filled", and "latent".
    """
    output, parts = _given(model, rows, keys)
    return model.objective.said(output, parts)


def _given(model: FusionModel, rows: Sequence[Row], keys: Sequence[str]) -> tuple[Tensor, list[Part]]:
    inputs = model.plan.inputs
    named = list(keys) or [f"sample {number}" for number in range(len(rows))]
    for key, row in zip(named, rows, strict=True):
        if not any((array := row.get(item.column)) is not None and array.size for item in inputs):
            columns = ", ".join(repr(item.column) for item in inputs)
            raise DataError(f"{key!r} has none of the model's inputs: {columns}")
    batch: dict[str, Any] = {"key": named}
    for item in inputs:
        batch |= _columns(item, rows, named)
    parts = parts_of(batch, inputs)
    with torch.inference_mode():
        return model.eval()(parts), parts


def _columns(item: Input, rows: Sequence[Row], keys: Sequence[str]) -> dict[str, np.ndarray]:
    """A column of a batch, with mask and lengths, as a stream gives it."""
    found = [row.get(item.column) for row in rows]
    varies = item.kind in ("sequence", "tokens")
    for key, array in zip(keys, found, strict=True):
        if array is not None and not _fits(item, array):
            raise DataError(f"{item.column!r} of {key!r} is {list(array.shape)}: the model was trained on another form")
    there = [array for array in found if array is not None]
    step = () if item.kind == "tokens" else item.form or (item.size,)
    shape = there[0].shape if there else (0,) * varies + step
    longest = max((len(array) for array in there), default=0)
    values = np.zeros((len(rows), longest, *shape[1:]) if varies else (len(rows), *shape), np.float64)
    for row, array in enumerate(found):
        if array is not None:
            values[(row, slice(len(array))) if varies else row] = array
    column = {item.column: values, f"{item.column}.mask": np.array([array is not None for array in found], bool)}
    if varies:
        column[f"{item.column}.length"] = np.array([0 if array is None else len(array) for array in found], np.int64)
    return column


def _fits(item: Input, array: np.ndarray) -> bool:
    if item.kind == "tokens":
        return array.ndim == 1
    if item.kind == "sequence":
        return array.ndim > 0 and int(np.prod(array.shape[1:])) == item.size
    return array.shape == item.form if item.form else array.size == item.size
