"""A trained model as a file for other runtimes: ONNX, and its int8 form, both compared with what torch says.

torch's older exporter, by tracing, is used (`dynamo=False`): the newer one takes thirty times as long, and fixes the
number of steps of recurrent layers.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmdata.errors import ConfigError, MissingExtra, RunStopped
from mmdata.train.encoders import Encoder
from mmdata.train.inputs import Batch, Input, Part, parts_of, real
from mmdata.train.model import FusionModel

MODEL, INT8, REPORT = "model.onnx", "model.int8.onnx", "export.json"
CLOSE = 1e-4  # how far a number may be off, and by what share
OPSET = 17
OUTPUTS = ("answer", "output")
N_COMPARED, N_TIMED = 8, 30  # batches, calls
Judge = Callable[[FusionModel], float]


@dataclass(frozen=True, kw_only=True)
class Form:
    """One form of a model.

    Args:
        name: "torch", "onnx" or "int8". file: where it is; torch's is the checkpoint. n_bytes: of the file, or of the
            weights. latency_ms: of one sample, the median of 30 calls on one thread. furthest: how far its answers
            are from torch's, as a share of 1 + their size. score: of the held-out split.
    """

    name: str
    file: str | None
    n_bytes: int
    latency_ms: float
    furthest: float
    score: float


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """All forms of a model, torch's first; by how many samples they were compared, and by which score judged."""

    forms: tuple[Form, ...]
    n_compared: int
    scored_by: str

    def to_json(self) -> dict[str, Any]:
        """As JSON can say it."""
        return asdict(self)

    def __str__(self) -> str:
        """A table: a line a form."""
        lines = [f"{'form':<6}  {'kB':>9}  {'ms/sample':>9}  {self.scored_by:>12}  off by"]
        lines += [
            f"{one.name:<6}  {one.n_bytes / 1000:>9.1f}  {one.latency_ms:>9.3f}  {one.score:>12.4f}  {one.furthest:.1e}"
            for one in self.forms
        ]
        return "\n".join([*lines, *(one.file for one in self.forms if one.file)])


def export(
    model: FusionModel,
    batches: Iterable[Batch],
    folder: Path | str,
    *,
    judge: Judge,
    scored_by: str,
    int8: bool = True,
) -> ExportReport:
    """Write `model.onnx`, `model.int8.onnx` and `export.json`, and compare both with the model.

    The graph takes of each input NAME its values, `NAME.mask` (bool [batch]), and of a sequence `NAME.length` (int64
    [batch]), as a stream gives them; batches and times may be of any size. What stands where a mask is False or past a
    length does not matter. It gives `answer`, as `mmdata predict` does, and `output`, the model's own numbers. In int8
    are the weights of matrix products and LSTMs (onnxruntime's dynamic quantisation); convolutions and GRUs stay.

    Args:
        model: as `checkpoint.load_model` gives it.
        batches: some that the model was not trained on, by which the forms are compared.
        folder: where the files go.
        judge: scores a form on the held-out split.
        scored_by: by which score.
        int8: make the int8 form, too.

    Raises:
        MissingExtra: onnx or onnxruntime is not installed.
        ConfigError: two things that the graph takes or gives would have one name.
        RunStopped: a part of the model has no form in ONNX, or gives other numbers there, off by more than 1e-4 of 1
            plus their size. Nothing is written then.
    """
    _check_installed()
    _check_names(model.plan.inputs)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    compared = [parts for batch in islice(batches, N_COMPARED) for parts in _hard(parts_of(batch, model.plan.inputs))]
    compared = [parts for parts in compared if len(parts[0].present)]
    if not compared:
        raise RunStopped("there is no sample to compare the exported model by: name another split")
    with tempfile.TemporaryDirectory(prefix=".export", dir=folder) as written, _one_thread():
        temporary = Path(written)
        _trace(model, compared[0], temporary / MODEL)
        models = {"": model.eval(), MODEL: OnnxModel(temporary / MODEL, model)}
        if int8:
            _quantize(temporary / MODEL, temporary / INT8)
            models[INT8] = OnnxModel(temporary / INT8, model)
        names = {"": "torch", MODEL: "onnx", INT8: "int8"}
        forms = [
            Form(
                name=names[file],
                file=str(folder / file) if file else None,
                n_bytes=(temporary / file).stat().st_size if file else _n_bytes(model),
                latency_ms=_latency_ms(each, compared[0]),
                furthest=max(_distance(model, each, parts) for parts in compared),
                score=judge(each),
            )
            for file, each in models.items()
        ]
        if not forms[1].furthest <= CLOSE:
            off = f"off by {forms[1].furthest:.1e} of 1 plus their size, where {CLOSE:.0e} is allowed"
            raise RunStopped(f"ONNX gives other numbers than torch, {off}: {_kinds(model)}. Nothing was written")
        report = ExportReport(
            forms=tuple(forms), n_compared=sum(len(parts[0].present) for parts in compared), scored_by=scored_by
        )
        (temporary / REPORT).write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
        for path in temporary.iterdir():
            path.replace(folder / path.name)
    return report


class OnnxModel(FusionModel):
    """A model that onnxruntime computes, in the place of one of torch.

    Args:
        path: of the file. model: that it was made of.
    """

    def __init__(self, path: Path, model: FusionModel) -> None:
        from onnxruntime import InferenceSession, SessionOptions

        nn.Module.__init__(self)
        self.plan, self.objective = model.plan, model.objective
        options = SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def forward(self, parts: Sequence[Part]) -> Tensor:
        """As the model's."""
        fed = {name: tensor.numpy() for name, tensor in zip(_names(self.plan.inputs), _flat(parts), strict=True)}
        found: np.ndarray = self.session.run(["output"], fed)[0]
        return torch.from_numpy(found)


