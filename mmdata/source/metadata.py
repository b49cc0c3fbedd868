"""Metadata that a store can keep: JSON values, strictly."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

MAX_BYTES = 1 << 20  # of one sample's metadata: what is larger is a part, not metadata


class BadMetadata(ValueError):
    """Text that is no JSON object; the message says where and why."""


def parse(data: bytes, *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The JSON object that bytes hold, which is UTF-8 (a byte order mark is let pass).

    Raises:
        BadMetadata: it is no object, too large or too deep, or holds what JSON can't say: NaN, an infinity, a half of
            a surrogate pair.
    """
    if len(data) > max_bytes:
        raise BadMetadata(f"{len(data)} bytes of metadata, at most {max_bytes} are read")
    try:
        text = data.decode("utf-8-sig")
        value = _DECODER.decode(text)
        if "\\" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise BadMetadata(f"byte {error.start} is not UTF-8") from None
    except UnicodeEncodeError:
        raise BadMetadata("it holds half of a surrogate pair, which is no character") from None
    except json.JSONDecodeError as error:
        raise BadMetadata(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise BadMetadata(str(error)) from None
    if not isinstance(value, dict):
        raise BadMetadata(f"expected an object {{...}}, not {_kind(value)}")
    return value


def _no_number(constant: str) -> float:
    raise BadMetadata(f"{constant} is no number that JSON knows")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise BadMetadata(f"{digits} is too large a number")
    return number


_DECODER = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite)


def _kind(value: object) -> str:
    return {list: "a list", str: "text", type(None): "null", bool: "a truth value"}.get(type(value), "a number")


def plain(value: Any) -> Any:
    """A table's value as JSON can say it: times as ISO text, decimals as text, NaN as null, bytes by their count.

    >>> plain({"at": date(2026, 1, 2), "x": [float("nan")]})
    {'at': '2026-01-02', 'x': [None]}
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    return value.total_seconds() if isinstance(value, timedelta) else str(value)
