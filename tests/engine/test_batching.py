"""Features by models: grouped across a shard, in order, within bounds, and a failure costs its own row alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException as OnnxFailure

from mmdata.core.arrays import ArraySpec
from mmdata.core.pipeline import Family, RunSettings
from mmdata.core.sample import Blob, Sample, Text
from mmdata.core.step import BatchExtract
from mmdata.engine import budgets, groups, lanes, models
from mmdata.engine.carry import ALWAYS_FAILS
from mmdata.engine.counts import Counts
from mmdata.engine.extract import Extraction
from mmdata.engine.lanes import Bounds
from mmdata.engine.notes import Notes
from mmdata.engine.rows import FamilyWork
from mmdata.errors import DecodeError, StepError
from mmdata.store.write_features import FeatureWriter
from mmdata.testing.build import picture, png_bytes
from mmdata.testing.models import LetterVectors, Projection


@dataclass
class Table:
    """Where a family's rows would be written."""

    rows: dict[str, tuple[float | None, str | None]] = field(default_factory=dict)

    def add(self, keys: Sequence[str], arrays: Mapping[str, Sequence[Any]], errors: Sequence[str | None]) -> None:
        (values,) = arrays.values()
        for key, value, error in zip(keys, values, errors, strict=True):
            assert key not in self.rows
            self.rows[key] = (None if value is None else float(np.asarray(value).flat[0]), error)


@dataclass
class Memory:
    """What a device has, in costs, and which groups were tried on it."""

    cost: int = 10**9
    groups: list[list[int]] = field(default_factory=list)
    loads: int = 0
    error: type[Exception] = torch.OutOfMemoryError
    text: str = "CUDA out of memory. Tried to allocate 2.00 GiB"


MEMORY = Memory()


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """A device of its own for each test, and nothing that is remembered of another."""
    vars(MEMORY).update(vars(Memory()))
    monkeypatch.setattr(models, "_loaded", type(models._loaded)())
    monkeypatch.setattr(budgets, "_known", {})
    monkeypatch.setattr(lanes, "budgets_file", lambda: None)
    return MEMORY


@dataclass(frozen=True, kw_only=True)
class Lengths(BatchExtract[Text]):
    """Ten times the number that a text is, by a "model" on a device whose memory ends."""

    on: str = "text"
    into: str = "text.tenfold"

    def spec(self) -> ArraySpec:
        return ArraySpec()

    def load(self, device: str) -> float:
        MEMORY.loads += 1
        return 10.0

    def prepare(self, text: Text) -> int:
        if text.text == "bad":
            raise DecodeError("it is bad")
        return int(text.text)

    def cost(self, prepared: int) -> int:
        return prepared

    def extract(self, model: float, prepared: Sequence[int]) -> Sequence[np.ndarray]:
        MEMORY.groups.append(list(prepared))
        if len(prepared) * max(prepared) > MEMORY.cost:
            raise MEMORY.error(MEMORY.text)
        if 13 in prepared:
            raise ValueError("no thirteen here")
        return list(np.asarray(prepared, np.float32) * np.float32(model))


def texts(*words: object) -> list[Sample]:
    return [Sample(f"s/{at}", {"text": Text(str(word))}) for at, word in enumerate(words)]


