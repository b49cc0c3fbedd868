"""What the columns of a dataset are: its `Features`, as its files tell them, without importing `datasets`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mmdata.source.rows.form import LABEL_COLUMNS, TEXT_COLUMNS

MEDIA = {"Image": "image", "Audio": "audio", "Video": "video"}
Features = Mapping[str, Any]


def features_of(metadata: Mapping[bytes, bytes] | None) -> Features | None:
    """The features in the metadata of an Arrow schema; None where `datasets` did not write it, or what it holds is no
    such thing.
    """
    try:
        found = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return None
    return found if isinstance(found, dict) and all(isinstance(each, dict | list) for each in found.values()) else None


def features_of_schema(schema: Any) -> Features:
    """The features that an Arrow schema shows by itself: text, bytes in the form of media, and the rest."""
    found = {}
    for column in schema:
        text = str(column.type)
        if text.startswith("struct<bytes: ") and "binary" in text:
            found[column.name] = {"_type": "Media"}
        else:
            kind = "string" if text in ("string", "large_string") else text
            found[column.name] = {"_type": "Value", "dtype": kind}
    return found


def kind_of(feature: Any) -> str:
    """The class of a feature: "Image", "Value", "List"...; "" for a dict of features."""
    return "List" if isinstance(feature, list) else str(feature.get("_type", ""))


def usual_parts(features: Features) -> dict[str, str]:
    """By part, its column: media, named by modality, and columns that are called like texts are."""
    parts: dict[str, str] = {}
    for column, feature in features.items():
        modality = MEDIA.get(kind_of(feature))
        if kind_of(feature) == "Media":
            modality = next((kind for kind in MEDIA.values() if kind in column.lower()), "media")
        if is_text(feature) and column in TEXT_COLUMNS:
            modality = "text"
        if modality:
            parts[modality if modality not in parts else f"{modality}_{column}"] = column
    return parts


def is_text(feature: Any) -> bool:
    return kind_of(feature) == "Value" and feature.get("dtype") in ("string", "large_string")


def usual_label(features: Features) -> str | None:
    """The column of the label: the only one of named classes, or the first that is called like one."""
    classes = [column for column, feature in features.items() if kind_of(feature) == "ClassLabel"]
    if len(classes) == 1:
        return classes[0]
    return next((column for column in LABEL_COLUMNS if column in features), None)


def is_metadata(feature: Any) -> bool:
    """Whether a column's values can be metadata: not media, bytes, lists of these, nor numbers by the thousand."""
    kind = kind_of(feature)
    if kind == "Value":
        return "binary" not in str(feature.get("dtype"))
    if kind == "ClassLabel" or kind.startswith("Translation"):
        return True
    if kind in ("List", "LargeList", "Sequence"):
        return is_metadata(_inner(feature))
    return not kind and all(is_metadata(each) for each in feature.values())


def named(value: Any, feature: Any) -> Any:
    """A value with the names of its classes in place of their numbers, however deep they lie; -1 is no class.

    >>> named([0, -1], {"_type": "List", "feature": {"_type": "ClassLabel", "names": ["cat", "dog"]}})
    ['cat', None]
    """
    kind = kind_of(feature)
    if value is None:
        return None
    if kind == "ClassLabel":
        names = feature.get("names") or []
        return names[value] if isinstance(value, int) and 0 <= value < len(names) else None if value == -1 else value
    if kind in ("List", "LargeList", "Sequence"):
        inner = _inner(feature)
        if isinstance(value, Mapping) and not kind_of(inner):  # a Sequence of a dict lies as a dict of lists
            return {name: [named(item, inner[name]) for item in items] for name, items in value.items()}
        return [named(item, inner) for item in value]
    if not kind and isinstance(value, Mapping):
        return {name: named(item, feature[name]) for name, item in value.items()}
    return value


def _inner(feature: Any) -> Any:
    return feature[0] if isinstance(feature, list) else feature["feature"]
