"""Whether a training can work, asked before its first step; all faults at once, by their settings' names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from mmdata.core.arrays import ArraySpec
from mmdata.errors import ConfigError, DataError
from mmdata.loader.reader import ShardReader
from mmdata.loader.stream import Stream
from mmdata.train.config import TrainConfig, guess
from mmdata.train.inputs import Batch, Input, numbers_of, parts_of
from mmdata.train.statistics import Statistics, Target, gather
from mmdata.train.vae import decoded

SHOWN = 5  # classes that a message lists
MAX_IDS = 1 << 22  # tokens that a table has vectors for; vocabularies have some 100,000
LARGEST = 1e30  # a deviation that float32 can count with


def check_form(inputs: Sequence[Input], config: TrainConfig, specs: Mapping[str, ArraySpec]) -> None:
    """Check what is known without reading.

    Raises:
        ConfigError: a target is a feature of many numbers, or an input; nothing that goes in could be decoded.
    """
    faults = []
    for name, task in config.learned.items():
        faults += [
            f"{_setting(name)}: {column!r} is the input {item!r}, too: its answer would be given away"
            for item, column in config.inputs.items()
            if column == task.target
        ]
        spec = specs.get(task.target)
        if spec is not None and (spec.varying or math.prod(size or 0 for size in spec.shape) != 1):
            faults.append(
                f"{_setting(name)}: {task.target!r} has {spec.dims} a sample; a target is one number or class"
            )
    if config.objective == "reconstruction" and not decoded(inputs):
        faults.append("inputs: there are only tokens, which a reconstruction can't give back: add one of numbers")
    if faults:
        raise ConfigError("train", faults)


def check_files(streams: Iterable[Stream], *, rank: int = 0, world: int = 1) -> None:
    """Compare each file that streams read with the log, once, whatever several of them share; of a local store.

    Damage that can still be decoded gives other numbers, and is found by nothing else. Of `world` ranks each compares
    a part of the files.

    Raises:
        StoreError: a file's bytes changed, or it is gone; says which, and what to do.
        SchemaMismatch: it holds arrays of another form than the rest of its family.
    """
    parts = [part for stream in streams for part in stream.parts]
    if not parts or not parts[0].files.is_local:
        return
    wanted = {
        file.path: file
        for part in parts
        for family in {column.family for column in part.columns}
        for file in (chunk.files[family] for chunk in part.chunks)
    }
    reader = ShardReader(parts[0].files, parts[0].columns, check_digests=True)
    try:
        for path in sorted(wanted)[rank::world]:
            reader.check(wanted[path])
    finally:
        reader.close()


def check_split(found: Statistics, config: TrainConfig) -> None:
    """Check what the training split holds.

    Raises:
        ConfigError: nobody has an input; token ids past a table's bound; a target that the objective can't learn; too
            few pairs.
    """
    where = f"split {config.train_split!r} of selection {config.selection!r}"
    faults = [
        f"inputs.{name}: no sample of {where} has {config.inputs[name]!r}"
        for name, moments in found.moments.items()
        if moments.n == 0
    ]
    faults += [
        f"inputs.{name}: {config.inputs[name]!r} of {where} has the token id {n - 1}; at most {MAX_IDS - 1} is learned"
        for name, n in found.n_ids.items()
        if n > MAX_IDS
    ]
    for name, target in found.targets.items():
        faults += [f"{_setting(name)}: {fault}; {where}" for fault in _target_faults(target, config)]
    if config.objective == "contrastive" and found.n_pairs < 2:
        first, second = ("+".join(side) for side in config.pair)
        faults.append(
            f"sides: {found.n_pairs} samples of {where} have both {first} and {second}; at least two are told apart"
        )
    if faults:
        raise ConfigError("train", faults)


def check_batch(batch: Batch, inputs: Sequence[Input], config: TrainConfig) -> None:
    """Check a batch that a model will be judged on.

    Raises:
        DataError: an input holds NaN or infinity, or a target no number.
    """
    parts_of(batch, inputs)
    for task in config.learned.values():
        if task.objective == "regression" and (odd := numbers_of(batch, task.target)[1]) is not None:
            raise DataError(f"{task.target!r} of {odd[0]!r} is {odd[1]!r}: a regression needs finite numbers")


def check_judge(
    batches: Iterable[Batch],
    inputs: Sequence[Input],
    config: TrainConfig,
    *,
    known: Statistics,
    split: object,
    total: Callable[[int], int] = int,
) -> None:
    """Check a split that a model will be judged on.

    Args:
        batches: all of it, or a rank's share.
        inputs: of the model.
        config: the run's settings.
        known: what the training split holds.
        split: its name.
        total: a rank's count to that of all ranks.

    Raises:
        ConfigError: nothing of it can be judged. DataError: as `check_batch`.
    """

    def checked() -> Iterator[Batch]:
        for batch in batches:
            check_batch(batch, inputs, config)
            yield batch

    found = gather(checked(), inputs, config)
    where = f"of split {split!r} of selection {config.selection!r}"
    faults = []
    for name, target in found.targets.items():
        is_number = target.task.objective == "regression"
        n = target.numbers.n if is_number else sum(target.classes[each] for each in known.targets[name].names)
        if total(n) == 0:
            lacking = "a number" if is_number else "a class of the training split"
            faults.append(f"{_setting(name)}: no sample {where} has {lacking} in {target.task.target!r} to judge by")
    if config.objective == "contrastive" and (n := total(found.n_pairs)) < 2:
        faults.append(f"sides: {n} samples {where} have both sides; at least two are told apart")
    if config.objective == "reconstruction" and total(found.n_pairs) == 0:
        faults.append(f"inputs: no sample {where} has any of them to judge by")
    if faults:
        raise ConfigError("train", faults)


def _setting(task: str) -> str:
    return f"tasks.{task}.target" if task else "target"


def _target_faults(target: Target, config: TrainConfig) -> Iterator[str]:
    column, names = target.task.target, target.names
    n = sum(target.counts)
    listed = ", ".join(repr(name) for name in names[:SHOWN]) + (", ..." if len(names) > SHOWN else "") or "none"
    if target.task.objective == "regression":
        yield from _number_faults(target)
    elif len(names) < 2:
        yield f"{column!r} has at least two classes where it can be learned, not {len(names)}: {listed}"
    elif target.task.objective == "binary" and len(names) > 2:
        yield f"{column!r} has {len(names)} classes, and binary tells two apart: {listed}; use cross_entropy"
    elif target.task.objective == "binary" and config.positive not in {None, *names}:
        yield f"positive: {column!r} has no class {config.positive!r}{guess(str(config.positive), names)}"
    elif len(names) == n and n > SHOWN:
        yield f"each of {n} samples has a class of its own in {column!r}: {listed}; is it a class?"


def _number_faults(target: Target) -> Iterator[str]:
    column = target.task.target
    if target.odd is not None:
        yield f"{column!r} of {target.odd[0]!r} is {target.odd[1]!r}: a regression needs finite numbers"
    elif target.numbers.n == 0:
        yield f"no sample has a number in {column!r}"
    elif not math.isfinite(float(target.numbers.scale()[0])) or float(target.numbers.scale()[0]) > LARGEST:
        yield f"{column!r} has numbers too far apart to be learned: divide them by something large, or take logarithms"
    elif target.is_still:
        yield f"{column!r} is {float(target.numbers.mean[0]):g} for every sample: there is nothing to learn"
