"""A stream's place as JSON, and what to say of a state that is of another stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from mmdata.errors import SchemaMismatch
from mmdata.loader.contents import Contents

STATE_VERSION = 2


@dataclass(frozen=True)
class Place:
    """Where a stream stands: `step` batches of an epoch were given."""

    epoch: int
    step: int


def state_of(place: Place, order: Mapping[str, Any], parts: Sequence[Contents]) -> dict[str, Any]:
    """The place, and what it is a place in: JSON values, a few hundred bytes for each part of the data."""
    return {
        "version": STATE_VERSION,
        "epoch": place.epoch,
        "step": place.step,
        "order": dict(order),
        "parts": [
            {"rows": part.n_rows, "shards": part.n_shards, "snapshot": part.snapshot, "content": dict(part.digests)}
            for part in parts
        ],
    }


def place_of(state: Mapping[str, Any], order: Mapping[str, Any], parts: Sequence[Contents], *, world: int) -> Place:
    """The place that a state names.

    Args:
        state: what `state_of` made, from any number of ranks.
        order: the settings of the stream that is to go on.
        parts: what it reads.
        world: how many ranks it has, to say what would fit.

    Raises:
        SchemaMismatch: the state is of another version, order or content; says which, and what to do.
    """
    saved = _upgraded(state)
    theirs, was = saved.get("order"), saved.get("parts")
    if not isinstance(theirs, Mapping) or not _are_parts(was):
        raise SchemaMismatch("the stream's state is damaged: it lacks its order or content")
    faults = list(_other_order(theirs, order, world))
    if len(was) != len(parts):
        faults.append(f"this stream has {len(parts)} parts, the state's had {len(was)}")
    else:
        faults += [fault for then, part in zip(was, parts, strict=True) for fault in _other_content(then, part)]
    if faults:
        raise SchemaMismatch("the state is of another stream: " + "; ".join(faults))
    return place_in(saved)


def place_in(state: Mapping[str, Any]) -> Place:
    """The place alone. Raises SchemaMismatch unless both are whole numbers from 0 on."""
    epoch, step = state.get("epoch"), state.get("step")
    if not (_is_count(epoch) and _is_count(step)):
        raise SchemaMismatch(f"the stream's state is damaged: epoch {epoch!r}, step {step!r}")
    return Place(epoch, step)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _upgraded(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """A state in the form of today. The first form knew one part, and no rows and shards of it."""
    if not isinstance(state, Mapping):
        raise SchemaMismatch(f"the stream's state is damaged: it is a {type(state).__name__}, not a mapping")
    version = state.get("version")
    number = version if isinstance(version, int) and not isinstance(version, bool) else 0
    if number == 1:
        return {**state, "parts": [{"content": state.get("content")}]}
    if number != STATE_VERSION:
        newer = number > STATE_VERSION
        advice = ": a newer mmdata saved it, update this one" if newer else ": no stream's state_dict has it"
        raise SchemaMismatch(f"the stream's state has version {version!r}, this mmdata reads {STATE_VERSION}{advice}")
    return state


def _are_parts(value: Any) -> TypeGuard[Sequence[Mapping[str, Any]]]:
    if not isinstance(value, Sequence):
        return False
    return all(isinstance(part, Mapping) and isinstance(part.get("content"), Mapping) for part in value)


def _other_order(theirs: Mapping[str, Any], mine: Mapping[str, Any], world: int) -> Iterator[str]:
    for name in dict.fromkeys([*mine, *theirs]):
        if mine.get(name) != theirs.get(name):
            fits = _fits(theirs.get(name), world) if name == "global_batch_size" else ""
            yield f"{name} is {mine.get(name)!r}, the state has {theirs.get(name)!r}{fits}"


def _fits(saved: object, world: int) -> str:
    """How to come to a saved global batch size in this world."""
    if not isinstance(saved, int) or saved < 1:
        return ""
    ranks = "1 rank" if world == 1 else f"{world} ranks"
    if saved % world:
        return f" (which {ranks} can't share equally)"
    return f" (with {ranks}, batch_size={saved // world} fits)"


def _other_content(then: Mapping[str, Any], part: Contents) -> Iterator[str]:
    saved = then["content"]
    changed = [name for name, mine in part.digests.items() if saved.get(name, mine) != mine]
    for name in changed:
        yield f"{part.place}: {name} is not what it was ({part.digests[name]}, the state has {saved[name]})"
    if changed:
        yield _advice(then, part, changed)


def _advice(then: Mapping[str, Any], part: Contents, changed: Sequence[str]) -> str:
    """Which of the two is newer, as far as counts tell, and what to do."""
    name, here = then.get("snapshot"), (then.get("rows"), then.get("shards"))
    if name is not None and name != part.snapshot:
        return f"the state is of snapshot {name!r}: open the store with snapshot={name!r}"
    if "rows" not in changed:
        what = f"the samples are the same, their {'weights' if 'weights' in changed else 'features'} are not"
    elif None in here or here == (part.n_rows, part.n_shards):
        what = "the rows are as many, but not the same"
    else:
        now = f"{part.n_rows} rows in {part.n_shards} shards, the state saw {here[0]} in {here[1]}"
        more = (part.n_rows, part.n_shards) > here
        what = f"the store is {'newer' if more else 'older, or lost samples'}: {now}"
    return (
        f"{what}. Open a snapshot from when the state was saved (mmdata.open(..., snapshot=NAME)), or begin the next "
        f"epoch without it (seek(epoch=...))"
    )
