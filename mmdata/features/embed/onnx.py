"""Vectors and series by ONNX files: what goes in is described by settings, what comes out by the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from annotated_types import Ge, Gt, Len

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio, Image, Text
from mmdata.core.step import BatchExtract
from mmdata.errors import DataError
from mmdata.features.embed.network import (
    Network,
    Port,
    batches_alone,
    chosen,
    digest_of_network,
    load,
    of_floats,
    ports,
)
from mmdata.features.embed.weights import digest_of, located, unusable
from mmdata.kernels.audio import mono, resample
from mmdata.kernels.image import resize, rgb

Takes = TypeVar("Takes")
Inputs = dict[str, np.ndarray]
Three = Annotated[tuple[float, ...], Len(3, 3)]


@dataclass(frozen=True, kw_only=True)
class NetworkStep(BatchExtract[Takes], Generic[Takes]):
    """What steps with an ONNX file share. Values whose inputs are of one shape go through together.

    Args:
        model: the file, or `package:NAME/path`.
        output: the name of what is taken; None is the first.
        pooling: "mean" over all axes between the first and the last, or "none". In the first case a vector is stored,
            in the second the output as it is.
        normalize: give every vector (along the last axis) length 1.
        dtype: of what is stored.
    """

    extra: ClassVar[str | None] = "models"

    model: str
    output: str | None = None
    pooling: Literal["none", "mean"] = "none"
    normalize: bool = False
    dtype: Literal["float32", "float16"] = "float32"

    def settings(self) -> dict[str, Any]:
        """The fields, with a digest of the file in place of its name."""
        return {**super().settings(), "model": digest_of_network(self.model)}

    def spec(self) -> ArraySpec:
        shape = self._taken().shape[1:]
        if self.pooling == "mean" and shape:
            shape = shape[-1:]
        dims = tuple(f"axis{place}" for place in range(len(shape) - 1)) + (("feature",) if shape else ())
        sizes = {dim: size for dim, size in zip(dims, shape, strict=True) if size is not None}
        return ArraySpec(dims=dims, sizes=sizes, dtype=self.dtype)

    def _taken(self) -> Port:
        port = chosen(self.model, ports(self.model)[1], self.output, what="output")
        of_floats(self.model, port)
        return port

    def input(self, name: str | None = None) -> Port:
        """An input by name, or the first."""
        return chosen(self.model, ports(self.model)[0], name, what="input")

    def load(self, device: str) -> Network:
        return load(self.model, device)

    def extract(self, model: Network, prepared: Sequence[Inputs]) -> Sequence[np.ndarray]:
        found: dict[int, np.ndarray] = {}
        for places in self._groups(prepared):
            batch = {name: np.stack([prepared[place][name] for place in places]) for name in prepared[places[0]]}
            values = model.run(batch, self._taken().name)
            if len(values) != len(places):
                raise ValueError(f"{self.name}: {len(places)} values went in, {len(values)} came out")
            found.update({place: self._finished(value) for place, value in zip(places, values, strict=True)})
        return [found[place] for place in range(len(prepared))]

    def _groups(self, prepared: Sequence[Inputs]) -> list[list[int]]:
        if batches_alone(self.input()):
            return [[place] for place in range(len(prepared))]
        same: dict[tuple[tuple[int, ...], ...], list[int]] = {}
        for place, inputs in enumerate(prepared):
            same.setdefault(tuple(array.shape for array in inputs.values()), []).append(place)
        return list(same.values())

    def _finished(self, value: np.ndarray) -> np.ndarray:
        value = np.asarray(value, np.float32)
        if self.pooling == "mean" and value.ndim > 1:
            value = value.reshape(-1, value.shape[-1]).mean(axis=0)
        if self.normalize and value.ndim:
            value = value / np.maximum(np.linalg.norm(value, axis=-1, keepdims=True), 1e-12)
        return np.asarray(value, self.dtype)


@dataclass(frozen=True, kw_only=True)
class OnnxImage(NetworkStep[Image]):
    """What an ONNX file makes of a picture: by default its first output, without the axis of the batch.

    Args:
        size_px: rows and columns that the file takes; None is what the file says. Pictures are stretched to it.
        mean, std: of red, green and blue, on a scale of 0 to 1: taken from every pixel, and what that is divided by.
        channels: the order of the colours. layout: whether channels come before rows and columns, or after.

    Reference:
        The file's own, by ONNX Runtime.
    """

    on: str = "image"
    into: str = "image.embedding"
    size_px: tuple[Annotated[int, Ge(1)], Annotated[int, Ge(1)]] | None = None
    mean: Three = (0.485, 0.456, 0.406)
    std: Three = (0.229, 0.224, 0.225)
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.std) <= 0:
            raise ValueError(f"std must be above 0, not {self.std}")

    def spec(self) -> ArraySpec:
        self._size()
        return super().spec()

    def _size(self) -> tuple[int, int]:
        shape = self.input().shape
        if self.size_px is not None:
            return self.size_px
        rows, columns = (shape[2:4] if self.layout == "nchw" else shape[1:3]) if len(shape) == 4 else (None, None)
        if rows is None or columns is None:
            raise unusable(self.model, f"its input {shape} has no fixed size; give size_px: [ROWS, COLUMNS]")
        return rows, columns

    def prepare(self, value: Image) -> Inputs:
        rows, columns = self._size()
        scaled = rgb(resize(value.pixels, width=columns, height=rows)).astype(np.float32) / 255
        scaled = (scaled - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        scaled = scaled[..., ::-1] if self.channels == "bgr" else scaled
        ordered = scaled.transpose(2, 0, 1) if self.layout == "nchw" else scaled
        return {self.input().name: np.ascontiguousarray(ordered, np.float32)}

    def cost(self, prepared: Inputs) -> int:
        return max(1, sum(array.size for array in prepared.values()) // 3)


@dataclass(frozen=True, kw_only=True)
class OnnxAudio(NetworkStep[Audio]):
    """What an ONNX file makes of a waveform, the channel mean: float32 [batch, time] or [batch, 1, time] go in.

    Where the file's time is of a fixed length, clips are cut to it, or filled up with silence.

    Args:
        rate_hz: what the file listens at.

    Reference:
        The file's own, by ONNX Runtime.
    """

    on: str = "audio"
    into: str = "audio.embedding"
    rate_hz: Annotated[int, Gt(0)] = 16_000

    def prepare(self, value: Audio) -> Inputs:
        wave = resample(mono(value.samples)[None], from_hz=value.rate_hz, to_hz=self.rate_hz)[0]
        if not wave.size:
            raise DataError("the clip has no samples")
        port = self.input()
        n_samples = port.shape[-1]
        if n_samples is not None:
            wave = np.pad(wave[:n_samples], (0, max(0, n_samples - len(wave))))
        return {port.name: np.ascontiguousarray(wave[None] if len(port.shape) == 3 else wave, np.float32)}

    def cost(self, prepared: Inputs) -> int:
        return max(1, sum(array.size for array in prepared.values()))


@dataclass(frozen=True, kw_only=True)
class OnnxText(NetworkStep[Text]):
    """What an ONNX file makes of a text's tokens. Texts of one length go through together, so that nothing is padded.

    Args:
        tokenizer: the file tokenizer.json of the model, or `package:NAME/path`.
        max_tokens: texts are cut there.
        prefix: put before each text.

    Reference:
        The file's own, by ONNX Runtime; tokens by `tokenizers` of Hugging Face.
    """

    on: str = "text"
    into: str = "text.embedding"
    tokenizer: str
    max_tokens: Annotated[int, Ge(1)] = 512
    prefix: str = ""

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "tokenizer": digest_of([located(self.tokenizer)])}

    def load(self, device: str) -> Network:
        self._tokens()  # what is wrong with it is found now, not at the first text
        return super().load(device)

    def prepare(self, value: Text) -> Inputs:
        found = self._tokens().encode(self.prefix + value.text)
        if not found.ids:
            raise DataError("the text has no tokens")
        known: Mapping[str, Sequence[int]] = {
            "input_ids": found.ids,
            "attention_mask": found.attention_mask,
            "token_type_ids": found.type_ids,
        }
        wanted = [port.name for port in ports(self.model)[0]]
        if unknown := [name for name in wanted if name not in known]:
            raise unusable(self.model, f"wants {unknown}; known are {list(known)}")
        return {name: np.asarray(known[name], np.int64) for name in wanted}

    def cost(self, prepared: Inputs) -> int:
        return len(next(iter(prepared.values())))

    def _tokens(self) -> Any:
        return _tokenizer_at(located(self.tokenizer), self.tokenizer, self.max_tokens)


@lru_cache(maxsize=16)
def _tokenizer_at(path: Path, name: str, max_tokens: int) -> Any:
    """A tokenizer that cuts and does not pad; its `encode` may be called by many threads at once."""
    from tokenizers import Tokenizer

    try:
        found = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises its errors as Exception itself
        raise unusable(name, f"is no tokenizer.json: {str(error)[:300]}") from error
    found.no_padding()
    found.enable_truncation(max_tokens)
    return found


@dataclass(frozen=True, kw_only=True)
class _Exported(NetworkStep[Takes], Generic[Takes]):
    """What steps with a program of torch.export share: the file says nothing of itself until it is run.

    Args:
        trusted: needed, as torch runs code that stands in such a file.
        width: numbers of the vector that comes out, [batch, width].
    """

    trusted: bool = False
    width: Annotated[int, Ge(1)]

    def settings(self) -> dict[str, Any]:
        found = {**BatchExtract.settings(self), "model": digest_of_network(self.model, trusted=self.trusted)}
        del found["trusted"]
        return found

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("feature",), sizes={"feature": self.width}, dtype=self.dtype)

    def load(self, device: str) -> Network:
        return load(self.model, device, trusted=self.trusted)

    def _taken(self) -> Port:
        return Port("output", (None, self.width), "tensor(float)")


@dataclass(frozen=True, kw_only=True)
class ExportedImage(_Exported[Image], OnnxImage):
    """`OnnxImage` with a program of torch.export (.pt2) that gives a vector: float32 [feature]. `size_px` is needed.

    Reference:
        The file's own, by torch.
    """

    def input(self, name: str | None = None) -> Port:
        return Port(name or "pixels", (None, None, None, None), "tensor(float)")


@dataclass(frozen=True, kw_only=True)
class ExportedAudio(_Exported[Audio], OnnxAudio):
    """`OnnxAudio` with a program of torch.export (.pt2) that gives a vector: float32 [feature].

    Waveforms go in as float32 [batch, time].

    Reference:
        The file's own, by torch.
    """

    def input(self, name: str | None = None) -> Port:
        return Port(name or "samples", (None, None), "tensor(float)")
