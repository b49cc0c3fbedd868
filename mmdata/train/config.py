"""What a training run is asked to do: plain settings, no torch."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Gt, Le, Lt, MinLen

from mmdata.errors import ConfigError

Score = Literal["macro_f1", "macro_recall", "accuracy", "loss"]
FREE_TO_CHANGE = ("epochs", "patience", "checkpoint_steps", "log_steps")  # a resumed run may differ in these


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one training run.

    Args:
        inputs: the model's inputs by name: {"image": "image.embedding", "speech": "speech.mfcc"}. The column's promised
            form chooses the encoder: fixed axes make a vector, a varying first axis makes a sequence.
        target: the column of classes: "label", or a field of the metadata, "meta.NAME".
        encoders: by input name, "auto" unless said: "mlp" for a vector, "image" for rows, columns and channels, and for
            a sequence or tokens a chain of "cnn", "gru", "lstm" and "transformer", one after the other: "cnn+gru".
        fusion: a class of `train.fusion` in snake_case, or the import path of one that is imported already.
        width: numbers that each input becomes. hidden: sizes of the head's hidden layers.
        dropout: share of numbers silenced while training. modality_dropout: share of inputs treated as missing while
            training, so that the model learns to do without; the last input of a sample is never taken.
        epochs: at most so many. patience: stop after so many epochs without a better `score`; None never stops.
        batch_size: samples a batch. accumulate: batches a step, their gradients added up.
        optimizer: with its learning rate `lr`, and `momentum` for "sgd". weight_decay: L2. l1: of the weights' absolute
            values. clip_norm: the longest that a step's gradient may be.
        schedule: of the learning rate, after `warmup_steps` of rising: "constant"; "step" multiplies it by `lr_factor`
            every `lr_epochs`; "cosine" lets it fall to zero by the last epoch.
        autocast: compute in bfloat16 or float16 where that is safe; weights stay float32.
        label_smoothing: of the cross-entropy. focal: gamma of the focal loss; 0 is cross-entropy.
        class_weights: "balanced" weighs a class by the inverse of its share of the training split.
        score: what the validation split is judged by, macro_f1 unless said; equal scores are settled by the loss.
        seed: fixes weights, order and dropout. Same seed, same machine, same threads: same losses.
        selection: the store's selection that names the splits.
        train_split, val_split, test_split: a split's name, or several; None is none. Without `val_split` all epochs are
            trained, and the last is kept.
        checkpoint_steps: save after so many steps, besides after each epoch.
        log_steps: a row of `log.csv` after so many steps, and at an epoch's end; None is one at its end.
        threads: of torch, on a CPU. Small models are fastest on one; more of them round otherwise.
    """

    inputs: Annotated[Mapping[str, str], MinLen(1)]
    target: str = "label"
    encoders: Mapping[str, str] = field(default_factory=dict)
    fusion: str = "concat"
    width: Annotated[int, Gt(0)] = 128
    hidden: tuple[Annotated[int, Gt(0)], ...] = (128,)
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.3
    modality_dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    epochs: Annotated[int, Gt(0)] = 60
    patience: Annotated[int, Gt(0)] | None = 10
    batch_size: Annotated[int, Gt(0)] = 64
    accumulate: Annotated[int, Gt(0)] = 1
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    lr: Annotated[float, Gt(0)] = 1e-3
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    weight_decay: Annotated[float, Ge(0)] = 1e-2
    l1: Annotated[float, Ge(0)] = 0.0
    clip_norm: Annotated[float, Gt(0)] | None = None
    schedule: Literal["constant", "step", "cosine"] = "constant"
    warmup_steps: Annotated[int, Ge(0)] = 0
    lr_epochs: Annotated[int, Gt(0)] = 10
    lr_factor: Annotated[float, Gt(0), Le(1)] = 0.1
    autocast: Literal["off", "bfloat16", "float16"] = "off"
    label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0
    focal: Annotated[float, Ge(0)] = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    score: Score = "macro_f1"
    seed: Annotated[int, Ge(0), Le(2**63 - 1)] = 0
    selection: str | None = None
    train_split: str | tuple[str, ...] = "train"
    val_split: str | tuple[str, ...] | None = "val"
    test_split: str | tuple[str, ...] | None = "test"
    checkpoint_steps: Annotated[int, Gt(0)] | None = None
    log_steps: Annotated[int, Gt(0)] | None = None
    threads: Annotated[int, Gt(0)] = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", dict(self.inputs))
        object.__setattr__(self, "encoders", dict(self.encoders))
        object.__setattr__(self, "hidden", tuple(self.hidden))

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON can say them."""
        return {
            **dataclasses.asdict(self),
            "inputs": dict(self.inputs),
            "encoders": dict(self.encoders),
            "hidden": list(self.hidden),
        }

    @classmethod
    def of(cls, settings: Mapping[str, Any], *, where: str = "train") -> Self:
        """Settings from a pipeline file or a checkpoint, checked.

        Raises:
            ConfigError: a setting is unknown, of another type or out of its bounds; all such faults at once.
        """
        from pydantic import TypeAdapter, ValidationError

        known = [setting.name for setting in dataclasses.fields(cls)]
        faults = [f"no setting {name!r}{guess(name, known)}" for name in settings if name not in known]
        try:
            config = TypeAdapter(cls).validate_python({name: settings[name] for name in settings if name in known})
        except ValidationError as error:
            faults += [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        if faults:
            raise ConfigError(where, faults)
        return config


def guess(name: str, known: Iterable[str]) -> str:
    """The end of a fault's line: what was meant, perhaps, or what there is."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]!r}?" if close else f"; there are {', '.join(sorted(known)) or 'none'}"