class _Graph(nn.Module):
    """The model over plain tensors, with sequences kept padded."""

    def __init__(self, model: FusionModel) -> None:
        super().__init__()
        self.model = deepcopy(model).cpu().eval()
        for each in self.model.modules():
            if hasattr(each, "keeps_padding"):
                setattr(each, "keeps_padding", True)  # noqa: B010  modules have no such attribute for a type checker

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        left = iter(tensors)
        parts = [_part(item, left) for item in self.model.plan.inputs]
        output = self.model(parts)
        return self.model.objective.answer(output), output


def _names(inputs: Sequence[Input]) -> list[str]:
    """What the graph takes, in order."""
    return [
        f"{item.name}{end}"
        for item in inputs
        for end in ("", ".mask", *([".length"] if item.kind in ("sequence", "tokens") else []))
    ]


def _check_names(inputs: Sequence[Input]) -> None:
    names = [*_names(inputs), *OUTPUTS]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        told = "is the name of two things in the graph: train with other names of inputs"
        raise ConfigError("export-model", [f"inputs: {name!r} {told}" for name in twice])


def _flat(parts: Sequence[Part]) -> list[Tensor]:
    """The same of a batch."""
    return [each for part in parts for each in (part.values, part.present, part.length) if each is not None]


def _part(item: Input, tensors: Iterator[Tensor]) -> Part:
    values, present = next(tensors), next(tensors)
    if item.kind in ("vector", "image"):
        mask = present.view(-1, *[1] * (values.ndim - 1))
        return Part(torch.where(mask, values, 0.0), present)
    length = next(tensors) * present
    known = real(length, values.shape[1])
    steps = values.masked_fill(~known, 0) if item.kind == "tokens" else torch.where(known[..., None], values, 0.0)
    return Part(steps, length > 0, length)


def _trace(model: FusionModel, parts: Sequence[Part], path: Path) -> None:
    import onnx

    names = _names(model.plan.inputs)
    axes = {name: {0: "batch"} for name in (*names, *OUTPUTS)}
    for item in model.plan.inputs:
        if item.kind in ("sequence", "tokens"):
            axes[item.name][1] = f"{item.name}.time"
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one fused operator, which ONNX has not
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the exporter tells its age, and what it can't know of cells' sizes
            torch.onnx.export(
                _Graph(model),
                tuple(_flat(parts)),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=names,
                output_names=[*OUTPUTS],
                dynamic_axes=axes,
            )
    except Exception as error:  # torch raises many kinds
        raise RunStopped(f"no form in ONNX: {_kinds(model)}: {type(error).__name__}: {error}") from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    graph = onnx.load(str(path))
    onnx.helper.set_model_props(graph, {"mmdata.plan": json.dumps(model.plan.to_json())})
    onnx.save(graph, str(path))


def _quantize(path: Path, into: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logger, before = logging.getLogger(), logging.getLogger().level
    logger.setLevel(logging.ERROR)  # it recommends, through the root logger, what was tried and changes nothing
    try:
        quantize_dynamic(
            str(path), str(into), weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm", "LSTM"]
        )
    finally:
        logger.setLevel(before)


def _hard(parts: list[Part]) -> Iterator[list[Part]]:
    """A batch; it without each of its inputs in turn; its first sample alone; and longer, with anything as padding."""
    yield parts
    yield [_first(part) for part in parts]
    yield [_longer(part) for part in parts]
    for at in range(len(parts) if len(parts) > 1 else 0):
        yield [_without(part) if place == at else part for place, part in enumerate(parts)]


def _first(part: Part) -> Part:
    return Part(part.values[:1], part.present[:1], None if part.length is None else part.length[:1])


def _longer(part: Part) -> Part:
    """Three more steps, of ones."""
    if part.length is None:
        return part
    more = torch.ones_like(part.values[:, :1]).repeat_interleave(3, dim=1)
    return replace(part, values=torch.cat([part.values, more], dim=1))


def _without(part: Part) -> Part:
    """None of it is there, and ones stand in its place."""
    length = None if part.length is None else torch.zeros_like(part.length)
    return Part(torch.ones_like(part.values), torch.zeros_like(part.present), length)


def _distance(model: FusionModel, other: FusionModel, parts: list[Part]) -> float:
    cleaned = [_cleaned(item, part) for item, part in zip(model.plan.inputs, parts, strict=True)]
    with torch.inference_mode():
        expected, found = model(cleaned), other(parts)
    return float(((found - expected).abs() / (1 + expected.abs())).max())


def _cleaned(item: Input, part: Part) -> Part:
    return _part(item, iter(_flat([part])))


def _latency_ms(model: FusionModel, parts: list[Part]) -> float:
    one, took = [_first(part) for part in parts], []
    with torch.inference_mode():
        for _ in range(N_TIMED):
            began = time.perf_counter()
            model(one)
            took.append(time.perf_counter() - began)
    return 1000 * median(took)


def _n_bytes(model: FusionModel) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())


def _kinds(model: FusionModel) -> str:
    """The parts of a model that may be strange to ONNX."""
    encoders = [type(each).__name__ for each in model.modules() if isinstance(each, Encoder)]
    return f"fusion {model.plan.config.fusion!r}, encoders {', '.join(dict.fromkeys(encoders)) or 'none'}"


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check_installed() -> None:
    for package in ("onnx", "onnxruntime"):
        try:
            __import__(package)
        except ImportError as error:
            raise MissingExtra("export", [f"{package} is not installed: pip install 'mmdata[export]'"]) from error
