"""Which source fits a location, for those who bring data and no pipeline."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Literal

from mmdata.codec.sniff import HEAD_BYTES, extension, holds, media_type, modality, modality_of_name
from mmdata.core.ports import Source
from mmdata.errors import ConfigError, Unreadable
from mmdata.source.files import Files
from mmdata.source.huggingface import HuggingFace
from mmdata.source.huggingface.resolve import HUB, is_saved
from mmdata.source.listing import Found
from mmdata.source.local import LocalPlace
from mmdata.source.names import escapes, key_text
from mmdata.source.pairs import STEM
from mmdata.source.place import Location, Place, place, with_options
from mmdata.source.rows.form import LABEL_COLUMNS, TEXT_COLUMNS, NoTable, Row
from mmdata.source.rows.open import rows_of
from mmdata.source.table import EXTENSIONS, Table
from mmdata.source.urls import Urls
from mmdata.source.urls.columns import manifest_of
from mmdata.source.webdataset import Tars

_SPLITS = frozenset(("train", "training", "val", "valid", "validation", "dev", "test", "eval"))
_LOOKED_AT = 50  # rows
Reach = Callable[[str], Place]
_PLAIN_TABLES = tuple(kind for kind in EXTENSIONS if kind != "json")  # a .json beside media is their metadata


def guess(location: str, *, name: str = "", storage_options: Mapping[str, str] | None = None) -> Source:
    """The source that fits what a location holds: tars, tables, manifests of URLs, a saved dataset, a folder of media.

    A folder's files are paired by stem; or by their path below folders that hold one modality each (images/a.png and
    texts/a.txt). Their folder is the label where two or more folders hold most of them, each several, and are not
    named like splits. Where a table names files outside of its folder by absolute paths, the root is the folder that
    they share.

    Raises:
        ConfigError: there is nothing, or nothing that is known.
    """
    if not name and location.rstrip("/").rpartition("/")[2] in ("", ".", "..", "~"):
        name = os.path.basename(os.path.abspath(os.path.expanduser(location)))
    reach = partial(place, storage_options=storage_options)
    return with_options(_guess(location, name, reach), storage_options or {})


def _guess(location: str, name: str, reach: Reach) -> Source:
    if location.startswith(HUB) or is_saved(location):
        return HuggingFace(location, name=name)
    if Location.of(location, ("tar",)).pattern.endswith(".tar"):
        return Tars(location, name=name)
    if Location.of(location, EXTENSIONS).pattern:
        return _table(location, name, reach)
    stands = reach(location).holds()
    if stands == "folder":
        return _folder(location, name, reach)
    why = _no_source(location, reach) if stands == "file" else "there is no such file or folder"
    raise ConfigError(location, [why])


def _no_source(location: str, reach: Reach) -> str:
    folder, _, file = location.rpartition("/")
    with reach(folder or ".").open(file) as opened:
        head = opened.read(HEAD_BYTES)
    return f"one file is no source, unless it is a .tar, or a table: .{', .'.join(EXTENSIONS)}; {holds(head, file)}"


def _folder(location: str, name: str, reach: Reach) -> Source:
    files = reach(location).walk(name).files
    kinds = Counter(extension(file.path) for file in files)
    n_media = sum(modality_of_name(file.path) is not None for file in files)
    if kinds["tar"] and not n_media:
        return Tars(location, name=name)
    tables = sorted(file.path for file in files if extension(file.path) in _PLAIN_TABLES)
    if tables and not n_media:
        return _table(f"{location.rstrip('/')}/{tables[0]}" if len(tables) == 1 else location, name, reach)
    for path in sorted(tables, key=lambda path: not path.startswith("metadata.")):
        if "/" not in path and _names_files(reach(location), path):
            return _table(f"{location.rstrip('/')}/{path}", name, reach)
    parts = _mirrored(files)
    return Files(location, name=name, parts=parts, label=_label(files, parts), exclude=_drawings(files))


def _names_files(where: Place, path: str) -> bool:
    """Whether a table in a folder of media names files of the folder."""
    try:
        return any(part != "text" for part in _columns(where, path))
    except NoTable:
        return False


def _table(path: str, name: str, reach: Reach) -> Table | Urls:
    """A table, or a manifest of URLs, with its parts, texts and label told from its first rows."""
    location = Location.of(path, EXTENSIONS)
    where = reach(location.folder)
    tables = [location.pattern]
    if not location.is_one:
        files = (file.path for file in where.walk(name).files)
        tables = [file for file in files if location.fits(file) and extension(file) in EXTENSIONS]
    first = tables[0] if tables else ""
    try:
        columns = _columns(where, first) if first else {}
        rows = _first_rows(where, first) if first else []
    except NoTable as error:
        raise ConfigError(path, [f"{first}: {error}"]) from None
    names = {column for row in rows for column in row.values}
    if all(part.startswith("text") for part in columns) and (web := manifest_of(path, rows, name=name)):
        return web
    if not columns:
        found = f": {', '.join(sorted(names))}" if names else ""
        raise ConfigError(path, [f"no column holds media, names files or is called {', '.join(TEXT_COLUMNS)}{found}"])
    label = next((column for column in LABEL_COLUMNS if column in names), None)
    inline = tuple(part for part, column in columns.items() if column in TEXT_COLUMNS and part.startswith("text"))
    root = _root(where, tables, [column for part, column in columns.items() if part not in inline])
    return Table(path, name=name, parts=columns, inline=inline, label=label, root=root)


def _root(where: Place, tables: Sequence[str], columns: Sequence[str]) -> str:
    """The folder that holds all files which tables name by absolute paths outside of their own; "" when none does.

    Raises:
        ConfigError: no folder holds them all, or other paths are relative to the tables' folder.
    """
    named = {column: list(_paths(_first_rows(where, tables[0]), [column])) for column in columns}
    outside = sorted(column for column, paths in named.items() if any(_lies_outside(where, path) for path in paths))
    if not outside:
        return ""
    folders = {os.path.dirname(path) for path in _all_paths(where, tables, outside) if path.startswith("/")}
    root: str = os.path.commonpath(folders)
    says = f"{' and '.join(map(repr, outside))}: absolute paths that lie outside of the table's folder"
    relative = [path for paths in named.values() for path in paths if path[0] != "/" and not where.stat(path).problem]
    if relative:
        raise ConfigError(tables[0], [f"{says}, and {relative[0]!r} is relative to it; write all of them one way"])
    if root == "/":
        some = " and ".join(sorted(folders)[:2])
        raise ConfigError(tables[0], [f"{says}, in {some}: set root: to a folder that holds them all"])
    return root


def _all_paths(where: Place, tables: Sequence[str], columns: Sequence[str]) -> Iterator[str]:
    for table in tables:
        with suppress(NoTable, Unreadable):  # the scan tells of it
            rows = rows_of(where, table)
            there = rows.columns()
            yield from _paths(rows.rows(None if there is None else set(columns) & set(there)), columns)


def _paths(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[str]:
    """The media files that cells name."""
    for row in rows:
        for column in columns:
            path = _path(row.values.get(column))
            if path and modality_of_name(path) is not None:
                yield path


def _path(value: object) -> str | None:
    """What a cell may name a file by; None where it holds the bytes themselves."""
    if isinstance(value, Mapping):
        value = None if value.get("bytes") is not None else value.get("path")
    return value if isinstance(value, str) else None


def _lies_outside(where: Place, path: str) -> bool:
    """Whether a path names a file of this system that is not in the place."""
    local = isinstance(where, LocalPlace)  # what comes by a URL has no say about the files here
    return local and path.startswith("/") and where.relative(path) is None and os.path.isfile(path)


def _first_rows(where: Place, path: str) -> list[Row]:
    return [row for row in islice(rows_of(where, path).rows(None), _LOOKED_AT) if not row.fault]


def _columns(where: Place, path: str) -> dict[str, str]:
    """By part, the column that holds it: bytes of media, paths of files, or text by the column's name."""
    found: dict[str, str] = {}
    by_column: dict[str, list[object]] = defaultdict(list)
    for row in _first_rows(where, path):
        for column, value in row.values.items():
            if value is not None:
                by_column[column].append(value)
    for column, values in by_column.items():
        part = _modality(where, values)
        if part is None and column in TEXT_COLUMNS and all(isinstance(value, str) for value in values):
            part = "text"
        if part is not None:
            found[part if part not in found else f"{part}_{column}"] = column
    return found


