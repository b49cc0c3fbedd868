from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from mmdata.core.pipeline import Compiled, Placed
from mmdata.core.ports import Entry, Member
from mmdata.core.sample import Sample, Text
from mmdata.core.step import Drop, Filter, Map, RandomMap, Split, Step
from mmdata.engine.carry import ALWAYS_FAILS, Carrier, rejection
from mmdata.engine.counts import Counts
from mmdata.engine.notes import FEATURES, INGEST, SIZE, Note, Notes, read_count, read_note
from mmdata.errors import DataError, DecodeError, MissingExtra, StepError


@dataclass
class Book:
    drops: list[tuple[str, ...]] = field(default_factory=list)
    rejects: list[tuple[str, ...]] = field(default_factory=list)

    def drop(self, *row: str) -> None:
        self.drops.append(row)

    def reject(self, *row: str) -> None:
        self.rejects.append(row)


@dataclass(frozen=True, kw_only=True)
class Do(Map[Text, Any]):
    """Whatever its text says."""

    on: str = "text"

    def map(self, text: Text) -> Any:
        match text.text:
            case "drop":
                return Drop("told_to")
            case "bad":
                raise DecodeError("it is bad")
            case "bug":
                raise KeyError("oh")
            case "none":
                return None
        return text.changed(text.text + "!")


@dataclass(frozen=True, kw_only=True)
class Halve(Split[Sample]):
    names: tuple[str, ...] = ("1", "2")

    def split(self, sample: Sample) -> Sequence[Sample]:
        return [sample.child(name) for name in self.names]


@dataclass(frozen=True, kw_only=True)
class Mark(RandomMap[Text, Text]):
    on: str = "text"

    def map(self, text: Text, rng: np.random.Generator) -> Text:
        return text.changed(str(rng.random()))


@dataclass(frozen=True, kw_only=True)
class Labelled(Filter[Sample]):
    def keep(self, sample: Sample) -> Literal[True] | Drop:
        return True if "label" in sample.meta else Drop("unlabelled")


@dataclass(frozen=True, kw_only=True)
class Long(Filter[Text]):
    """What a first filter often looks like: it returns what it compared, and no reason."""

    on: str | None = "text"

    def keep(self, text: Any) -> Any:
        return np.bool_(len(text.text) > 3) if isinstance(text, Text) else len(text.parts) > 1


@dataclass(frozen=True, kw_only=True)
class Length(Map[Text, Text]):
    on: str = "text"

    def map(self, text: Text) -> Any:
        return len(text.text)


def carried(steps: Sequence[Step], *samples: Sample, seed: int = 0) -> tuple[list[Sample], Book, Counts]:
    placed = tuple(
        Placed(step, step.on if not isinstance(step, Split) else None, step.on, occurrence)
        for occurrence, step in enumerate(steps)
    )
    book, counts = Book(), Counts()
    carrier = Carrier(Compiled(placed, {}, (), "fp", seed), book, counts, Notes(None))
    results: list[Sample] = []
    for sample in samples:
        counts.read += 1
        results += carrier.carry(Entry(sample.key, (Member("text", f"{sample.key}.txt", 1, ""),)), sample)
    counts.stored = len(results)
    return results, book, counts


def says(text: str, key: str = "s/a", **meta: Any) -> Sample:
    return Sample(key, {"text": Text(text)}, meta)


def test_a_sample_goes_through_all_steps_in_order() -> None:
    (result,), _, counts = carried([Do(), Do()], says("a"))
    assert result.parts["text"] == Text("a!!")
    assert counts.balances
    assert counts.steps[Do().name].n == 2


def test_a_sample_without_the_part_passes_by_untouched() -> None:
    sample = Sample("s/a", {})
    assert carried([Do()], sample)[0] == [sample]


def test_a_drop_is_written_with_step_reason_and_source() -> None:
    results, book, counts = carried([Do()], says("drop"), says("x", "s/b"))
    assert [sample.key for sample in results] == ["s/b"]
    assert book.drops == [("s/a", Do().name, "told_to", "s/a.txt")]
    assert counts.dropped == {f"{Do().name}:told_to": 1}
    assert counts.balances


@pytest.mark.parametrize(
    ("text", "kind", "error"),
    [
        ("bad", "decode", "it is bad"),
        ("bug", "bug", "KeyError: 'oh'"),
        ("none", "bug", "TypeError: the step returned None; it must return a value or a Drop"),
    ],
)
def test_a_failure_costs_its_sample_alone(text: str, kind: str, error: str) -> None:
    results, book, counts = carried([Do()], says(text), says("x", "s/b"))
    assert len(results) == 1
    ((key, step, found, said, traceback, pointer),) = book.rejects
    assert (key, step, found, said, pointer) == ("s/a", Do().name, kind, error, "s/a.txt")
    assert "Traceback" in traceback
    assert counts.rejected == {kind: 1}
    assert counts.balances


