"""Snapshots: one JSON file each, made once, that pins every file and digest of a picture."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mmdata.errors import SchemaMismatch, StoreError
from mmdata.store.files import Files
from mmdata.store.layout import (
    DROPS,
    FORMAT,
    REJECTS,
    SAMPLES,
    SNAPSHOTS,
    DataFile,
    Media,
    checked_snapshot,
    folder,
    is_selection,
)
from mmdata.store.runs import Recipe
from mmdata.store.view import StoreView, join


@dataclass(frozen=True)
class Snapshot:
    """A pinned picture.

    Args:
        name: its own. created: when, ISO 8601, UTC.
        view: what it shows. recipes: those that joined it.
        selections: the files of the selections that there were.
    """

    name: str
    created: str
    view: StoreView
    recipes: Sequence[Recipe]
    selections: Sequence[DataFile] = ()

    def files(self) -> list[DataFile]:
        """Every file that it pins."""
        return [*self.view.files(), *self.selections]


def of(name: str, view: StoreView, recipes: Sequence[Recipe], selections: Sequence[DataFile] = ()) -> Snapshot:
    """A picture as a snapshot that is not kept. Raises StoreError when the name can't be one."""
    return Snapshot(checked_snapshot(name), datetime.now(UTC).isoformat(), view, tuple(recipes), tuple(selections))


def keep(files: Files, snapshot: Snapshot) -> Snapshot:
    """Pin it. Raises StoreError when the name is taken."""
    try:
        files.create(_path(snapshot.name), _text(snapshot))
    except FileExistsError:
        name = snapshot.name
        raise StoreError(f"there is a snapshot {name!r} already, and they never change: take another name") from None
    return snapshot


def delete(files: Files, name: str) -> None:
    """Let go of what a snapshot pins; none of that name is no error."""
    files.delete(_path(checked_snapshot(name)))


def replace(files: Files, snapshot: Snapshot) -> None:
    """Pin another picture under a snapshot's name, at once: only what was forgotten may leave it."""
    files.replace(_path(snapshot.name), _text(snapshot))


def _text(snapshot: Snapshot) -> bytes:
    value = {
        "format": FORMAT,
        "name": snapshot.name,
        "created": snapshot.created,
        "recipes": [json.loads(recipe.to_json()) for recipe in snapshot.recipes],
        "files": [_row(file) for file in snapshot.files()],
    }
    return json.dumps(value, sort_keys=True).encode()


def read(files: Files, name: str) -> Snapshot:
    """The snapshot of a name.

    Raises:
        StoreError: there is none. SchemaMismatch: a newer mmdata made it, or it is damaged.
    """
    try:
        text = files.read(_path(checked_snapshot(name)))
    except FileNotFoundError:
        there = ", ".join(names(files)) or "none"
        raise StoreError(f"no snapshot {name!r} in {files.url!r}; there are: {there}") from None
    try:
        return _parsed(name, json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise SchemaMismatch(f"{files.url}/{_path(name)} is damaged: {type(error).__name__}: {error}") from error


def _parsed(name: str, value: Mapping[str, Any]) -> Snapshot:
    if value["format"] > FORMAT:
        raise SchemaMismatch(f"snapshot {name!r} has format {value['format']}, this mmdata knows {FORMAT}: update it")
    recipes = [Recipe(each["samples"], each["features"]) for each in value["recipes"]]
    by_family: dict[str, list[DataFile]] = {}
    for row in value["files"]:
        file = _file(row)
        by_family.setdefault(file.family, []).append(file)
    selected = [pin for family in list(by_family) if is_selection(family) for pin in by_family.pop(family)]
    own = {family: by_family.pop(family, []) for family in (SAMPLES, DROPS, REJECTS)}
    view = join(own[SAMPLES], by_family, recipes, drops=own[DROPS], rejects=own[REJECTS])
    return Snapshot(name, value["created"], view, recipes, selected)


def names(files: Files) -> list[str]:
    """The names of all snapshots, sorted."""
    found = (listed.path.rpartition("/")[2] for listed in files.listing(SNAPSHOTS))
    return sorted(name.removesuffix(".json") for name in found if name.endswith(".json"))


def pinned(files: Files) -> Iterable[DataFile]:
    """Every file that any snapshot pins."""
    for name in names(files):
        yield from read(files, name).files()


def pinned_paths(files: Files) -> Iterator[str]:
    """The paths of these files and of their tars."""
    for file in pinned(files):
        yield file.path
        if file.media is not None:
            yield file.media.path


def _path(name: str) -> str:
    return f"{SNAPSHOTS}/{name}.json"


def _row(file: DataFile) -> list[object]:
    media = [file.media.path, file.media.size_bytes, file.media.digest] if file.media else None
    row = [file.family, file.name, file.shard, file.fp, file.keys, file.rows, file.size_bytes, file.digest]
    return [*row, file.source, media]


def _file(row: Sequence[Any]) -> DataFile:
    family, name, *rest, media = row
    shard, fp, keys, rows, size, digest, source = rest
    place = f"{folder(family)}/{name}"
    return DataFile(family, place, shard, fp, keys, rows, size, digest, source, Media(*media) if media else None)