def _modality(where: Place, values: Sequence[object]) -> str | None:
    """What most of a column's values are the bytes or the path of; None for anything else."""
    kinds = Counter(_kind(where, value) for value in values)
    ((kind, count),) = kinds.most_common(1)
    return kind if kind and 2 * count > len(values) else None


def _kind(where: Place, value: object) -> str | None:
    data = value.get("bytes") if isinstance(value, Mapping) else value
    if isinstance(data, bytes):
        return modality(media_type(data[:HEAD_BYTES]))
    path = _path(value)
    if path is None or modality_of_name(path) is None:
        return None
    if _lies_outside(where, path):
        return modality_of_name(path)
    path = (where.relative(path) or path) if path.startswith("/") else path
    return None if escapes(path) or where.stat(path).problem else modality_of_name(path)


def _mirrored(files: Iterable[Found]) -> dict[str, str | tuple[str, ...]] | None:
    """Patterns, where each of several folders holds one modality and they agree on the paths below; None otherwise."""
    stems: dict[str, set[str]] = defaultdict(set)
    kinds: dict[str, set[str]] = defaultdict(set)
    for file in files:
        kind = modality_of_name(file.path)
        if kind is not None:
            top, slash, rest = key_text(file.path).partition("/")
            kinds[top if slash else ""].add(kind)
            stems[top if slash else ""].add(rest.rpartition(".")[0])
    singles = {next(iter(of)): top for top, of in sorted(kinds.items()) if len(of) == 1}
    if "" in kinds or len(kinds) < 2 or len(singles) != len(kinds):
        return None
    shared = set.intersection(*stems.values())
    if 2 * len(shared) < min(len(of) for of in stems.values()):
        return None
    order: list[Literal["image", "video", "audio", "text"]] = ["image", "video", "audio", "text"]
    return {kind: f"{singles[kind]}/{STEM}.*" for kind in order if kind in singles}


def _label(files: Iterable[Found], parts: object) -> Literal["parent"] | None:
    """Whether the files' folders look like classes."""
    if parts is not None:
        return None
    stems = {key_text(file.path).rpartition(".")[0] for file in files if modality_of_name(file.path)}
    folders = Counter(stem.rpartition("/")[0].rpartition("/")[2] for stem in stems)
    outside, inside = folders.pop("", 0), folders.total()
    several = inside > outside and inside >= 2 * len(folders)
    splits = {folder.lower() for folder in folders} <= _SPLITS
    return "parent" if len(folders) >= 2 and several and not splits else None


def _drawings(files: Iterable[Found]) -> tuple[str, ...]:
    """What to leave out where pictures lie beside the drawings that they were made from."""
    found: dict[str, set[bool]] = defaultdict(set)
    for file in files:
        if modality_of_name(file.path) == "image":
            found[key_text(file.path).rpartition(".")[0]].add(extension(file.path) == "svg")
    return ("*.svg",) if any(len(kinds) == 2 for kinds in found.values()) else ()
