"""Telling a manifest of URLs, and what its columns are, from its first rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from urllib.parse import urlsplit

from mmdata.codec.sniff import modality_of_name
from mmdata.source.rows.form import LABEL_COLUMNS, TEXT_COLUMNS, Row
from mmdata.source.urls.answer import DIGESTS
from mmdata.source.urls.manifest import Urls

_URL = re.compile(r"\s*https?://[^\s/]+\S*\s*", re.IGNORECASE)
_SPOKEN = {
    "image": ("image", "img", "photo", "picture"),
    "audio": ("audio", "sound", "speech"),
    "video": ("video", "film"),
}
_DIGESTS = frozenset(DIGESTS.values())


def manifest_of(path: str, rows: Sequence[Row], *, name: str = "") -> Urls | None:
    """The source of a table that has a column of media URLs; None where there is none.

    A column is one of URLs when most of its values are. The part is named by the URLs' extensions, or else by the
    column's name; columns of pages (.html, or neither a medium's extension nor its name beside one that has) stay
    metadata.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row.values))
    parts: dict[str, str] = {}
    unsure = []
    for column in columns:
        values = [value for row in rows if isinstance(value := row.values.get(column), str)]
        if not values or 2 * sum(_URL.fullmatch(value) is not None for value in values) <= len(values):
            continue
        part = _part(column, values)
        if part is None:
            unsure.append(column)
        else:
            parts[part if part not in parts else f"{part}_{column}"] = column
    if not parts and len(unsure) == 1:
        parts = {"media": unsure[0]}
    if not parts:
        return None
    digests = _digests(parts, columns)
    texts = [column for column in columns if column.lower() in TEXT_COLUMNS and column not in parts.values()]
    inline = tuple("text" if index == 0 else f"text_{column}" for index, column in enumerate(texts))
    label = next((column for column in columns if column.lower() in LABEL_COLUMNS), None)
    return Urls(
        path,
        name=name,
        parts=parts | dict(zip(inline, texts, strict=True)),
        inline=inline,
        label=label,
        digests=digests,
    )


def _part(column: str, values: Sequence[str]) -> str | None:
    """The modality that a column's URLs have by extension, or that its name says."""
    kinds = Counter(modality_of_name(urlsplit(value.strip()).path) for value in values if _URL.fullmatch(value))
    kind, count = kinds.most_common(1)[0]
    if kind is not None and kind != "text" and 2 * count > len(values):
        return kind
    spoken = (kind for kind, words in _SPOKEN.items() if any(word in column.lower() for word in words))
    return next(spoken, None)


def _digests(parts: dict[str, str], columns: Sequence[str]) -> dict[str, str]:
    """By part, the column of its digest: sha256, or COLUMN_sha256, PART_sha256 where there are several parts."""
    found = {}
    for part, column in parts.items():
        names = {f"{start}_{digest}" for start in (part.lower(), column.lower()) for digest in _DIGESTS}
        names |= _DIGESTS if len(parts) == 1 else frozenset()
        if known := next((each for each in columns if each.lower() in names), None):
            found[part] = known
    return found
