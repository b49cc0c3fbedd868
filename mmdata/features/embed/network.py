"""Networks in files of their own: ONNX graphs, and programs of `torch.export`.

An ONNX file is data. A program of `torch.export` (.pt2) is not: torch 2.13 unpickles parts of it and evaluates its
symbolic shapes, and has no switch that stops either. So such a file is only read where the step says `trusted: true`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mmdata.errors import MissingExtra
from mmdata.features.embed.weights import digest_of, located, unusable

ONNX, EXPORTED = ".onnx", ".pt2"
Size = int | None  # of an axis; None where it varies
FLOATS = ("tensor(float)", "tensor(float16)", "tensor(double)")


@dataclass(frozen=True)
class Port:
    """An input or an output of a network: its name, its sizes and the type of its numbers."""

    name: str
    shape: tuple[Size, ...]
    dtype: str


class Network(Protocol):
    """A loaded network."""

    def run(self, inputs: Mapping[str, np.ndarray], output: str) -> np.ndarray:
        """One output of a batch of inputs."""


def path_of(model: str, *, trusted: bool = False) -> Path:
    """The file of a network.

    Raises:
        ConfigError: it is not there, is of no kind that can be read, or is of one that is not trusted.
    """
    path = located(model)
    if path.suffix not in (ONNX, EXPORTED) or not path.is_file():
        raise unusable(model, "expected a file of ONNX (.onnx) or of torch.export (.pt2)")
    if path.suffix == EXPORTED and not trusted:
        raise unusable(
            model, "torch runs code that stands in a .pt2 file; if you made it, or trust it, say trusted: true"
        )
    return path


def digest_of_network(model: str, *, trusted: bool = False) -> str:
    """A digest of a network's file, and of the files of weights that belong to it: NAME.onnx.data, NAME.onnx_data."""
    path = path_of(model, trusted=trusted)
    return digest_of([path, *path.parent.glob(f"{_plain(path.name)}[._]data*")])


def _plain(name: str) -> str:
    """A name as a pattern for itself."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def ports(model: str) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Inputs and outputs of an ONNX file."""
    path = path_of(model)
    return _ports(path, model, path.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _ports(path: Path, model: str, _mtime_ns: int) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    session = _session(path, model, optimize=False)
    inputs, outputs = [
        tuple(Port(port.name, tuple(_size(size) for size in port.shape), port.type) for port in side)
        for side in (session.get_inputs(), session.get_outputs())
    ]
    return inputs, outputs


def _size(size: object) -> Size:
    """A size that is fixed; the first axis is the batch whatever it says."""
    return size if isinstance(size, int) and size > 0 else None


def load(model: str, device: str, *, trusted: bool = False) -> Network:
    """The network, ready to run.

    Raises:
        ConfigError: the file is damaged, or needs operators that are not there.
    """
    path = path_of(model, trusted=trusted)
    if path.suffix == ONNX:
        return _Onnx(_session(path, model, device=device))
    return _Exported(path, model, device)


def _session(path: Path, model: str, *, device: str = "cpu", optimize: bool = True) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("model", [f"model {model!r}: needs onnxruntime: pip install 'mmdata[models]'"]) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0") or 0)
    options.inter_op_num_threads = 1
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    gpu = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
    usable = [name for name in (*gpu, "CPUExecutionProvider") if name in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=usable)
    except Exception as error:  # whatever stands in a stranger's file
        raise unusable(model, f"onnxruntime can't use it: {str(error).strip().splitlines()[0][:300]}") from error


@dataclass(frozen=True)
class _Onnx:
    session: Any

    def run(self, inputs: Mapping[str, np.ndarray], output: str) -> np.ndarray:
        found: np.ndarray = self.session.run([output], dict(inputs))[0]
        return found


class _Exported:
    """A program of torch.export. Its inputs are given in their order, and its only output is taken."""

    def __init__(self, path: Path, model: str, device: str) -> None:
        import torch

        try:
            self._module = torch.export.load(path).module().to(device)
        except Exception as error:  # whatever stands in a damaged file
            raise unusable(model, f"torch can't use it: {type(error).__name__}") from error
        self._device = device

    def run(self, inputs: Mapping[str, np.ndarray], output: str) -> np.ndarray:  # noqa: ARG002  it has but one
        import torch

        given = [torch.from_numpy(np.ascontiguousarray(array)).to(self._device) for array in inputs.values()]
        found = self._module(*given)
        first = found if isinstance(found, torch.Tensor) else next(iter(found))
        result: np.ndarray = first.detach().cpu().numpy()
        return result


def chosen(model: str, side: Sequence[Port], name: str | None, *, what: str) -> Port:
    """An input or output by name, or the first. Raises ConfigError when there is none of that name."""
    for port in side:
        if name in (None, port.name):
            return port
    names = ", ".join(repr(port.name) for port in side)
    raise unusable(model, f"has no {what} {name!r}; there are {names}")


def batches_alone(port: Port) -> bool:
    """Whether a network takes one value at a time, as its batch is of size 1."""
    return port.shape[:1] == (1,)


def of_floats(model: str, port: Port) -> None:
    """Raise ConfigError unless an output holds floating numbers."""
    if port.dtype not in FLOATS:
        raise unusable(model, f"its output {port.name!r} holds {port.dtype}; expected floating numbers")
