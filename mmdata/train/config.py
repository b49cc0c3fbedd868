"""What a training run is asked to do: plain settings, no torch."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self, cast

from annotated_types import Ge, Gt, Le, Lt, MinLen

from mmdata.errors import ConfigError

Aim = Literal["cross_entropy", "binary", "regression"]
Objective = Literal["cross_entropy", "binary", "regression", "contrastive", "reconstruction"]
_OF_CLASSES = (
    "accuracy",
    "macro_f1",
    "macro_precision",
    "macro_recall",
    "micro_f1",
    "roc_auc",
    "pr_auc",
    "ece",
    "brier",
)
SCORES: dict[str, tuple[str, ...]] = {  # by objective what a model is judged by; the first, unless said
    "cross_entropy": ("macro_f1", *_OF_CLASSES),
    "binary": ("macro_f1", *_OF_CLASSES, "precision", "recall", "f1"),
    "regression": ("rmse", "mae", "r2", "pearson", "spearman"),
    "contrastive": (
        "recall@1",
        *(f"{way}recall@{k}" for way in ("", "forth_", "back_") for k in (1, 5, 10)),
        *(f"{way}median_rank" for way in ("", "forth_", "back_")),
    ),
    "reconstruction": ("mse", "filled_mse", "kl"),
}
LOW_IS_GOOD = frozenset({"loss", "ece", "brier", "rmse", "mae", "median_rank", "mse", "filled_mse", "kl"})
LOW_IS_GOOD |= {"forth_median_rank", "back_median_rank"}
FREE_TO_CHANGE = ("epochs", "patience", "checkpoint_steps", "log_steps")  # a resumed run may differ in these


@dataclass(frozen=True, kw_only=True)
class Task:
    """One of several targets that a model learns at once.

    Args:
        target: the column. objective: what is made small. weight: how much it counts.
    """

    target: str
    objective: Aim = "cross_entropy"
    weight: Annotated[float, Gt(0)] = 1.0


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one training run.

    Args:
        inputs: the model's inputs by name: {"image": "image.embedding", "speech": "speech.mfcc"}. The column's promised
            form chooses the encoder: fixed axes make a vector, a varying first axis makes a sequence.
        objective: "cross_entropy" learns classes; "binary" whether or not, by one logit; "regression" a number;
            "contrastive" which of one side's inputs belong to which of the other's; "reconstruction" the inputs
            themselves, by a variational autoencoder, also those that a sample lacks.
        target: the column to learn: "label", or a field of the metadata, "meta.NAME"; for numbers also a feature. The
            last two objectives have none.
        tasks: several targets at once, by name, in place of `objective` and `target`. task_weights: "fixed", or learned
            by each task's "uncertainty".
        encoders: by input name, "auto" unless said: "mlp" for a vector, "image" for rows, columns and channels, and for
            a sequence or tokens a chain of "cnn", "gru", "lstm" and "transformer", one after the other: "cnn+gru".
            "gru<-text" is a cascade: what the input "text" is encoded to goes into each step of this encoder.
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
        positive: the class that "binary" looks for; of the two the last by name unless said, as in 0 and 1, no and yes.
        pos_weight: how much a sample of that class counts beside one of the other.
        regression_loss: of the standardised target: "mse", "l1", or "huber", which is both, with its turn at 1.
        sides: two lists of inputs that "contrastive" brings together; the two inputs unless said.
        latent: numbers that "reconstruction" compresses a sample to. kl_weight: of what they are kept simple by.
        score: what the validation split is judged by: "loss", or one of `SCORES`, the first of the objective's unless
            said, and of a task's "TASK.SCORE"; equal scores are settled by the loss.
        seed: fixes weights, order and dropout. Same seed, same machine, same threads: same losses.
        selection: the store's selection that names the splits.
        train_split, val_split, test_split: a split's name, or several; None is none. Without `val_split` all epochs are
            trained, and the last is kept.
        weighted: draw training samples by the selection's weights, so that rare classes come more often.
        follow: a name by which a store that grows is followed: each epoch trains on what there is as it begins, and
            pins that as the snapshot NAME.EPOCH. Classes, statistics and judges stay those of the first epoch.
        checkpoint_steps: save after so many steps, besides after each epoch.
        log_steps: a row of `log.csv` after so many steps, and at an epoch's end; None is one at its end.
        threads: of torch, on a CPU. Small models are fastest on one; more of them round otherwise.
    """

    inputs: Annotated[Mapping[str, str], MinLen(1)]
    objective: Objective = "cross_entropy"
    target: str = "label"
    tasks: Mapping[str, Task] = field(default_factory=dict)
    task_weights: Literal["fixed", "uncertainty"] = "fixed"
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
    positive: str | None = None
    pos_weight: Annotated[float, Gt(0)] | None = None
    regression_loss: Literal["mse", "l1", "huber"] = "mse"
    sides: tuple[Annotated[tuple[str, ...], MinLen(1)], Annotated[tuple[str, ...], MinLen(1)]] | None = None
    latent: Annotated[int, Gt(0)] = 16
    kl_weight: Annotated[float, Ge(0)] = 0.1
    score: str | None = None
    seed: Annotated[int, Ge(0), Le(2**63 - 1)] = 0
    selection: str | None = None
    train_split: str | tuple[str, ...] = "train"
    val_split: str | tuple[str, ...] | None = "val"
    test_split: str | tuple[str, ...] | None = "test"
    weighted: bool = False
    follow: Annotated[str, MinLen(1)] | None = None
    checkpoint_steps: Annotated[int, Gt(0)] | None = None
    log_steps: Annotated[int, Gt(0)] | None = None
    threads: Annotated[int, Gt(0)] = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", dict(self.inputs))
        object.__setattr__(self, "encoders", dict(self.encoders))
        object.__setattr__(self, "hidden", tuple(self.hidden))
        object.__setattr__(self, "tasks", dict(self.tasks))

    @property
    def learned(self) -> dict[str, Task]:
        """The targets by the task's name, which is empty where there is but one; none where nothing but inputs is."""
        if self.tasks or self.objective in {"contrastive", "reconstruction"}:
            return dict(self.tasks)
        return {"": Task(target=self.target, objective=cast(Aim, self.objective))}

    @property
    def columns(self) -> tuple[str, ...]:
        """All that is read."""
        targets = [task.target for task in self.learned.values()]
        return tuple(dict.fromkeys([*self.inputs.values(), *targets]))

    @property
    def pair(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The inputs of both sides of "contrastive"."""
        names = tuple(self.inputs)
        return self.sides or (names[:1], names[1:])

    @property
    def scores(self) -> tuple[str, ...]:
        """What `score` may name."""
        named = [f"{name}.{score}" for name, task in self.tasks.items() for score in SCORES[task.objective]]
        return tuple(dict.fromkeys(["loss", *(named if self.tasks else SCORES[self.objective])]))

    @property
    def judged_by(self) -> str:
        """What tells a better epoch."""
        return self.score or ("loss" if self.tasks else SCORES[self.objective][0])

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON can say them."""
        return {
            **dataclasses.asdict(self),
            "inputs": dict(self.inputs),
            "encoders": dict(self.encoders),
            "hidden": list(self.hidden),
            "sides": self.sides and [list(side) for side in self.sides],
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
        else:
            faults += config._faults()
        if faults:
            raise ConfigError(where, faults)
        return config

    def _faults(self) -> list[str]:
        """What is right by itself and wrong together."""
        faults = []
        if self.judged_by not in self.scores:
            faults.append(f"score: no {self.score!r} is counted here{guess(self.judged_by, self.scores)}")
        if self.tasks and self.objective != "cross_entropy":
            faults.append(f"objective: {self.objective!r} is of one target; tasks have objectives of their own")
        faults += [f"tasks: {name!r} holds a dot or is empty" for name in self.tasks if "." in name or not name]
        faults += self._idle_faults()
        if self.task_weights == "uncertainty" and len(self.tasks) < 2:
            faults.append("task_weights: there are no tasks to weigh; name two or more under tasks")
        if self.task_weights == "uncertainty" and any(task.weight != 1 for task in self.tasks.values()):
            faults.append("task_weights: learned by uncertainty, or fixed as each task's weight says, not both")
        return faults + (self._pair_faults() if self.objective == "contrastive" else [])

    def _idle_faults(self) -> list[str]:
        """Settings that would do nothing."""
        faults = []
        if not any(task.objective == "binary" for task in self.learned.values()):
            faults += [
                f"{name}: is of 'binary', and nothing here is: leave it out"
                for name in ("positive", "pos_weight")
                if getattr(self, name) is not None
            ]
        if self.target != "label" and (self.tasks or self.objective in {"contrastive", "reconstruction"}):
            whose = "tasks have targets of their own" if self.tasks else f"{self.objective!r} has none"
            faults.append(f"target: {whose}; leave {self.target!r} out")
        return faults

    def _pair_faults(self) -> list[str]:
        first, second = self.pair
        faults = [
            f"sides: no input {name!r}{guess(name, self.inputs)}"
            for name in (*first, *second)
            if name not in self.inputs
        ]
        if self.sides is None and len(self.inputs) != 2:
            faults.append(f"sides: say which of {', '.join(self.inputs)} belong to which side: [[a], [b, c]]")
        faults += [f"sides: {name!r} is on both" for name in first if name in second]
        left = [name for name in self.inputs if name not in (*first, *second)]
        faults += [f"sides: {name!r} is on neither" for name in left if self.sides is not None]
        if self.batch_size < 2:
            faults.append("batch_size: a pair is told from others of its batch; at least 2, not 1")
        return faults


def arrangement(encoder: str) -> tuple[str, str | None]:
    """An encoder's own name, and the input whose encoding it is given.

    >>> arrangement("cnn+gru<-text"), arrangement("mlp")
    (('cnn+gru', 'text'), ('mlp', None))
    """
    own, given, other = encoder.partition("<-")
    return own.strip(), other.strip() if given else None


def guess(name: str, known: Iterable[str]) -> str:
    """The end of a fault's line: what was meant, perhaps, or what there is."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]!r}?" if close else f"; there are {', '.join(sorted(known)) or 'none'}"
