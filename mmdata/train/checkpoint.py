"""One file that holds a whole run: weights now and at their best, optimiser, place in the stream, randomness, scores.

The file is torch's own archive, read with `weights_only=True`: tensors and plain values, nothing that runs code.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmdata.errors import ConfigError, SchemaMismatch
from mmdata.train.config import FREE_TO_CHANGE, TrainConfig
from mmdata.train.metrics import Metrics
from mmdata.train.model import FusionModel
from mmdata.train.plan import ModelPlan

FORMAT = 2
WRITER = ("PytorchStreamWriter", "inline_container")  # what torch names where its archive can't be written


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one epoch came to: the mean training loss, and the validation split's scores where there is one."""

    epoch: int
    train_loss: float
    val: Metrics | None = None


@dataclass
class Progress:
    """How far a run has come.

    Args:
        epoch, step: both whole ones, counted from the beginning. stream: state of the training stream.
        loss_sum, n_summed: of the epoch under way, over samples that teach something.
        n_unlabelled: samples of the training split that teach nothing.
        began: the step at which the epoch under way began.
        history: the epochs behind. stale: epochs since the best one. best_epoch: None before the first is through.
    """

    epoch: int = 0
    step: int = 0
    stream: dict[str, Any] | None = None
    loss_sum: float = 0.0
    n_summed: int = 0
    n_unlabelled: int = 0
    began: int = 0
    history: list[Epoch] = field(default_factory=list)
    stale: int = 0
    best_epoch: int | None = None

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Progress:
        """Of what `asdict` made.

        Raises:
            ValueError: a value is of another type or out of its bounds.
        """
        from pydantic import TypeAdapter

        found = TypeAdapter(cls).validate_python(value)
        n, best = len(found.history), found.best_epoch
        if found.epoch != n or (best is None) != (n == 0) or not 0 <= (best or 0) <= max(n - 1, 0):
            raise ValueError(f"{found.epoch} epochs, of which {best} is the best, and a history of {n}")
        if min(found.step, found.began, found.n_summed, found.n_unlabelled, found.stale) < 0:
            raise ValueError("a count is below 0")
        return found


@dataclass(kw_only=True)
class Checkpoint:
    """A run as it stands.

    Args:
        plan: the model's form. progress: how far it has come. model, best: weights now and of the best epoch.
        optimizer: its state. random: torch's generator on the processor, and on the device where it has its own.
        scaler: of the gradients' scale in float16; empty otherwise.
    """

    plan: ModelPlan
    progress: Progress
    model: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizer: dict[str, Any]
    random: dict[str, Tensor]
    scaler: dict[str, Any] = field(default_factory=dict)


def save(path: Path, state: Checkpoint) -> None:
    """Write the file whole or not at all: a reader, or the next run, finds this state or the one before."""
    plain = {"format": FORMAT, "plan": state.plan.to_json(), "progress": asdict(state.progress)}
    tensors = {"model": state.model, "best": state.best, "optimizer": state.optimizer, "random": state.random}
    tensors["scaler"] = state.scaler
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save({"json": json.dumps(plain), **tensors}, temporary)
        temporary.replace(path)
    except RuntimeError as error:
        if not any(sign in str(error) for sign in WRITER):
            raise
        raise OSError(f"{path} can't be written, is the disk full? What was there stays") from error
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path) -> Checkpoint:
    """Read what `save` wrote.

    Raises:
        SchemaMismatch: the file is damaged, is something else, or was written by a newer mmdata.
        FileNotFoundError: there is none.
    """
    raw = _archive(path)
    try:
        plain = json.loads(raw["json"])
        if plain["format"] > FORMAT:
            raise SchemaMismatch(
                f"{path} has format {plain['format']}, this mmdata reads up to {FORMAT}: install a newer"
            )
        if plain["format"] < FORMAT:
            raise SchemaMismatch(f"{path} has format {plain['format']}, of an mmdata before objectives: train it anew")
        tensors = {name: raw[name] for name in ("model", "best", "optimizer", "random")}
        tensors["scaler"] = raw.get("scaler", {})
        return Checkpoint(plan=ModelPlan.of(plain["plan"]), progress=Progress.of(plain["progress"]), **tensors)
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise SchemaMismatch(f"{path} is no checkpoint of mmdata: {type(error).__name__}: {error}") from error


