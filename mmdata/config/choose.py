"""Choosing a pipeline for a source that nobody has described: look at what is there, and say what was chosen."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmdata.codec.sniff import media_type, modality
from mmdata.core.ports import Entry, Source
from mmdata.core.step import address
from mmdata.errors import ConfigError, DataError
from mmdata.source.guess import guess
from mmdata.source.urls import Urls

NAMELESS = (".", "..", "~")  # ends of locations that give a source no name
LOOKED_AT = 5  # samples whose bytes decide what a part is
INGEST = {
    "image": ["codec.image.DecodeImage", "clean.image.FixOrientation"],
    "text": ["clean.text.NormalizeText"],
    "audio": ["codec.audio.DecodeAudio"],
    "video": ["codec.video.DecodeFrames"],
}
FEATURES = {
    "image": ["features.image.PerceptualHash", "features.image.Sharpness", "features.image.ImageSize"],
    "text": ["features.text.TextLength"],
    "audio": ["features.audio.AudioDuration", "features.audio.Loudness", "features.audio.LogMel"],
    "video": ["features.video.Keyframes", "features.video.OpticalFlow"],
}
# of these features one that a model can learn from, and a better one that costs more
TRAINED_ON = {
    "image": ("sharpness", "features.image.OrientedGradients"),
    "text": ("length.words", "features.text.HashedNgrams"),
    "audio": ("logmel", ""),
    "video": ("flow.histogram", ""),
}


def choose(location: str, storage_options: Mapping[str, str] | None = None) -> str:
    """A pipeline file for a location, as text: with the location, made absolute, so that it runs as it stands.

    Raises:
        ConfigError: there is nothing there, or nothing that could become samples.
    """
    source = guess(location, storage_options=storage_options)
    scan = source.scan()
    kinds = _kinds(source, scan.entries)
    if not kinds:
        raise ConfigError(location, ["none of its files holds text, an image, audio or video"])
    head = _head(location, source, scan.entries, kinds)
    next_step = _next(kinds) if any(entry.meta.get("label") is not None for entry in scan.entries) else []
    return "\n".join([*head, *_steps("ingest", INGEST, kinds), *_features(kinds), *next_step, ""])


def _absolute(location: str) -> str:
    """A path that means the same from every folder; a URL as it is."""
    location = location.removeprefix("file://")
    return location if "://" in location or "::" in location else os.path.abspath(os.path.expanduser(location))


def _kinds(source: Source, entries: Sequence[Entry]) -> dict[str, str]:
    """The modality of each part, by the content of a few samples; parts of no known kind are left out."""
    names = sorted({member.part for entry in entries for member in entry.members})
    kinds = {}
    for name in names:
        some = [entry for entry in entries if any(member.part == name for member in entry.members)][:LOOKED_AT]
        votes = Counter(kind for kind in _looks(source, some, name) if kind)
        if votes:
            kinds[name] = votes.most_common(1)[0][0]
        elif isinstance(source, Urls) and (told := _expected(source, some, name)):
            kinds[name] = told
    return kinds


def _expected(source: Urls, entries: Sequence[Entry], part: str) -> str | None:
    """What a part should be, where none of a few URLs could be fetched."""
    return next((source.expected(member) for entry in entries for member in entry.members if member.part == part), None)


def _looks(source: Source, entries: Sequence[Entry], part: str) -> Iterator[str | None]:
    for sample in source.read(entries):
        blob: Any = sample.parts[part]
        try:
            yield modality(media_type(blob.data()[:4096]))
        except DataError:
            yield None


def _head(location: str, source: Source, entries: Sequence[Entry], kinds: dict[str, str]) -> list[str]:
    shown = ", ".join(f"{name if name.isidentifier() else _quoted(name)} ({kind})" for name, kind in kinds.items())
    lines = [f"# Chosen by mmdata for {len(entries)} samples of {shown}.", "source:", f"  use: {address(type(source))}"]
    settings: Any = source
    for index, field in enumerate(dataclasses.fields(settings)):
        value = getattr(source, field.name)
        if not index:
            lines.append(f"  {field.name}: {_quoted(_absolute(value))}")
        elif field.name == "root":
            lines += [f"  root: {_quoted(value)}  # the folder that holds all the files that it names"] if value else []
        elif field.name == "name":
            lines += [f"  name: {_quoted(value)}"] if location.rstrip("/").endswith(NAMELESS) else []
        elif value not in (field.default, None, {}) and "secret" not in field.metadata:
            lines.append(f"  {field.name}: {_quoted(value)}")
    return lines


def _steps(section: str, table: dict[str, list[str]], kinds: dict[str, str]) -> list[str]:
    lines = [f"{section}:"]
    for part, kind in kinds.items():
        for step in table[kind]:
            lines.append(f"  - use: {step}")
            lines += [] if part == kind else [f"    on: {_quoted(part)}"]
            lines += ["    fps: 2", "    size_px: 320"] if step.endswith("DecodeFrames") else []
    return lines


def _features(kinds: dict[str, str]) -> list[str]:
    read = {("frames" if kind == "video" else part): kind for part, kind in kinds.items()}
    lines = ["features:"]
    for part, kind in read.items():
        usual = "frames" if kind == "video" else kind
        for step in FEATURES[kind]:
            lines.append(f"  - use: {step}")
            lines += [] if part == usual else [f"    on: {_quoted(part)}"]
    return lines


def _next(kinds: dict[str, str]) -> list[str]:
    """How to go on where samples have labels, as comments."""
    read = {("frames" if kind == "video" else part): kind for part, kind in kinds.items()}
    inputs = {on: f"{on}.{TRAINED_ON[kind][0]}" for on, kind in read.items()}
    better = sorted({TRAINED_ON[kind][1] for kind in read.values()} - {""})
    return [
        "",
        "# The samples have labels. To train a classifier on them, uncomment these sections, and give this file to",
        "# mmdata run FILE --store STORE",
        *([f"# It learns more from {' and '.join(better)}: add to the features above."] if better else []),
        "# select:",
        "#   name: v1",
        "#   split: {train: 0.8, val: 0.1, test: 0.1}",
        "# train:",
        f"#   inputs: {_quoted(inputs)}",
    ]


def _quoted(value: object) -> str:
    """A value as YAML, on one line whatever is in it."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)
