"""Numbers that a user gives: whole, within their bounds, and such that a state can hold them."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from mmdata.errors import ConfigError


def whole(name: str, value: Any, *, least: int | None = None, where: str = "stream") -> int:
    """A setting as Python's int, which states as JSON need, whatever integer it is.

    Args:
        name: of the setting.
        value: as it was given.
        least: its lower bound.
        where: whose setting it is, for messages.

    Raises:
        ConfigError: it is no whole number, or below the bound.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise ConfigError(where, [f"{name}: must be a whole number, not {value!r}"])
    if least is not None and number < least:
        raise ConfigError(where, [f"{name}: must be at least {least}, not {number}"])
    return number


def n_bytes(name: str, value: Any, *, least: int = 1, where: str = "stream") -> int:
    """A size in bytes, which may be written as 4e8. Raises ConfigError unless it is a finite number from `least` on."""
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not least <= value < float("inf"):
        raise ConfigError(where, [f"{name}: must be a number of bytes, at least {least}, not {value!r}"])
    return int(value)
