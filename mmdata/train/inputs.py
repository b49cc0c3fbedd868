"""From a stream's batches to what a model takes: float tensors with lengths and masks, and class numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from mmdata.core.arrays import ArraySpec
from mmdata.errors import ConfigError, DataError
from mmdata.train.config import TrainConfig, arrangement, guess

if TYPE_CHECKING:
    from mmdata.store import Store

Values = Tensor | np.ndarray | Sequence[Any]
Batch = Mapping[str, Values]
Kind = Literal["vector", "sequence", "image", "tokens"]
UNLABELLED = -100  # what torch's cross-entropy leaves out


class Batches(Protocol):
    """What the loop reads: each iteration is an epoch, or what is left of it; the next one is the next epoch's.

    A batch holds arrays by column name, beside them `COLUMN.length` (int64 [batch]) where a column's first axis varies
    and `COLUMN.mask` (bool [batch], False where it is missing) where it can be, and "key".
    """

    @property
    def n_steps(self) -> int:
        """Batches an epoch."""

    def __iter__(self) -> Iterator[Batch]: ...

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, as JSON can say it. After an epoch's last batch that is the epoch's end, not the next."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""


@dataclass(frozen=True)
class Input:
    """One input of a model.

    Args:
        name: as the configuration calls it. column: where the stream has it.
        kind: a vector a sample, a sequence of them, a picture, or a sequence of tokens.
        size: numbers of a vector, where further axes are laid flat; channels of a picture; ids that tokens can have.
        form: of a picture: rows, columns, channels.
    """

    name: str
    column: str
    kind: Kind
    size: int
    form: tuple[int, ...] = ()


@dataclass(frozen=True)
class Part:
    """One input of one batch.

    Args:
        values: float32 [batch, size], [batch, time, size] or [batch, row, column, channel], or int64 [batch, time] for
            tokens; with at least one step of time.
        present: bool [batch]; values are zero where it is False.
        length: int64 [batch], steps of time that are real; None for a vector and a picture.
    """

    values: Tensor
    present: Tensor
    length: Tensor | None = None


def inputs_of(store: Store, config: TrainConfig) -> tuple[Input, ...]:
    """As `plan_inputs`, of a store's columns."""
    return plan_inputs(config.inputs, store.families, config.encoders, store.unreadable)


def plan_inputs(
    columns: Mapping[str, str],
    specs: Mapping[str, ArraySpec],
    encoders: Mapping[str, str] | None = None,
    damaged: Mapping[str, str] | None = None,
) -> tuple[Input, ...]:
    """Say how each column is to be read, from its promised form.

    Args:
        columns: by input name.
        specs: by column.
        encoders: by input name; "image" reads rows, columns and channels as a picture.
        damaged: families whose columns are not known, and why: told where a column is not there.

    Raises:
        ConfigError: a column is not there, or more than its first axis varies; all faults at once.
    """
    encoders = encoders or {}
    faults, inputs = [], []
    for name, column in columns.items():
        spec = specs.get(column)
        if spec is None:
            faults.append(f"inputs.{name}: no column {column!r}{guess(column, specs)}")
        elif spec.varying not in ((), spec.dims[:1]):
            faults.append(f"inputs.{name}: of {column!r} {spec.dims} only the first axis may vary, not {spec.varying}")
        else:
            inputs.append(_input(name, column, spec, as_picture=arrangement(encoders.get(name, ""))[0] == "image"))
    if faults and not set(columns.values()) <= set(specs):
        mending = "`mmdata verify STORE --drop-damaged` lets the next run make them again"
        faults += [f"inputs: of {family!r} {fault}; {mending}" for family, fault in (damaged or {}).items()]
    faults += [f"inputs.{item.name}: {item.column!r} holds no numbers" for item in inputs if item.size == 0]
    if faults:
        raise ConfigError("train", faults)
    return tuple(inputs)


def _input(name: str, column: str, spec: ArraySpec, *, as_picture: bool) -> Input:
    size = math.prod(size for size in spec.shape if size is not None)
    if as_picture and not spec.varying and len(spec.dims) == 3:
        form = tuple(size or 0 for size in spec.shape)
        return Input(name, column, "image", form[2] if size else 0, form)
    if spec.dims == ("token",) and spec.varying and np.dtype(spec.dtype).kind in "iu":
        return Input(name, column, "tokens", 1)  # how many ids there are, only the training split tells
    return Input(name, column, "sequence" if spec.varying else "vector", size)


