"""What a feature promises of its arrays before any of them exists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

_WIDTH = {"b": 0, "i": 1, "u": 1, "f": 2}  # kinds of dtypes: each holds what those before it do


@dataclass(frozen=True, kw_only=True)
class ArraySpec:
    """The form of an array: named axes, known sizes, dtype, and the hop of a time axis.

    Args:
        dims: axis names in order, such as ("time", "mel"); () is a scalar.
        sizes: sizes of the axes whose length is fixed; an axis that is not named here varies from sample to sample.
        dtype: a numpy dtype of fixed width, "float32", "float16", "uint8", "bool"...; little-endian where it is stored.
        hop_s: seconds between rows of the first axis, where that is time.

    >>> spec = ArraySpec(dims=("time", "mel"), sizes={"mel": 80}, hop_s=0.01)
    >>> spec.varying, spec.item_bytes
    (('time',), None)
    >>> ArraySpec.from_json(spec.to_json()) == spec
    True
    """

    dims: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    dtype: str = "float32"
    hop_s: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dims", tuple(self.dims))
        object.__setattr__(self, "sizes", dict(self.sizes))
        if len(set(self.dims)) != len(self.dims):
            raise ValueError(f"axis names must differ: {self.dims}")
        if unknown := set(self.sizes) - set(self.dims):
            raise ValueError(f"sizes names axes that dims lacks: {sorted(unknown)}")
        if any(size < 0 for size in self.sizes.values()):
            raise ValueError(f"sizes can't be negative: {dict(self.sizes)}")
        if np.dtype(self.dtype).kind not in "biuf":
            raise ValueError(f"dtype must be boolean, integer or floating, not {self.dtype!r}")

    def __hash__(self) -> int:
        return hash(self.to_json())

    @property
    def varying(self) -> tuple[str, ...]:
        """The axes without a fixed size."""
        return tuple(dim for dim in self.dims if dim not in self.sizes)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Sizes in order of the axes; None where it varies."""
        return tuple(self.sizes.get(dim) for dim in self.dims)

    @property
    def little_endian(self) -> np.dtype[Any]:
        """The dtype as it is stored."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def item_bytes(self) -> int | None:
        """Bytes of one sample's array; None when an axis varies."""
        if self.varying:
            return None
        return int(np.prod([self.sizes[dim] for dim in self.dims], dtype=np.int64)) * self.little_endian.itemsize

    def fixed(self, **sizes: int) -> Self:
        """The promise with these sizes of axes, too."""
        return replace(self, sizes={**self.sizes, **sizes})

    def fault(self, array: np.ndarray) -> str | None:
        """Why an array does not keep this promise; None when it does."""
        if array.dtype != np.dtype(self.dtype):
            return f"dtype is {array.dtype}, promised was {self.dtype}"
        if array.ndim != len(self.dims):
            return f"it has {array.ndim} axes {array.shape}, promised were {len(self.dims)} {self.dims}"
        for dim, size in zip(self.dims, array.shape, strict=True):
            if self.sizes.get(dim, size) != size:
                return f"axis {dim!r} has {size} entries, promised were {self.sizes[dim]}"
        return None

    def number(self, value: float) -> np.ndarray:
        """A number of Python's own, which has no dtype, as the scalar that is promised.

        Raises:
            ValueError: the promised dtype has no such number: it is too large, a fraction, or neither true nor false.

        >>> ArraySpec(dtype="float16").number(7).dtype, ArraySpec(dtype="uint8").number(True).item()
        (dtype('float16'), 1)
        """
        dtype = np.dtype(self.dtype)
        fault = f"{value!r} is no {dtype}, which was promised"
        if _WIDTH[np.dtype(type(value)).kind] > _WIDTH[dtype.kind]:
            raise ValueError(fault)
        try:
            with np.errstate(over="raise"):
                return np.array(value, dtype)
        except (OverflowError, FloatingPointError):
            raise ValueError(fault) from None

    def to_json(self) -> str:
        value = {"dims": list(self.dims), "sizes": dict(self.sizes), "dtype": self.dtype, "hop_s": self.hop_s}
        return json.dumps(value, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        value = json.loads(text)
        return cls(dims=tuple(value["dims"]), sizes=value["sizes"], dtype=value["dtype"], hop_s=value["hop_s"])