def own_threads() -> list[str]:
    """The threads that the engine began; other libraries keep some of their own."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("mmdata-model")]


def extracted(
    step: BatchExtract[Any], samples: Sequence[Sample], counts: Counts | None = None, **options: Any
) -> dict[str, tuple[float | None, str | None]]:
    table = Table()
    work = FamilyWork(Family(step, "f"), cast(FeatureWriter, table), options.pop("gather", {}))
    extraction = Extraction([work], counts or Counts(), Notes(None), RunSettings(device="cpu"), **options)
    try:
        for sample in samples:
            extraction.add(sample.key, sample)
        extraction.flush()
    finally:
        extraction.close()
    assert own_threads() == []
    return table.rows


def test_rows_come_in_the_samples_order_whatever_the_groups(memory: Memory) -> None:
    numbers = np.random.default_rng(7).integers(14, 2000, 3000).tolist()
    counts = Counts()
    rows = extracted(Lengths(), texts(*numbers), counts)
    assert list(rows) == [f"s/{at}" for at in range(3000)]
    assert [value for value, _ in rows.values()] == [10.0 * number for number in numbers]
    assert counts.computed == {"text.tenfold": 3000}
    assert counts.steps[Lengths().name].n == 3000
    assert memory.loads == 1
    assert len(memory.groups) < 600


def test_groups_hold_values_of_like_cost(memory: Memory) -> None:
    extracted(Lengths(), texts(*[10, 1000] * 200))
    assert all(max(group) == min(group) for group in memory.groups)
    assert max(len(group) for group in memory.groups) > 4


@pytest.mark.parametrize("samples", [1, 2, 7])
@pytest.mark.parametrize("room", [1, 100, 10_000])
def test_bounds_of_any_size_end_and_are_kept(
    monkeypatch: pytest.MonkeyPatch, memory: Memory, samples: int, room: int
) -> None:
    monkeypatch.setattr(lanes, "ON_CPU", Bounds(samples, room, 32))
    numbers = np.random.default_rng(samples).integers(14, 300, 60).tolist()
    rows = extracted(Lengths(), texts(*numbers))
    assert [value for value, _ in rows.values()] == [10.0 * number for number in numbers]
    assert max(map(len, memory.groups)) <= samples


def test_what_is_under_way_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepared values are a thousand times as large as what they are made of: preparing waits for the model."""
    monkeypatch.setattr(lanes, "ON_CPU", Bounds(1024, 20 * 8000, 32))
    alive: list[int] = []

    @dataclass(frozen=True, kw_only=True)
    class Swells(Lengths):
        def prepare(self, text: Text) -> Any:
            alive.append(1)
            return np.full(1000, int(text.text))

        def cost(self, prepared: Any) -> int:
            return 1

        def extract(self, model: float, prepared: Sequence[Any]) -> Sequence[np.ndarray]:
            time.sleep(0.002)
            assert len(alive) - done[0] <= 20 + 4 + 1  # a value in each thread may be above it
            done[0] += len(prepared)
            return [np.asarray(each[0] * model, np.float32) for each in prepared]

    done = [0]
    rows = extracted(Swells(), texts(*range(300)))
    assert [value for value, _ in rows.values()] == [10.0 * number for number in range(300)]
    assert done == [300]


def test_a_slow_writer_holds_the_rest_up(monkeypatch: pytest.MonkeyPatch, memory: Memory) -> None:
    monkeypatch.setattr(lanes, "ON_CPU", Bounds(10, 10**9, 32))
    written: list[str] = []

    class Slow(Table):
        def add(self, keys: Sequence[str], arrays: Mapping[str, Sequence[Any]], errors: Sequence[str | None]) -> None:
            time.sleep(0.01)
            assert sum(map(len, memory.groups)) <= len(written) + 10
            written.extend(keys)

    work = FamilyWork(Family(Lengths(), "f"), cast(FeatureWriter, Slow()))
    extraction = Extraction([work], Counts(), Notes(None), RunSettings(device="cpu"))
    for sample in texts(*[20] * 100):
        extraction.add(sample.key, sample)
    extraction.flush()
    assert len(written) == 100


# --- memory that runs out

