"""Where models run: the device that a process takes, what it looks like when its memory runs out, torch's contexts.

Nothing here imports torch unless a step did so before, as a step on another runtime needs none.
"""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from mmdata.core.pipeline import RunSettings
from mmdata.core.step import BatchExtract, Step
from mmdata.engine.cores import n_cores
from mmdata.engine.guard import held_bytes
from mmdata.errors import StepError

log = logging.getLogger(__name__)

# what runtimes say when memory runs out, in lower case: torch for CUDA, HIP and MPS, its libraries, its CPU, ONNX
OUT_OF_MEMORY = (
    "out of memory",
    "invalid buffer size",
    "cublas_status_alloc_failed",
    "cublas_status_not_initialized",  # its workspace could not be had
    "cudnn_status_alloc_failed",
    "cudnn_status_internal_error_device_allocation_failed",
    "cusolver_status_alloc_failed",
    "cufft_alloc_failed",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "failed to allocate memory",
    "bad_alloc",
    "bad allocation",
)
_NO_GPU = "no GPU is to be seen here; set device to auto or cpu"
_OTHER_GPUS = ("/dev/kfd", "/dev/dxg", "/dev/nvhost-gpu", "/dev/nvidiactl")  # of drivers that `gpus` can't ask
_taken: dict[tuple[str, float], str] = {}
_slots: list[IO[str]] = []  # open for as long as the process lives: that is what holds them
_taking = threading.Lock()


def gpus() -> list[str]:
    """The names of the NVIDIA GPUs that this process may use, in CUDA's order: no driver and no torch is asked."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return sorted(path.name for path in Path("/proc/driver/nvidia/gpus").glob("*"))
    names = []
    for name in listed.split(","):
        if name.strip() in ("", "-1", "NoDevFiles"):  # CUDA too ends the list at the first that is none
            break
        names.append(name.strip())
    return names


def n_slots(gpus_per_worker: float) -> int:
    """How many workers this machine's GPUs take at that share of a GPU each."""
    return len(gpus()) * max(1, int(1 / gpus_per_worker + 1e-9))


def usual_workers(features: Iterable[Step], settings: RunSettings) -> int:
    """How many workers a pool has unless it is told: one a core; with models on GPUs, no more than those take."""
    cores = n_cores()
    on_gpus = _first_choice(settings.device) == "cuda" and any(isinstance(step, BatchExtract) for step in features)
    slots = n_slots(settings.gpus_per_worker) if on_gpus else 0
    return min(cores, slots) if slots else cores


def _first_choice(wanted: str) -> str:
    """The kind of device, "auto" resolved."""
    if wanted != "auto":
        return wanted.partition(":")[0]
    if gpus() and not _torch_has_no_cuda():
        return "cuda"
    return "mps" if (platform.system(), platform.machine()) == ("Darwin", "arm64") else "cpu"


def device_fault(features: Iterable[Step], settings: RunSettings) -> str | None:
    """Why this machine's processes can't run models where they are told to; None where they can, or none is to run.

    A driver that `gpus` does not know (of AMD, in WSL, on a Jetson) is believed to have the GPU that is named.
    """
    kind, _, index = settings.device.partition(":")
    if kind not in ("cuda", "mps") or not any(isinstance(step, BatchExtract) for step in features):
        return None
    if kind == "mps":
        return None if platform.system() == "Darwin" else "device 'mps' is asked for, which only Apple's computers have"
    found = len(gpus())
    if not found and not (index and "CUDA_VISIBLE_DEVICES" not in os.environ and any(map(os.path.exists, _OTHER_GPUS))):
        return f"device {settings.device!r} is asked for, and {_NO_GPU}"
    if found and index and int(index) >= found:
        last = f"cuda:0 to cuda:{found - 1}" if found > 1 else "cuda:0"
        return f"device {settings.device!r} is asked for, and there is {last}; set device to one of these, auto or cpu"
    return None


def take_device(wanted: str, gpus_per_worker: float = 1.0) -> str:
    """The device on which this process runs its models; the same again when it is asked again.

    Processes on one machine take its GPUs in turn: each holds a slot of a GPU, a locked file, until it ends or dies.

    Args:
        wanted: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:N" or "mps".
        gpus_per_worker: the share of a GPU that a process takes: with 0.5, two share one.
    """
    if wanted not in ("auto", "cuda"):
        return wanted
    with _taking:
        if (wanted, gpus_per_worker) not in _taken:
            _taken[wanted, gpus_per_worker] = _take(wanted, gpus_per_worker)
        return _taken[wanted, gpus_per_worker]


def _take(wanted: str, gpus_per_worker: float) -> str:
    kind, names = _first_choice(wanted), gpus()
    if kind != "cuda":
        return kind
    if not names:
        raise StepError(f"device 'cuda' is asked for, and {_NO_GPU}")
    for slot in range(max(1, int(1 / gpus_per_worker + 1e-9))):
        for index, name in enumerate(names):
            if _hold(f"{name}-{slot}"):
                return f"cuda:{index}"
    index = os.getpid() % len(names)
    log.warning("device=cuda:%d all GPUs are taken by other processes: this one shares", index)
    return f"cuda:{index}"


