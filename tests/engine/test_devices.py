from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch

from mmdata.core.pipeline import RunSettings
from mmdata.core.step import Step
from mmdata.engine import devices
from mmdata.engine.devices import (
    computing,
    described,
    gpus,
    has_room,
    is_out_of_memory,
    n_preparers,
    n_slots,
    n_threads,
    release,
    take_device,
    usual_workers,
)
from mmdata.errors import DecodeError, StepError
from mmdata.features.text import TextLength
from mmdata.testing.models import LetterVectors, Projection

TAKE = """
import sys
from mmdata.engine.devices import take_device
print(take_device("cuda", float(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_slots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(devices, "_taken", {})
    held: list[IO[str]] = []
    monkeypatch.setattr(devices, "_slots", held)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield
    for file in held:
        file.close()


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,GPU-8f2a")
    monkeypatch.setattr(metadata, "version", lambda _: "2.13.0")


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("0", ["0"]),
        ("3, 1", ["3", "1"]),
        ("0,-1,2", ["0"]),
        ("GPU-a", ["GPU-a"]),
    ],
)
def test_gpus_are_those_that_cuda_would_see(monkeypatch: pytest.MonkeyPatch, listed: str, found: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert gpus() == found


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(("share", "slots"), [(1.0, 2), (0.6, 2), (0.5, 4), (1 / 3, 6), (0.1, 20)])
def test_a_share_of_a_gpu_makes_slots(share: float, slots: int) -> None:
    assert n_slots(share) == slots


def test_without_a_gpu_models_run_on_the_cpu_and_asking_for_one_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert take_device("auto") in ("cpu", "mps")
    with pytest.raises(StepError, match="no GPU is to be seen here; set device to auto or cpu"):
        take_device("cuda")


@pytest.mark.usefixtures("two_gpus")
def test_a_build_of_torch_for_cpus_alone_has_no_use_for_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "2.13.0+cpu")
    assert take_device("auto") in ("cpu", "mps")


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("wanted", ["cpu", "mps", "cuda:7"])
def test_a_device_that_is_named_is_taken(wanted: str) -> None:
    assert take_device(wanted) == wanted


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(("share", "expected"), [("1", ["cuda:0", "cuda:1"]), ("0.5", ["cuda:0", "cuda:1"] * 2)])
def test_processes_take_gpus_in_turn_and_a_dead_ones_slot_is_free_again(share: str, expected: list[str]) -> None:
    hold = [sys.executable, "-c", TAKE, share]
    crew = []
    for _ in expected:
        crew.append(subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        said = crew[-1].stdout
        assert said is not None
        assert said.readline().strip() == expected[len(crew) - 1]
    crew[1].kill()
    crew[1].wait()
    assert take_device("auto", float(share)) == "cuda:1"
    assert take_device("auto", float(share)) == "cuda:1"  # once a process
    for each in crew:
        each.kill()
        each.communicate()


@pytest.mark.usefixtures("two_gpus")
def test_where_all_slots_are_taken_gpus_are_shared(caplog: pytest.LogCaptureFixture) -> None:
    names = [f"{name}-0" for name in gpus()]
    assert all(devices._hold(name) for name in names)
    assert take_device("cuda").startswith("cuda:")
    assert "this one shares" in caplog.text


@pytest.mark.usefixtures("two_gpus")
def test_a_pool_has_no_more_workers_than_gpus_take_where_there_are_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "n_cores", lambda: 16)
    features: list[Step] = [TextLength(), Projection()]
    assert usual_workers(features, RunSettings()) == 2
    assert usual_workers(features, RunSettings(gpus_per_worker=0.25)) == 8
    assert usual_workers(features, RunSettings(device="cpu")) == 16
    assert usual_workers([TextLength()], RunSettings()) == 16
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert usual_workers(features, RunSettings()) == 16


@pytest.mark.parametrize(("said", "n"), [("1", 1), ("3", 3), ("4,2", 4), ("x", None), ("0", None), ("", None)])
def test_a_process_has_the_threads_that_its_environment_says(
    monkeypatch: pytest.MonkeyPatch, said: str, n: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert n_threads() == n or (n is None and n_threads() >= 1)
    assert n_preparers("cpu", 1.0) == min(4, n_threads())


@pytest.mark.usefixtures("two_gpus")
def test_a_worker_on_a_gpu_prepares_with_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "n_cores", lambda: 12)
    assert [n_preparers("cuda:0", share) for share in (1.0, 0.5, 0.1)] == [6, 3, 1]


def raised(call: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    "call",
    [lambda: torch.empty(10**15), lambda: np.empty(10**15), lambda: bytearray(10**16)],
    ids=["torch", "numpy", "python"],
)
def test_running_out_of_memory_is_known_by_what_is_really_raised(call: Callable[[], object]) -> None:
    assert is_out_of_memory(raised(call))


def test_running_out_of_memory_is_known_where_it_is_the_cause_of_another_error() -> None:
    error = ValueError("could not embed")
    error.__cause__ = torch.OutOfMemoryError("CUDA out of memory")
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        None,
        ValueError("out of memory"),  # a text about memory is no failure of it
        DecodeError("out of memory"),
        RuntimeError("shapes do not match"),
        raised(lambda: torch.ones(2) @ torch.ones(3)),
        raised(lambda: np.ones(2) @ np.ones(3)),
    ],
    ids=repr,
)
def test_other_errors_are_not_taken_for_it(error: Exception | None) -> None:
    assert not is_out_of_memory(error)


def test_models_run_without_gradients_and_a_cpu_stays_at_float32() -> None:
    weights = torch.ones(2, 2, requires_grad=True)
    with computing("cpu", "bfloat16"):
        made = weights @ weights
    assert (made.requires_grad, made.dtype) == (False, torch.float32)
    release("cpu")


def test_larger_groups_are_not_tried_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_room("cuda:0", 1)
    assert not has_room("cpu", 1_000_000)
    for free, expected in ((26, True), (25, False), (0, False)):
        monkeypatch.setattr(devices, "host_memory", lambda free=free: (free, 100))
        assert has_room("cpu") is expected
    monkeypatch.undo()
    free, whole = devices.host_memory()
    assert 0 < free <= whole


def test_what_is_remembered_of_a_cpu_is_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert described("cpu", 1.0) == described("cpu", 0.5) == "cpu 3"
    assert described("mps", 0.5) != described("mps", 1.0)


def test_nothing_of_it_loads_torch_for_a_step_that_needs_none() -> None:
    script = """
