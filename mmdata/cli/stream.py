"""`mmdata stream`: what a training would get, how well it is mixed, and how fast it comes."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmdata.cli.options import Json, Snapshot, StoreArg

if TYPE_CHECKING:
    from mmdata.core.arrays import ArraySpec


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
        list[str] | None, typer.Argument(metavar="[COLUMN...]", help="Features and texts; all features unless said.")
    ] = None,
    selection: Annotated[str | None, typer.Option("--selection", metavar="NAME", help="Only its samples.")] = None,
    split: Annotated[str | None, typer.Option("--split", metavar="NAME", help="Only this split of it.")] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Rows of a batch.")] = 256,
    seed: Annotated[int, typer.Option("--seed", help="Fixes the order.")] = 0,
    world: Annotated[int, typer.Option("--world", min=1, help="Ranks that share the batches.")] = 1,
    tail: Annotated[
        str, typer.Option("--tail", help="What becomes of rows that fill no last batch: drop, short, repeat or mask.")
    ] = "drop",
    describe: Annotated[bool, typer.Option("--describe", help="Say what would come, and read no data.")] = False,
    snapshot: Snapshot = None,
    as_json: Json = False,
) -> None:
    """Stream STORE through one epoch and say how fast it came; with --describe say what would come, and how mixed."""
    from mmdata import api
    from mmdata.cli.screen import print_json
    from mmdata.loader.quality import quality

    opened = api.open(store, snapshot=snapshot)
    made = api.stream(
        opened,
        columns or list(opened.families),
        selection=selection,
        split=split,
        batch_size=batch_size,
        seed=seed,
        world=world,
        tail=tail,
    )
    mixed = quality(made.plan, [chunk.files["samples"].shard for chunk in made.contents.chunks])
    found: dict[str, Any] = {
        "samples": made.n_rows,
        "steps": made.n_steps,
        "batch_size": made.batch_size,
        "world": world,
        "bytes_a_sample": round(made.contents.row_bytes),
        "shards": len({chunk.files["samples"].shard for chunk in made.contents.chunks}),
        "neighbour_distance": round(mixed.neighbour_distance, 4),
        "shard_entropy_bits": round(mixed.shard_entropy, 4),
        "shard_entropy_bits_full_shuffle": round(mixed.shard_entropy_full, 4),
        "columns": {name: form(spec) for name, spec in made.specs.items()},
    }
    if not describe:
        started, rows = perf_counter(), 0
        for batch in made:
            rows += len(batch["key"])
        seconds = max(perf_counter() - started, 1e-3)
        found |= {"seconds": round(seconds, 3), "samples_a_second": round(rows / seconds)}
    if as_json:
        print_json({"store": store, **found})
        return
    print(f"{found['samples']:,} samples in {found['shards']:,} shards, {found['bytes_a_sample']:,} bytes each")
    print(f"{found['steps']:,} steps of {batch_size:,} rows on each of {world} ranks")
    for name, spec in made.specs.items():
        print(f"  {name}  {form(spec)}")
    print(
        f"mixing: neighbours lie {mixed.neighbour_distance:.0%} as far apart as in a full shuffle; "
        f"a batch draws on shards with {mixed.shard_entropy:.2f} bits of entropy, of a full shuffle's "
        f"{mixed.shard_entropy_full:.2f}"
    )
    if not describe:
        print(f"read in {found['seconds']:.2f} s: {found['samples_a_second']:,} samples/s on this rank")
