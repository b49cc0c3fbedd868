"""Bytes to text."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt

from mmdata.codec.limits import MIB, read_within
from mmdata.codec.sniff import holds, media_type
from mmdata.core.sample import Blob, Text
from mmdata.core.step import Map
from mmdata.errors import DecodeError

_MAX_BYTES = 64 * MIB
_MARKS = (  # UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, kw_only=True)
class DecodeText(Map[Blob, Text]):
    """Read text: by its byte order mark where it has one, strict UTF-8 otherwise. Line ends stay as they are.

    Args:
        max_bytes: refuse larger ones.
        encoding: a Python codec for texts without a mark, such as "latin-1" or "shift_jis"; nothing is guessed.

    Raises:
        DecodeError: a byte is no part of such text (named), or it holds NUL, which no text does: pictures and
            UTF-16 without a mark do.

    Reference:
        The Unicode Standard, byte order marks; UTF-8 by RFC 3629; other encodings by Python's codecs.
    """

    on: str | None = "text"
    max_bytes: Annotated[int, Gt(0)] = _MAX_BYTES
    encoding: str | None = None

    def __post_init__(self) -> None:
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except (LookupError, UnicodeError):
                raise ValueError(f"encoding: Python has no text codec {self.encoding!r}") from None

    def map(self, blob: Blob) -> Text:
        if blob.size == 0:
            return Text("", origin=blob)
        data = read_within(blob, self.max_bytes)
        marked = next((codec for mark, codec in _MARKS if data.startswith(mark)), None)
        text = _decoded(data, marked or self.encoding or "utf-8", blob.name)
        usual = marked is not None or self.encoding is None or data.isascii()
        return Text(text, origin=blob if usual and len(data) <= _MAX_BYTES else None)


def _decoded(data: bytes, codec: str, name: str) -> str:
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        byte = f"byte {error.start} (0x{data[error.start]:02x})" if error.start < len(data) else "its end"
        raise DecodeError(f"{byte} is not {codec}: {error.reason}; {_advice(data, name)}") from None
    except UnicodeError as error:
        raise DecodeError(f"it is not {codec}: {error}") from None
    if "\0" in text:
        raise DecodeError(f"character {text.index(chr(0))} is NUL, so it is not {codec} text; {_advice(data, name)}")
    return text


def _advice(data: bytes, name: str) -> str:
    kind = media_type(data)
    if kind.startswith("text/") or kind == "application/octet-stream":
        return "give DecodeText its `encoding` if it is text in another one"
    return holds(data, name)