import sys
from mmdata.core.sample import Image, Sample
from mmdata.core.pipeline import Family, RunSettings
from mmdata.engine.counts import Counts
from mmdata.engine.extract import Extraction
from mmdata.engine.notes import Notes
from mmdata.engine.rows import FamilyWork
from mmdata.testing.build import picture
from mmdata.testing.models import Projection
rows = []
class Table:
    def add(self, keys, arrays, errors):
        rows.extend(arrays["image.projection"])
work = FamilyWork(Family(Projection(), "f"), Table())
extraction = Extraction([work], Counts(), Notes(None), RunSettings(compile=True))
for at in range(9):
    extraction.add(f"s/{at}", Sample(f"s/{at}", {"image": picture(4, 4)}))
extraction.flush()
print(len(rows), "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["9", "False"]


@pytest.mark.slow
def test_compiled_models_give_the_same_numbers() -> None:
    step = LetterVectors()
    texts = [np.arange(n) for n in (3, 9, 20)]
    plain, made = step.load("cpu"), devices.compiled(step.load("cpu"))
    with computing("cpu", "float32"):
        expected, found = step.extract(plain, texts), step.extract(made, texts)
    np.testing.assert_allclose(np.stack(found), np.stack(expected), rtol=1e-5, atol=1e-5)