def _archive(path: Path) -> dict[str, Any]:
    try:
        if zipfile.is_zipfile(path):
            _check_sums(path)
        raw = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f"no checkpoint at {path}: `mmdata train ... --out FOLDER` makes one") from None
    except Exception as error:  # torch raises nearly anything on damaged bytes
        raise SchemaMismatch(f"{path} is no checkpoint, or is damaged: {type(error).__name__}") from error
    if not isinstance(raw, dict):
        raise SchemaMismatch(f"{path} is no checkpoint of mmdata: it holds a {type(raw).__name__}")
    return raw


def _check_sums(path: Path) -> None:
    """Raises ValueError where a part of the archive is not what was written; torch itself doesn't ask."""
    with zipfile.ZipFile(path) as archive:
        if (torn := archive.testzip()) is not None:
            raise ValueError(f"{torn} is not what was written")


def check_config(path: Path, found: TrainConfig, asked: TrainConfig) -> None:
    """Refuse to go on with other settings than a run began with.

    Raises:
        SchemaMismatch: they differ; names all that do, but those that a run may change on its way.
    """
    then, now = found.to_json(), asked.to_json()
    fixed = {*now} - {*FREE_TO_CHANGE} | ({"epochs"} if asked.schedule == "cosine" else set())
    differing = [name for name in now if name in fixed and then[name] != now[name]]
    if differing:
        told = "; ".join(f"{name} was {then[name]!r}, is {now[name]!r}" for name in differing)
        raise SchemaMismatch(f"{path} is of another run: {told}. Give resume=False to start anew, or another `out`")


def load_model(path: Path | str) -> FusionModel:
    """The model of a checkpoint at its best epoch, ready to predict; `model.plan.heads` says what it gives."""
    state = load(Path(path))
    try:
        return rebuild(state.plan, state.best or state.model).eval()
    except SchemaMismatch as error:
        raise SchemaMismatch(f"{path}: {error}") from error


def check_weights(plan: ModelPlan, weights: Mapping[str, Tensor]) -> None:
    """Compare names and forms, before memory is taken for a model.

    Raises:
        SchemaMismatch: no model can be made of the plan, or the weights belong to another.
    """
    try:
        with torch.device("meta"):
            asked = {name: tensor.shape for name, tensor in FusionModel(plan).state_dict().items()}
    except Exception as error:  # whatever settings that nobody checked lead to
        raise SchemaMismatch(f"the checkpoint's plan makes no model: {type(error).__name__}: {error}") from error
    if not isinstance(weights, Mapping) or not all(isinstance(each, Tensor) for each in weights.values()):
        raise SchemaMismatch("the checkpoint's weights are not those of its plan: they are no tensors by name")
    found = {name: tensor.shape for name, tensor in weights.items()}
    if odd := sorted(name for name in asked.keys() | found.keys() if asked.get(name) != found.get(name)):
        name = odd[0]
        told = f"{name!r} is {_form(found.get(name))}, and the plan's {_form(asked.get(name))}"
        raise SchemaMismatch(f"the checkpoint's weights are not those of its plan: {told}")


def _form(shape: torch.Size | None) -> str:
    return "not there" if shape is None else str(list(shape))


def rebuild(plan: ModelPlan, weights: Mapping[str, Tensor]) -> FusionModel:
    """A model of that form with those weights.

    Raises:
        SchemaMismatch: the weights belong to a model of another form, or hold NaN or infinity.
    """
    check_weights(plan, weights)
    model = FusionModel(plan)
    model.load_state_dict(weights)
    for name, values in model.state_dict().items():
        if not bool(torch.isfinite(values).all()):
            raise SchemaMismatch(f"the checkpoint's weights {name!r} hold NaN or infinity: no answer of theirs is one")
    return model
