"""What samples must meet: conditions in SQL, each with the reason that it gives to those who don't."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmdata.errors import ConfigError

Where = str | list[str] | Mapping[str, str] | None
MISSING = "missing"  # what is added to a reason where the condition is neither true nor false


def conditions(where: Where) -> dict[str, str]:
    """The conditions by the reason of samples that don't meet them.

    >>> conditions("image.sharpness > 20")
    {'where': 'image.sharpness > 20'}
    >>> conditions({"sharp": "image.sharpness > 20", "long": "text.words > 5"})
    {'where.sharp': 'image.sharpness > 20', 'where.long': 'text.words > 5'}

    Raises:
        ConfigError: it is no condition, no list of them, and no conditions by name; or a name can't be one.
    """
    if where is None:
        return {}
    if isinstance(where, str):
        return {"where": where}
    if isinstance(where, list | tuple):
        named: dict[Any, Any] = {str(number): text for number, text in enumerate(where)}
    elif isinstance(where, Mapping):
        named = dict(where)
    else:
        raise ConfigError("select", [f"where: expected a condition in SQL, not {where!r}"])
    faults = [
        f"where.{name}: expected a condition in SQL, not {text!r}"
        for name, text in named.items()
        if not isinstance(text, str)
    ]
    faults += [
        f"where: {name!r} can't name a condition: letters, digits and _ can, but not {MISSING!r}"
        for name in named
        if not (isinstance(name, str) and name.replace("_", "a").isalnum() and name.isascii()) or name == MISSING
    ]
    if faults:
        raise ConfigError("select", faults)
    return {f"where.{name}": text for name, text in named.items()}


def condition_faults(where: Where) -> list[str]:
    """What is wrong with conditions, as far as their texts tell; needs DuckDB, and no store."""
    from mmdata.store import expressions

    try:
        found = conditions(where)
    except ConfigError as error:
        return list(error.faults)
    return [f"{name}: {fault}" for name, text in found.items() for fault in expressions.faults(text)]