def _hold(name: str) -> bool:
    """Lock a slot until this process ends, however that comes about."""
    folder = Path(tempfile.gettempdir()) / f"mmdata-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = (folder / "".join(char if char.isalnum() else "-" for char in name)).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return False
    _slots.append(file)
    return True


def _torch_has_no_cuda() -> bool:
    """Whether torch is installed as a build for CPUs alone: its version says so."""
    try:
        return "+cpu" in metadata.version("torch")
    except metadata.PackageNotFoundError:
        return False


def cuda_fault() -> str | None:
    """Why torch, which is imported for this, computes nothing on this machine's GPUs; None where it does."""
    try:
        import torch
    except ImportError as error:
        return str(error)
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} was built for {torch.version.cuda or 'processors alone'}"
    try:
        torch.ones(8, device="cuda").sum().item()
    except RuntimeError as error:
        return str(error).partition("\n")[0]
    return None


def n_threads() -> int:
    """How many threads this process may compute with: OMP_NUM_THREADS, which pools set to 1, or one a core."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else n_cores()


def n_preparers(device: str, gpus_per_worker: float) -> int:
    """How many threads prepare values beside a model: on a GPU this worker's share of the cores."""
    if device.startswith("cuda"):
        return max(1, min(8, n_cores() // max(1, n_slots(gpus_per_worker))))
    return min(4, n_threads())


def described(device: str, gpus_per_worker: float) -> str:
    """What is remembered of a device beyond this process: which GPU model and share, or how many threads."""
    if device.startswith("cuda") and (torch := _torch()) is not None and torch.cuda.is_available():
        found = torch.cuda.get_device_properties(device)
        return f"{found.name} {found.total_memory} x {gpus_per_worker:g}"
    kind = device.partition(":")[0]
    return f"{kind} {n_threads()}" if kind == "cpu" else f"{kind} x {gpus_per_worker:g}"


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it came of, says that memory ran out: the host's, or the device's."""
    while error is not None:
        module = type(error).__module__.partition(".")[0]
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, RuntimeError) or module in ("onnxruntime", "torch", "cv2"):
            text = str(error).lower()
            if any(words in text for words in OUT_OF_MEMORY):
                return True
        error = error.__cause__
    return False


def release(device: str) -> None:
    """Give back what is cached of a device's memory, after it ran out."""
    gc.collect()
    torch = _torch()
    if torch is None:
        return
    if device.startswith("cuda") and torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()


def has_room(device: str, memory_bytes: int | None = None) -> bool:
    """Whether larger groups may be tried: on a CPU it is processes that end where memory does, without any error.

    Args:
        device: where the model runs.
        memory_bytes: what this process may hold; None is no limit of its own.
    """
    if device != "cpu":
        return True
    if memory_bytes is not None and 2 * held_bytes() > memory_bytes:
        return False
    free, whole = host_memory()
    return 4 * free > whole


def host_memory() -> tuple[int, int]:
    """Bytes that are free, and all there are: of the machine, or of the container that this is; zeros if none says."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        known = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}
        free, whole = known["MemAvailable"], known["MemTotal"]
    except (OSError, KeyError, ValueError):
        return 1, 1
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or "max"
        return free, whole
    return min(free, limit - used), min(whole, limit)


@contextmanager
def computing(device: str, precision: str) -> Iterator[None]:
    """What a model runs in: without gradients, and in bfloat16 where that is asked for and the device can."""
    torch = _torch()
    if torch is None:
        yield
        return
    on_gpu = device.startswith("cuda") and torch.cuda.is_available()
    with torch.inference_mode():
        if on_gpu and precision == "bfloat16" and torch.cuda.is_bf16_supported(including_emulation=False):
            with torch.autocast("cuda", dtype=torch.bfloat16):
                yield
            return
        if on_gpu:  # convolutions would else be computed with 10 bits of mantissa
            torch.backends.cudnn.allow_tf32 = False
        yield


def compiled(model: Any) -> Any:
    """The model with its torch modules compiled in place; what is no module, or can't be compiled, runs as it is."""
    torch = _torch()
    if torch is None:
        return model
    torch._dynamo.config.suppress_errors = True  # without a C++ compiler, or with a model it can't take
    if isinstance(model, torch.nn.Module):
        parts: Iterable[Any] = [model]
    elif isinstance(model, Mapping):
        parts = model.values()
    else:
        parts = model if isinstance(model, list | tuple) else getattr(model, "__dict__", {}).values()
    for part in parts:
        if isinstance(part, torch.nn.Module):
            part.compile(dynamic=True)
    return model


def _torch() -> Any:
    """Torch, where something imported it already; another thread may be at it still, for which `import` waits."""
    if "torch" not in sys.modules:
        return None
    import torch

    return torch