def parts_of(batch: Batch, inputs: Sequence[Input], device: str = "cpu") -> list[Part]:
    """The inputs of a batch, in order.

    Raises:
        DataError: a number is NaN or infinite, or there are more or fewer of them than the plan says.
    """
    return [_part(batch, item, device) for item in inputs]


def _part(batch: Batch, item: Input, device: str) -> Part:
    raw = torch.as_tensor(batch[item.column])
    mask = batch.get(f"{item.column}.mask")
    present = torch.ones(raw.shape[0], dtype=torch.bool) if mask is None else torch.as_tensor(mask)
    _refuse_other_sizes(raw, item)
    if item.kind in ("vector", "image"):
        values = raw.reshape(raw.shape[0], *(item.form or (item.size,))).to(torch.float32)
        values = values.masked_fill(~present.view(-1, *[1] * (values.ndim - 1)), 0)
        _refuse_nonfinite(values, batch, item)
        return Part(values.to(device), present.to(device))
    length = torch.as_tensor(batch[f"{item.column}.length"]).to(torch.int64) * present
    if item.kind == "tokens":
        ids = torch.zeros(raw.shape[0], max(1, raw.shape[1]), dtype=torch.int64)
        ids[:, : raw.shape[1]] = raw
        ids.masked_fill_(~real(length, ids.shape[1]), 0)
        return Part(ids.to(device), (length > 0).to(device), length.to(device))
    values = torch.zeros(raw.shape[0], max(1, raw.shape[1]), item.size)
    values[:, : raw.shape[1]] = raw.flatten(2) if raw.ndim > 2 else raw[..., None]
    values.masked_fill_(~real(length, values.shape[1])[..., None], 0)
    _refuse_nonfinite(values, batch, item)
    return Part(values.to(device), (length > 0).to(device), length.to(device))


def real(length: Tensor, n_steps: int) -> Tensor:
    """Which steps of a padded sequence are real: bool [batch, time].

    >>> real(torch.tensor([1, 0]), 2).tolist()
    [[True, False], [False, False]]
    """
    return torch.arange(n_steps, device=length.device) < length[:, None]


def _refuse_other_sizes(raw: Tensor, item: Input) -> None:
    if item.kind == "tokens":
        return
    found = math.prod(raw.shape[2 if item.kind == "sequence" else 1 :])
    asked = math.prod(item.form) if item.form else item.size
    if found != asked:
        raise DataError(f"{item.column!r} has {found} numbers a row, and the model takes {asked}")


def _refuse_nonfinite(values: Tensor, batch: Batch, item: Input) -> None:
    if bool(torch.isfinite(values).all()):
        return
    row = int((~torch.isfinite(values.flatten(1)).all(dim=1)).nonzero()[0, 0])
    key = batch["key"][row] if "key" in batch else f"row {row} of a batch"
    raise DataError(
        f"{item.column!r} of {key!r} holds NaN or infinity: leave the sample out by a selection; `mmdata verify STORE` "
        "says whether its file is damaged"
    )


def labels_of(batch: Batch, target: str) -> list[str | None]:
    """The classes of a batch as text; None where a sample has none."""
    values = batch[target]
    if not isinstance(values, Tensor | np.ndarray):
        return [None if value is None else str(value) for value in values]
    mask = batch.get(f"{target}.mask")
    listed = torch.as_tensor(values).flatten().tolist()
    there = [True] * len(listed) if mask is None else torch.as_tensor(mask).tolist()
    return [str(value) if known else None for value, known in zip(listed, there, strict=True)]


def class_numbers(labels: Sequence[str | None], classes: Sequence[str]) -> Tensor:
    """Labels as int64 [batch]: places in `classes`; len(classes) for one that is not there, UNLABELLED for None."""
    places: dict[str | None, int] = {name: place for place, name in enumerate(classes)}
    places[None] = UNLABELLED
    return torch.tensor([places.get(label, len(classes)) for label in labels], dtype=torch.int64)


def numbers_of(batch: Batch, target: str) -> tuple[Tensor, tuple[str, str] | None]:
    """The numbers of a batch, float64 [batch], NaN where a sample has none.

    Returns:
        Them, and key and text of the first that is no finite number.
    """
    found, odd = [], None
    for row, text in enumerate(labels_of(batch, target)):
        try:
            number = math.nan if text is None else float(text.replace("_", "?"))
        except ValueError:
            number = math.inf
        if text is not None and not math.isfinite(number):
            odd = odd or (str(batch["key"][row]) if "key" in batch else f"row {row} of a batch", text)
            number = math.nan
        found.append(number)
    return torch.tensor(found, dtype=torch.float64), odd
