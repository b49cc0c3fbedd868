"""Scores of pictures by a classifier: watermarks, nudity, beauty, whatever somebody has a model of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Len

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Image
from mmdata.core.step import BatchExtract
from mmdata.features.embed.image import Pixels, fitted, pixels_of, processor_at
from mmdata.features.embed.network import ONNX, Network
from mmdata.features.embed.onnx import Inputs, OnnxImage
from mmdata.features.embed.pretrained import UNUSED, Tower, config_in, loaded, of_one_form
from mmdata.features.embed.weights import digest_of_folder, located, unusable

Activation = Literal["none", "softmax", "sigmoid"]
_CLASSIFIER = "AutoModelForImageClassification"
_MULTI, _REGRESSION = "multi_label_classification", "regression"


@dataclass(frozen=True, kw_only=True)
class ImageScore(BatchExtract[Image]):
    """What a classifier of yours makes of a picture: a float32 scalar for one label, else float32 [class].

    `clean.image.KeepByScore` drops by it. An ONNX file gives its first output; of `transformers`, any classifier of
    pictures is taken, read from safetensors alone.

    Args:
        model: an ONNX file, the folder of a transformers classifier, or `package:NAME/path`.
        label: whose score is taken: a class's name, as the folder's config.json has it, or its place from 0; None is
            the only one there is, or all of them.
        activation: how numbers become scores: "softmax", "sigmoid" or "none". "auto" is what the model's configuration
            says (softmax for one label of several, sigmoid where several may hold), and "none" for ONNX files.
        size_px: of ONNX files, rows and columns that they take; None is what the file says. Pictures are stretched.
        mean, std: of ONNX files, of red, green and blue on a scale of 0 to 1.
        channels, layout: of ONNX files, the order of colours, and whether these come before rows and columns.
        output: of ONNX files, the name of what is taken; None is the first.

    Raises:
        ConfigError: the model is not there, is no classifier, or has no such label.

    Reference:
        The model's own.
    """

    extra: ClassVar[str | None] = "models"

    on: str = "image"
    into: str = "image.score"
    model: str
    label: str | Annotated[int, Ge(0)] | None = None
    activation: Literal["auto", "none", "softmax", "sigmoid"] = "auto"
    size_px: tuple[Annotated[int, Ge(1)], Annotated[int, Ge(1)]] | None = None
    mean: Annotated[tuple[float, ...], Len(3, 3)] = (0.485, 0.456, 0.406)
    std: Annotated[tuple[float, ...], Len(3, 3)] = (0.229, 0.224, 0.225)
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    output: str | None = None

    def settings(self) -> dict[str, Any]:
        """The fields, with a digest of the model's files in place of its name."""
        network = self._network()
        digest = digest_of_folder(self.model) if network is None else network.settings()["model"]
        return {**super().settings(), "model": digest}

    def spec(self) -> ArraySpec:
        place, n_classes = self._place(), self._n_classes()
        if place is not None:
            return ArraySpec()
        return ArraySpec(dims=("class",), sizes={"class": n_classes})

    def one(self) -> ImageScore:
        """Itself, where it gives one number.

        Raises:
            ConfigError: it gives several.
        """
        if self._place() is None:
            raise unusable(self.model, f"gives {self._n_classes()} scores; say which by label: a name, or 0 and up")
        return self

    def load(self, device: str) -> Network | Tower:
        if network := self._network():
            return network.load(device)
        digest_of_folder(self.model)  # for its errors: nothing but safetensors is read below
        processor_at(self._folder, self.model)
        whole, missing = loaded(self._folder, self.model, _CLASSIFIER)
        if lacking := sorted(name for name in missing if not name.endswith(UNUSED)):
            shown = ", ".join(lacking[:3])
            raise unusable(self.model, f"its weights lack {len(lacking)} of a classifier's, such as {shown}")
        return Tower(whole.to(device), whole.to(device), device)

    def prepare(self, value: Image) -> Inputs | Pixels:
        if network := self._network():
            return network.prepare(value)
        return fitted(processor_at(self._folder, self.model), value.pixels)

    def cost(self, prepared: Inputs | Pixels) -> int:
        network = self._network()
        return pixels_of(prepared) if network is None else network.cost(prepared)

    def extract(self, model: Any, prepared: Sequence[Inputs | Pixels]) -> Sequence[np.ndarray]:
        network = self._network()
        raw = _of_tower(model, prepared) if network is None else network.extract(model, prepared)
        place, activation = self._place(), self._activation()
        scores = [activated(np.asarray(each, np.float32).reshape(-1), activation) for each in raw]
        return [each if place is None else each[place].reshape(()) for each in scores]

    @property
    def _folder(self) -> Path:
        return located(self.model)

    def _network(self) -> OnnxImage | None:
        """How an ONNX file is run; None for a folder."""
        if located(self.model).suffix != ONNX:
            return None
        return OnnxImage(
            model=self.model,
            size_px=self.size_px,
            mean=self.mean,
            std=self.std,
            channels=self.channels,
            layout=self.layout,
            output=self.output,
        )

    def _n_classes(self) -> int:
        network = self._network()
        if network is None:
            return int(config_in(self._folder, self.model).num_labels)
        spec = network.spec()
        if len(spec.dims) > 1 or len(spec.sizes) < len(spec.dims):
            raise unusable(self.model, f"its output is no row of scores, but {spec.dims} of {dict(spec.sizes)}")
        return next(iter(spec.sizes.values()), 1)

    def _place(self) -> int | None:
        """The place of the label; None where all are taken."""
        n_classes = self._n_classes()
        if self.label is None:
            return 0 if n_classes == 1 else None
        names = {} if self._network() else dict(config_in(self._folder, self.model).id2label)
        known = {str(name): int(place) for place, name in names.items()}
        place = self.label if isinstance(self.label, int) else known.get(self.label, n_classes)
        if place >= n_classes:
            there = ", ".join(map(repr, known)) if isinstance(self.label, str) and known else f"0 to {n_classes - 1}"
            raise unusable(self.model, f"has no label {self.label!r}; there are {there}")
        return place

    def _activation(self) -> Activation:
        if self.activation != "auto":
            return self.activation
        if self._network():
            return "none"
        config = config_in(self._folder, self.model)
        if config.problem_type == _REGRESSION or config.num_labels == 1:
            return "none"
        return "sigmoid" if config.problem_type == _MULTI else "softmax"


def activated(raw: np.ndarray, how: Activation) -> np.ndarray:
    """A classifier's numbers as scores: float32 [class].

    >>> activated(np.array([0.0, 0.0], np.float32), "softmax").tolist()
    [0.5, 0.5]
    """
    if how == "none":
        return raw
    if how == "sigmoid":
        half: np.ndarray = np.tanh(raw.astype(np.float64) / 2)
        return ((1 + half) / 2).astype(np.float32)
    powers = np.exp(raw.astype(np.float64) - raw.max())
    scores: np.ndarray = (powers / powers.sum()).astype(np.float32)
    return scores


def _of_tower(model: Tower, prepared: Sequence[Pixels]) -> list[np.ndarray]:
    import torch

    found: dict[int, np.ndarray] = {}
    with torch.no_grad():
        for places in of_one_form(prepared):
            batch = {
                name: model.tensor(np.stack([prepared[place][name] for place in places]))
                for name in prepared[places[0]]
            }
            found.update(zip(places, model.whole(**batch).logits.float().cpu().numpy(), strict=True))
    return [found[place] for place in range(len(prepared))]
