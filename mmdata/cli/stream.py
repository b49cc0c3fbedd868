"""`mmdata stream`: what a training would get, how well it is mixed, and how fast it comes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmdata.cli.options import Json, Snapshot, StoreArg
from mmdata.errors import ConfigError

if TYPE_CHECKING:
    from mmdata.core.arrays import ArraySpec
    from mmdata.loader.parts import Part
    from mmdata.loader.quality import Quality
    from mmdata.loader.stream import Stream


def form(spec: ArraySpec) -> str:
    """An array's promise in a few words.

    >>> from mmdata.core.arrays import ArraySpec
    >>> form(ArraySpec(dims=("time", "mel"), sizes={"mel": 80}))
    'float32 [time, mel=80]'
    """
    axes = (dim if size is None else f"{dim}={size}" for dim, size in zip(spec.dims, spec.shape, strict=True))
    return f"{spec.dtype} [{', '.join(axes)}]"


def stream(
    store: StoreArg,
    columns: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COLUMN...]", help="Features, media and texts; all features unless said."),
    ] = None,
    selection: Annotated[str | None, typer.Option("--selection", metavar="NAME", help="Only its samples.")] = None,
    split: Annotated[str | None, typer.Option("--split", metavar="NAME", help="Only this split of it.")] = None,
    weighted: Annotated[bool, typer.Option("--weighted", help="Draw rows by the selection's weights.")] = False,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, help="Rows of a batch, 256 unless said; most, with --budget.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Fixes the order.")] = 0,
    world: Annotated[int, typer.Option("--world", min=1, help="Ranks that share the batches.")] = 1,
    tail: Annotated[
        str, typer.Option("--tail", help="What becomes of rows that fill no last batch: drop, short, repeat or mask.")
    ] = "drop",
    mix: Annotated[
        list[str] | None,
        typer.Option("--mix", metavar="STORE=WEIGHT", help="Mix another store in, with a weight; can be repeated."),
    ] = None,
    weight: Annotated[float, typer.Option("--weight", help="The weight of STORE itself, with --mix.")] = 1.0,
    epochs: Annotated[
        float | None,
        typer.Option("--epochs", help="Instead: how often STORE is gone through in an epoch; so say --mix's numbers."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="A mixture's epoch lasts until the first or all of its parts end.")
    ] = None,
    batches: Annotated[
        str | None, typer.Option("--batches", help="A mixture's batches: mixed, or each of a single part.")
    ] = None,
    length: Annotated[
        str | None, typer.Option("--length", metavar="FEATURE", help="Batches of similar length; needs --budget.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option("--budget", help="Most rows x longest of a batch, in the length's unit.")
    ] = None,
    shares: Annotated[
        int | None,
        typer.Option("--shares", help="Equal shares of a step, with --budget; as many as ranks unless said."),
    ] = None,
    steps: Annotated[
        Path | None,
        typer.Option("--steps", metavar="FILE", help="YAML: for columns of media the steps that follow decoding."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", metavar="FOLDER", help="Keep copies of the store's files on this machine.")
    ] = None,
    describe: Annotated[bool, typer.Option("--describe", help="Say what would come, and read no data.")] = False,
    snapshot: Snapshot = None,
    as_json: Json = False,
) -> None:
    """Stream STORE through one epoch and say how fast it came; with --describe say what would come, and how mixed."""
    from mmdata import api
    from mmdata.cli.screen import print_json
    from mmdata.config.columns import steps_by_column
    from mmdata.loader.parts import Part
    from mmdata.loader.quality import quality

    opened = api.open(store, snapshot=snapshot)
    made = api.stream(
        [
            Part(
                opened,
                selection,
                split,
                weight=weight if mix and epochs is None else None,
                epochs=epochs,
                weighted=weighted,
            ),
            *_mixed_in(mix or [], epochs is not None),
        ],
        columns or list(opened.families),
        batch_size=batch_size,
        seed=seed,
        world=world,
        tail=tail,
        length=length,
        budget=budget,
        until=until,
        batches=batches,
        shares=shares,
        steps=steps_by_column(steps) if steps else None,
        cache=cache,
    )
    mixed = quality(made.order, [[chunk.files["samples"].shard for chunk in part.chunks] for part in made.parts])
    found = _found(made, mixed) | ({} if describe else _timed(made))
    if as_json:
        print_json({"store": store, **found})
        return
    _tell(made, mixed, found)


def _mixed_in(mix: list[str], are_epochs: bool) -> list[Part]:
    """What is mixed with the store, with weights or numbers of epochs."""
    from mmdata.loader.parts import Part

    parts, faults = [], []
    for text in mix:
        place, _, number = text.rpartition("=")
        try:
            share = float(number)
            parts.append(Part(place, epochs=share) if are_epochs else Part(place, weight=share))
        except ValueError:
            what = "EPOCHS, such as out/photos=2" if are_epochs else "WEIGHT, such as out/photos=0.5"
            faults.append(f"--mix: {text!r} must be STORE={what}")
    if faults:
        raise ConfigError("stream", faults)
    return parts


def _found(made: Stream, mixed: Quality) -> dict[str, Any]:
    """What would come."""
    shards = {(part.place, chunk.files["samples"].shard) for part in made.parts for chunk in part.chunks}
    shares = (round(share, 4) for share in mixed.part_shares)
    return {
        "samples": made.n_rows,
        "steps": made.n_steps,
        "batch_size": made.batch_size,
        "world": made.world,
        "bytes_a_sample": round(max(part.row_bytes + part.media_bytes for part in made.parts)),
        "shards": len(shards),
        "neighbour_distance": round(mixed.neighbour_distance, 4),
        "shard_entropy_bits": round(mixed.shard_entropy, 4),
        "shard_entropy_bits_full_shuffle": round(mixed.shard_entropy_full, 4),
        **({"part_shares": dict(zip(made.names, shares, strict=True))} if made.names else {}),
        **({"padding": round(mixed.padding, 4)} if made.batch_size is None else {}),
        "columns": {name: form(spec) for name, spec in made.specs.items()},
    }


def _timed(made: Stream) -> dict[str, Any]:
    """How fast an epoch comes."""
    started, rows = perf_counter(), 0
    for batch in made:
        rows += len(batch["key"])
    seconds = max(perf_counter() - started, 1e-3)
    replaced = {"replaced": made.n_replaced} if made.n_replaced else {}
    return {"seconds": round(seconds, 3), "samples_a_second": round(rows / seconds), **replaced}


def _tell(made: Stream, mixed: Quality, found: dict[str, Any]) -> None:
    print(f"{found['samples']:,} samples in {found['shards']:,} shards, {found['bytes_a_sample']:,} bytes each")
    size = "rows of similar length" if made.batch_size is None else f"{made.batch_size:,} rows"
    print(f"{found['steps']:,} steps of {size} on each of {made.world} ranks")
    for name, spec in made.specs.items():
        print(f"  {name}  {form(spec)}")
    if made.names:
        print("parts: " + ", ".join(f"{share:.1%} {name}" for name, share in found["part_shares"].items()))
    if made.batch_size is None:
        print(f"padding: {mixed.padding:.1%} of what a batch holds")
    print(
        f"mixing: neighbours lie {mixed.neighbour_distance:.0%} as far apart as in a full shuffle; "
        f"a batch draws on shards with {mixed.shard_entropy:.2f} bits of entropy, of a full shuffle's "
        f"{mixed.shard_entropy_full:.2f}"
    )
    if "seconds" in found:
        print(f"read in {found['seconds']:.2f} s: {found['samples_a_second']:,} samples/s on this rank")
    if made.n_replaced:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in Counter(one.kind for one in made.replaced).items())
        last = made.replaced[-1]
        print(f"bad samples replaced: {made.n_replaced:,} ({kinds}); the last: {last.key}: {last.error}")
