"""Parts of a mixture: what the user says of each, and that all of them give the same columns."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mmdata.errors import ConfigError, SchemaMismatch
from mmdata.loader.contents import Contents, contents_of
from mmdata.loader.media import MediaSettings
from mmdata.loader.names import check_words

if TYPE_CHECKING:
    from mmdata.store import Store


@dataclass(frozen=True)
class Part:
    """One of the parts that `stream` mixes.

    Args:
        store: an open store, or where it is. Several parts may be of the same one.
        selection: only samples of that selection.
        split: only samples of that split of the selection, or of those splits.
        weight: the part's share of the rows, in relation to the other parts' weights.
        epochs: instead of a weight: how often the part is gone through in an epoch of the stream. Its share of the rows
            follows from it and from its size; 1 where neither is given.
        name: what to call it, in messages and in `Stream.names`; by its store and split unless said.
        weighted: draw its rows by the selection's weights.
    """

    store: Store | str | os.PathLike[str]
    selection: str | None = None
    split: str | Sequence[str] | None = None
    weight: float | None = None
    epochs: float | None = None
    name: str | None = None
    weighted: bool = False


def parts_of(
    store: Store | Sequence[Part],
    *,
    selection: str | None,
    split: str | Sequence[str] | None,
    weighted: bool = False,
) -> list[Part]:
    """The parts of what `stream` was given, with their stores opened.

    Raises:
        ConfigError: there is no part, or a selection is given beside parts, which have their own.
    """
    from mmdata.store import Store

    if not isinstance(store, Sequence):
        return [Part(store, selection, split, weighted=weighted)]
    given = {"selection": selection, "split": split, "weighted": weighted}
    faults = [f"{name}: each part has its own: Part(store, {name}=...)" for name, value in given.items() if value]
    if not store:
        faults.append("store: there is no part")
    given_parts: Sequence[Any] = store  # whatever the annotation says
    faults += [
        f"store[{number}]: to mix, give mmdata.Part(store, weight=...), not a {type(part).__name__}"
        for number, part in enumerate(given_parts)
        if not isinstance(part, Part)
    ]
    if faults:
        raise ConfigError("stream", faults)
    is_place = (str, os.PathLike)
    return [
        replace(part, store=Store.open(os.fspath(part.store))) if isinstance(part.store, is_place) else part
        for part in store
    ]


def named(parts: Sequence[Part]) -> list[str]:
    """A name of its own for each part."""
    names: list[str] = []
    for part in parts:
        url = os.fspath(part.store) if isinstance(part.store, str | os.PathLike) else part.store.url
        split = part.split if isinstance(part.split, str | None) else "+".join(part.split)
        made = "/".join(word for word in (url.rstrip("/").rpartition("/")[2], split) if word)
        wanted = made if part.name is None else part.name
        same = sum(name == wanted or name.startswith(f"{wanted}#") for name in names)
        names.append(f"{wanted}#{same + 1}" if same else wanted)
    return names


def shares_of(parts: Sequence[Part], rows: Sequence[int]) -> list[float]:
    """How many rows each part gives in relation to the others.

    Args:
        parts: all of them.
        rows: how many each has.

    Raises:
        ConfigError: a weight or number of epochs is not above 0, or some parts have one and some the other.
    """
    faults = list(_faults(parts))
    if faults:
        raise ConfigError("stream", faults)
    if parts[0].weight is not None:
        return [float(part.weight or 0) for part in parts]
    return [goal * n_rows for goal, n_rows in zip(goals_of(parts), rows, strict=True)]


def goals_of(parts: Sequence[Part]) -> list[float]:
    """How often each part is to be gone through."""
    return [1.0 if part.epochs is None else float(part.epochs) for part in parts]


def _faults(parts: Sequence[Part]) -> Iterator[str]:
    weighed = [part.weight is not None for part in parts]
    for number, part in enumerate(parts):
        for name in ("weight", "epochs"):
            value = getattr(part, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                yield f"parts[{number}].{name}: must be above 0, not {value}"
        if part.weight is not None and part.epochs is not None:
            yield f"parts[{number}]: has a weight and a number of epochs: give one"
    if any(weighed) and not all(weighed):
        without = ", ".join(f"parts[{number}]" for number, has in enumerate(weighed) if not has)
        yield f"{without}: has no weight, as others do: give all parts weights, or numbers of epochs"


def contents_of_parts(parts: Sequence[Part], columns: Sequence[str], *, media: MediaSettings) -> list[Contents]:
    """Look up the columns and rows of all parts.

    Args:
        parts: with their stores opened.
        columns: names of what a batch holds.
        media: how media are decoded.

    Raises:
        ConfigError: a name is unknown or a part has no rows: of all parts at once.
        Incomplete: a shard with selected rows lacks a family.
        SchemaMismatch: the parts promise different forms of a column; says all that differ.
    """
    found: list[Contents] = []
    faults: list[str] = []
    for number, part in enumerate(parts):
        store: Store = part.store  # type: ignore[assignment]  # it is open
        lookup = partial(contents_of, store, columns, media=media, weighted=part.weighted)
        try:
            found.append(lookup(selection=part.selection, split=part.split))
        except ConfigError as error:
            start = f"parts[{number}]: " if len(parts) > 1 else ""
            faults += [f"{start}{fault}" for fault in error.faults]
    if faults:
        raise ConfigError("stream", faults)
    check_words([part.store for part in parts], found[0].columns)  # type: ignore[misc]  # they are open
    if differing := list(_differing(found, named(parts))):
        raise SchemaMismatch(
            f"parts of a mixture must give the same columns: {'; '.join(differing)}. Make the features with the same "
            "settings, or leave these columns out"
        )
    return found


def _differing(found: Sequence[Contents], names: Sequence[str]) -> Iterator[str]:
    """The columns that parts have in other forms than the first part."""
    first = {column.name: column for column in found[0].columns}
    for contents, name in zip(found[1:], names[1:], strict=True):
        for column in contents.columns:
            mine = first[column.name]
            if column.spec != mine.spec or type(column) is not type(mine):
                forms = [str(one.spec or "text") for one in (mine, column)]
                yield f"{column.name!r} is {forms[0]} in {names[0]!r}, {forms[1]} in {name!r}"