@pytest.mark.parametrize("on", ["text", None])
def test_a_filter_that_gives_no_reason_is_a_bug_and_keeps_nothing(on: str | None) -> None:
    results, book, counts = carried([Long(on=on)], says("abc"))
    error = "TypeError: the filter returned False; it must return True or a Drop with a reason"
    assert (results, book.rejects[0][2:4]) == ([], ("bug", error))
    assert counts.balances


def test_a_filter_may_say_true_in_numpys_way() -> None:
    sample = says("long enough")
    assert carried([Long()], sample)[0] == [sample]


def test_a_value_of_another_kind_than_the_step_gives_is_a_bug() -> None:
    results, book, _ = carried([Length()], says("abc"))
    assert (results, book.rejects[0][3]) == ([], "TypeError: the step returned int; it must return Text or a Drop")


def test_children_go_on_through_the_later_steps_and_are_counted_as_made() -> None:
    results, _, counts = carried([Halve(), Do()], says("a"))
    assert [(sample.key, sample.parent) for sample in results] == [("s/a@1", "s/a"), ("s/a@2", "s/a")]
    assert all(sample.parts["text"] == Text("a!") for sample in results)
    assert (counts.made, counts.balances) == (1, True)


def test_a_split_of_a_split_balances() -> None:
    results, _, counts = carried([Halve(), Halve(names=("x", "y", "z"))], says("a"))
    assert [sample.key for sample in results] == [f"s/a@{one}@{two}" for one in "12" for two in "xyz"]
    assert (counts.made, counts.balances) == (5, True)


def test_two_children_of_one_key_are_a_collision() -> None:
    results, book, counts = carried([Halve(names=("1", "1"))], says("a"))
    assert len(results) == 1
    assert book.rejects[0][2] == "collision"
    assert counts.balances


def test_a_split_into_nothing_is_a_bug_not_a_loss() -> None:
    _, book, counts = carried([Halve(names=())], says("a"))
    assert book.rejects[0][2] == "bug"
    assert counts.balances


def test_a_whole_sample_is_judged_by_a_step_without_a_part() -> None:
    results, book, _ = carried([Labelled()], says("a", label="x"), says("b", "s/b"))
    assert [sample.key for sample in results] == ["s/a"]
    assert book.drops[0][2] == "unlabelled"


def test_randomness_differs_by_key_seed_and_occurrence_and_not_by_order() -> None:
    pair = [says("a"), says("a", "s/b")]
    one = [sample.parts["text"] for sample in carried([Mark()], *pair)[0]]
    other = [sample.parts["text"] for sample in carried([Mark()], *reversed(pair))[0]]
    assert one == other[::-1]
    assert one[0] != one[1]
    assert [sample.parts["text"] for sample in carried([Mark()], *pair, seed=1)[0]] != one
    assert [sample.parts["text"] for sample in carried([Mark(), Mark()], *pair)[0]] != one


def test_a_step_that_never_works_stops_the_run() -> None:
    samples = [says("bug", f"s/{number}") for number in range(ALWAYS_FAILS)]
    carried([Do()], *samples[:-1])
    with pytest.raises(StepError, match=f"failed on each of its first {ALWAYS_FAILS} samples"):
        carried([Do()], *samples)


def test_a_step_that_worked_once_does_not_stop_the_run() -> None:
    samples = [says("bug", f"s/{number}") for number in range(ALWAYS_FAILS * 2)]
    assert len(carried([Do()], says("fine", "s/x"), *samples)[1].rejects) == ALWAYS_FAILS * 2


def test_bad_data_never_stops_the_run_by_itself() -> None:
    samples = [says("bad", f"s/{number}") for number in range(ALWAYS_FAILS * 2)]
    assert len(carried([Do()], *samples)[1].rejects) == ALWAYS_FAILS * 2


def test_addresses_of_objects_are_masked_so_that_runs_write_the_same_bytes() -> None:
    why = rejection("s", ValueError(f"bad {object()!r}"))
    assert "0x…" in why.error
    assert " at 0x7" not in why.error + why.traceback
    assert rejection("s", MemoryError()).kind == "out_of_memory"
    assert rejection("s", DataError("x")).kind == "data"


def test_the_last_note_survives_its_writer(tmp_path: Path) -> None:
    with (tmp_path / "note").open("w+b") as file:
        file.truncate(SIZE)
        notes = Notes(file.fileno())
        assert (read_note(file.fileno()), read_count(file.fileno())) == (None, 0)
        notes.write("s/a\n" + "x" * 50, "clean.text.Some")
        assert read_note(file.fileno()) == Note("s/a\n" + "x" * 50, "clean.text.Some", INGEST)
        notes.of(FEATURES).write("s/ü", "features.text.Some")
        notes.close()
        assert read_note(file.fileno()) == Note("s/ü", "features.text.Some", FEATURES)
        assert read_count(file.fileno()) == notes.count == 2


def test_a_sample_that_needs_another_extra_is_no_bug_of_a_step() -> None:
    why = rejection("codec.audio.DecodeAudio", MissingExtra("codec", ["it needs FFmpeg", "and more"]))
    assert (why.kind, why.error) == ("missing_extra", "it needs FFmpeg; and more")