REAL: list[tuple[type[Exception], str]] = [
    (torch.OutOfMemoryError, "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 14.75 GiB"),
    (RuntimeError, "MPS backend out of memory (MPS allocated: 8.10 GB, max allowed: 9.07 GB)"),
    (RuntimeError, "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    (RuntimeError, "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    (
        OnnxFailure,
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer of size 8",
    ),
    (MemoryError, "Unable to allocate 7.45 GiB for an array"),
]


@pytest.mark.parametrize(("error", "text"), REAL, ids=[text[:20] for _, text in REAL])
def test_groups_are_halved_where_memory_runs_out(
    monkeypatch: pytest.MonkeyPatch, memory: Memory, error: type[Exception], text: str
) -> None:
    monkeypatch.setattr(budgets, "FIRST", 32)
    memory.cost, memory.error, memory.text = 500, error, text
    counts = Counts()
    rows = extracted(Lengths(), texts(*[40] * 300), counts)
    assert [value for value, _ in rows.values()] == [400.0] * 300
    assert counts.computed == {"text.tenfold": 300}
    assert not +counts.missing
    failed = [len(group) for group in memory.groups if len(group) * 40 > 500]
    assert 1 <= len(failed) <= 3  # the budget learns
    assert max(len(group) for group in memory.groups[-10:]) * 40 <= 500


def test_one_that_does_not_fit_alone_is_a_row_without_arrays_and_its_neighbours_are_none_the_worse(
    memory: Memory,
) -> None:
    memory.cost = 1000
    counts = Counts()
    rows = extracted(Lengths(), texts(*[40] * 50, 5000, *[40] * 50, 1001, 1000), counts)
    assert rows.pop("s/50") == (
        None,
        "does_not_fit: alone, at a cost of 5000, it takes more memory than cpu has to give",
    )
    assert str(rows.pop("s/101")[1]).startswith("does_not_fit: ")
    assert {error for _, error in rows.values()} == {None}
    assert rows["s/102"] == (10_000.0, None)
    assert counts.missing == {"text.tenfold": 2}
    assert counts.steps[Lengths().name].bugs == 0


def test_many_that_do_not_fit_are_no_reason_to_stop(memory: Memory) -> None:
    memory.cost = 10
    rows = extracted(Lengths(), texts(*[5000] * 2 * ALWAYS_FAILS))
    assert all(str(error).startswith("does_not_fit") for _, error in rows.values())


def test_memory_that_others_held_for_a_moment_costs_nothing(memory: Memory) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Once(Lengths):
        def extract(self, model: float, prepared: Sequence[int]) -> Sequence[np.ndarray]:
            if not memory.groups:
                memory.groups.append([])
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().extract(model, prepared)

    assert extracted(Once(), texts(7)) == {"s/0": (70.0, None)}


# --- values, steps and models at fault


def test_a_value_at_fault_pays_alone(memory: Memory) -> None:
    counts = Counts()
    words = [1, 2, "bad", 13, 3, "x", 0, *range(20, 60)]
    rows = extracted(Lengths(), texts(*words), counts)
    wrong = {key: str(error) for key, (_, error) in rows.items() if error}
    assert list(wrong) == ["s/2", "s/3", "s/5", "s/6"]
    assert wrong["s/2"] == "decode: it is bad"
    assert wrong["s/3"].startswith("bug: ValueError: no thirteen here")
    assert wrong["s/5"].startswith("bug: ValueError: invalid literal")
    assert wrong["s/6"].startswith(f"bug: {Lengths().name} gave a cost of 0; it must be at least 1")
    assert all(value == 10.0 * int(words[at]) for at, (value, error) in enumerate(rows.values()) if not error)
    assert (counts.missing["text.tenfold"], counts.computed["text.tenfold"]) == (4, 43)
    assert (counts.steps[Lengths().name].n, counts.steps[Lengths().name].bugs) == (47, 3)


@pytest.mark.parametrize("cost", [-1, 1.5, None, "3"])
def test_a_cost_that_is_no_cost_is_a_bug_of_the_step(cost: Any) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Odd(Lengths):
        def cost(self, prepared: int) -> int:
            return cast(int, cost if prepared == 5 else 1)

    rows = extracted(Odd(), texts(5, 6))
    assert str(rows["s/0"][1]).startswith("bug: ")
    assert rows["s/1"] == (60.0, None)


def test_costs_of_any_size_are_computed() -> None:
    assert extracted(Lengths(), texts(10**30, 7))["s/1"] == (70.0, None)


@pytest.mark.parametrize("lost", [-1, 1])
def test_results_that_are_too_few_or_too_many_are_found_out(lost: int) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Miscounts(Lengths):
        def extract(self, model: float, prepared: Sequence[int]) -> Sequence[np.ndarray]:
            found = list(super().extract(model, prepared))
            return found if len(found) == 1 else (found + found[:1] if lost > 0 else found[:-1])

    rows = extracted(Miscounts(), texts(*range(20, 40)))
    assert [value for value, _ in rows.values()] == [10.0 * number for number in range(20, 40)]


def test_a_step_that_never_worked_stops_the_work() -> None:
    with pytest.raises(StepError, match=f"first {ALWAYS_FAILS} samples.*no thirteen"):
        extracted(Lengths(), texts(*[13] * 500))
    with pytest.raises(StepError, match=f"first {ALWAYS_FAILS} samples.*invalid literal"):
        extracted(Lengths(), texts(*["x"] * 500))


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_model_that_can_not_be_loaded_stops_the_work_at_once(memory: Memory, one_by_one: bool) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Unloadable(Lengths):
        def load(self, device: str) -> float:
            super().load(device)
            raise OSError("no weights in weights.safetensors")

    expected = (
        r"Unloadable \(text.tenfold\) could not load its model on cpu: OSError: no weights in weights.safetensors"
    )
    with pytest.raises(StepError, match=expected):
        extracted(Unloadable(), texts(*range(1, 5000)), one_by_one=one_by_one)
    assert memory.loads == 1


def test_a_writer_that_fails_ends_the_work() -> None:
    class Full(Table):
        def add(self, keys: Sequence[str], arrays: Mapping[str, Sequence[Any]], errors: Sequence[str | None]) -> None:
            raise OSError(28, "No space left on device")

    work = FamilyWork(Family(Lengths(), "f"), cast(FeatureWriter, Full()))
    extraction = Extraction([work], Counts(), Notes(None), RunSettings(device="cpu"))

    def work_on() -> None:
        for sample in texts(*range(1, 5000)):
            extraction.add(sample.key, sample)

    with pytest.raises(OSError, match="No space left"):
        work_on()
    extraction.close()
    assert own_threads() == []


def test_work_that_is_broken_off_leaves_no_threads() -> None:
    extraction = Extraction(
        [FamilyWork(Family(Lengths(), "f"), cast(FeatureWriter, Table()))], Counts(), Notes(None), RunSettings()
    )
    for sample in texts(*range(1, 200)):
        extraction.add(sample.key, sample)
    extraction.close()
    assert own_threads() == []


# --- what is not computed


def test_an_empty_shard_and_one_without_the_part_load_no_model(memory: Memory) -> None:
    assert extracted(Lengths(), []) == {}
    counts = Counts()
    assert extracted(Lengths(), [Sample("s/a", {}), Sample("s/b", {})], counts) == dict.fromkeys(
        ["s/a", "s/b"], (None, None)
    )
    assert (memory.loads, +counts.missing) == (0, {})


def test_rows_that_are_there_already_are_taken_over_and_load_no_model(memory: Memory) -> None:
    counts = Counts()
    gather = {f"s/{at}": {"text.tenfold": np.float32(at)} for at in range(200)}
    rows = extracted(Lengths(), texts(*["bad"] * 200), counts, gather=gather)
    assert [value for value, _ in rows.values()] == list(range(200))
    assert (memory.loads, counts.gathered["text.tenfold"]) == (0, 200)


def test_a_part_that_two_models_read_is_decoded_once(memory: Memory) -> None:
    data = png_bytes(picture(40, 30))
    samples = [Sample(f"s/{at}", {"image": Blob.of(data if at != 3 else b"none")}) for at in range(6)]
    steps = [Projection(size=1), Projection(size=1, seed=1, into="image.other")]
    tables, counts = [Table(), Table()], Counts()
    work = [
        FamilyWork(Family(step, "f"), cast(FeatureWriter, table)) for step, table in zip(steps, tables, strict=True)
    ]
    extraction = Extraction(work, counts, Notes(None), RunSettings(device="cpu"))
    for sample in samples:
        extraction.add(sample.key, sample)
    extraction.flush()
    assert counts.steps["codec.image.DecodeImage"].n == 6
    for table, step in zip(tables, steps, strict=True):
        assert str(table.rows["s/3"][1]).startswith("decode: ")
        assert table.rows["s/0"][0] == pytest.approx(float(np.asarray(models.compute(step, picture(40, 30)))[0]))
    assert counts.missing == {"image.projection": 1, "image.other": 1}


# --- one by one


class Told(Notes):
    """Notes that are kept."""

    def __init__(self) -> None:
        super().__init__(None)
        self.said: list[tuple[str, str]] = []

    def write(self, entry_key: str, step: str) -> None:
        self.said.append((entry_key, step))


def test_one_by_one_each_call_is_noted_with_its_sample(memory: Memory) -> None:
    notes, table = Told(), Table()
    work = FamilyWork(Family(Lengths(), "f"), cast(FeatureWriter, table))
    extraction = Extraction([work], Counts(), notes, RunSettings(device="cpu"), one_by_one=True)
    for sample in texts(1, 2, "bad", 4):
        extraction.add(f"entry of {sample.key}", sample)
        assert own_threads() == []
        assert list(table.rows)[-1] == sample.key
    extraction.flush()
    assert memory.groups == [[1], [2], [4]]
    keys = list(dict.fromkeys(key for key, _ in notes.said if key))
    assert keys == [f"entry of s/{at}" for at in range(4)]
    assert {step for _, step in notes.said} == {Lengths().name}


def test_before_a_group_its_first_sample_is_noted(memory: Memory) -> None:
    notes = Told()
    work = FamilyWork(Family(Lengths(), "f"), cast(FeatureWriter, Table()))
    extraction = Extraction([work], Counts(), notes, RunSettings(device="cpu"))
    for sample in texts(*[5] * 100):
        extraction.add(sample.key, sample)
    extraction.flush()
    assert len([key for key, _ in notes.said if key]) == len(memory.groups)
    assert notes.said[0] == ("", Lengths().name)  # loading is no sample's fault
    first, *_ = [key for key, _ in notes.said if key]  # which samples are prepared first is a matter of threads
    assert (notes.said[1], first.partition("/")[0]) == ((first, Lengths().name), "s")


# --- numbers


def test_a_padded_transformer_gives_the_same_within_1e5_in_any_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["", "a", "a longer text than that", "one of twenty-seven letters"] * 12 + ["x" * n for n in range(1, 130)]
    step = LetterVectors()
    alone = [np.asarray(models.compute(step, Text(word))) for word in words]
    sizes: set[int] = set()

    @dataclass(frozen=True, kw_only=True)
    class Seen(LetterVectors):
        def extract(self, model: Any, prepared: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
            sizes.add(len(prepared))
            return super().extract(model, prepared)

    for window, like in ((5, 1.25), (1024, 1.25), (1024, 100.0)):
        monkeypatch.setattr(lanes, "ON_CPU", Bounds(window, 10**9, 32))
        monkeypatch.setattr(groups, "LIKE", like)
        rows: list[np.ndarray] = []

        class Vectors(Table):
            def add(
                self, keys: Sequence[str], arrays: Mapping[str, Sequence[Any]], errors: Sequence[str | None]
            ) -> None:
                rows.extend(arrays["text.letters"])  # noqa: B023

        work = FamilyWork(Family(Seen(), "f"), cast(FeatureWriter, Vectors()))
        extraction = Extraction([work], Counts(), Notes(None), RunSettings(device="cpu"))
        for sample in texts(*words):
            extraction.add(sample.key, sample)
        extraction.flush()
        np.testing.assert_allclose(np.stack(rows), np.stack(alone), rtol=1e-5, atol=1e-5)
    assert len(sizes) > 3


def test_stages_are_timed_and_the_wait_for_input_is_no_work() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Slow(Lengths):
        def prepare(self, text: Text) -> int:
            time.sleep(0.005)
            return super().prepare(text)

    counts = Counts()
    extracted(Slow(), texts(*[5] * 40), counts)
    times = counts.steps[Slow().name]
    assert times.stages.keys() == {"load", "prepare", "compute", "write", "idle"}
    assert times.seconds == pytest.approx(sum(times.stages.values()) - times.stages["idle"])
    assert times.stages["idle"] > times.stages["compute"]
    assert counts.stages["prepare"][Slow().name] == pytest.approx(times.stages["prepare"])
