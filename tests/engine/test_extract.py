"""Features of a stretch of samples: decoded once, in order, and a failure costs its own row alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.core.pipeline import Family
from mmdata.core.sample import Blob, Image, Sample, Text
from mmdata.core.step import Extract
from mmdata.engine import extract
from mmdata.engine.carry import ALWAYS_FAILS
from mmdata.engine.counts import Counts
from mmdata.engine.extract import Extraction, FamilyWork
from mmdata.engine.notes import Notes
from mmdata.errors import DecodeError, StepError
from mmdata.features.image import Sharpness
from mmdata.store.write_features import FeatureWriter
from mmdata.testing.build import picture, png_bytes


@dataclass
class Table:
    """Where a family's rows would be written."""

    rows: dict[str, tuple[float | None, str | None]] = field(default_factory=dict)
    chunks: list[int] = field(default_factory=list)

    def add(self, keys: Sequence[str], arrays: Mapping[str, Sequence[Any]], errors: Sequence[str | None]) -> None:
        (values,) = arrays.values()
        self.chunks.append(len(keys))
        for key, value, error in zip(keys, values, errors, strict=True):
            self.rows[key] = (None if value is None else float(value), error)


@dataclass(frozen=True, kw_only=True)
class Number(Extract[Text]):
    """The number that a text is."""

    on: str = "text"
    into: str = "text.number"

    def spec(self) -> ArraySpec:
        return ArraySpec()

    def extract(self, text: Text) -> np.ndarray:
        if text.text == "bad":
            raise DecodeError("it is bad")
        if text.text == "double":
            return np.float64(1.0)  # type: ignore[return-value]  # what was not promised
        return np.asarray(float(text.text), np.float32)


@dataclass(frozen=True, kw_only=True)
class Batched(Number):
    """Adds half in a batch, to tell that it was one; loses the last row when there are `loses`."""

    loses: int = -1

    def extract_many(self, values: Sequence[Text]) -> Sequence[np.ndarray]:
        if len(values) == self.loses:
            values = values[:-1]
        return [np.asarray(self.extract(value) + 0.5, np.float32) for value in values]


def texts(*words: str) -> list[Sample]:
    return [Sample(f"s/{at}", {"text": Text(word)}) for at, word in enumerate(words)]


def extracted(step: Extract[Any], samples: Sequence[Sample], counts: Counts | None = None, **gather: Any) -> Table:
    table = Table()
    work = FamilyWork(
        Family(step, "f"), cast(FeatureWriter, table), {key.replace("_", "/"): row for key, row in gather.items()}
    )
    extraction = Extraction([work], counts or Counts(), Notes(None))
    for sample in samples:
        extraction.add(sample.key, sample)
    extraction.flush()
    return table


@dataclass(frozen=True, kw_only=True)
class Plain(Number):
    """The same as a number of Python's own."""

    def extract(self, text: Text) -> float:  # type: ignore[override]  # where the other has arrays
        return int(text.text) if text.text.isdecimal() else float(text.text)


def test_a_number_of_python_s_own_is_what_was_promised_where_that_holds_it() -> None:
    table = extracted(Plain(), texts("1", "2.5", "1e300"))
    assert [value for value, _ in table.rows.values()] == [1, 2.5, None]
    assert "broke its promise for 'text.number': 1e+300 is no float32" in str(table.rows["s/2"][1])


def test_rows_come_in_the_samples_order_and_a_failure_costs_its_own() -> None:
    counts = Counts()
    table = extracted(Number(), texts("1", "bad", "word", "double", "3"), counts)
    assert list(table.rows) == [f"s/{at}" for at in range(5)]
    assert [value for value, _ in table.rows.values()] == [1, None, None, None, 3]
    errors = [error for _, error in table.rows.values()]
    assert errors[0] is errors[4] is None
    assert errors[1] == "decode: it is bad"
    assert str(errors[2]).startswith("bug: ValueError: could not convert")
    assert "broke its promise for 'text.number': dtype is float64" in str(errors[3])
    assert (counts.missing, counts.computed) == ({"text.number": 3}, {"text.number": 2})
    assert counts.steps[Number().name].n == 5


def test_a_sample_without_the_part_has_a_null_and_no_error() -> None:
    counts = Counts()
    table = extracted(Number(), [Sample("s/a", {}), *texts("1")], counts)
    assert table.rows["s/a"] == (None, None)
    assert not +counts.missing


def test_rows_that_are_there_already_are_taken_over_uncomputed() -> None:
    counts = Counts()
    table = extracted(Number(), texts("bad", "2"), counts, s_0={"text.number": np.float32(7)})
    assert table.rows == {"s/0": (7.0, None), "s/1": (2.0, None)}
    assert (counts.gathered, counts.computed) == ({"text.number": 1}, {"text.number": 1})


def test_a_batch_is_made_where_the_step_can() -> None:
    assert [value for value, _ in extracted(Batched(), texts("1", "2")).rows.values()] == [1.5, 2.5]


@pytest.mark.parametrize("words", [("1", "bad", "3"), ("1", "2", "3")], ids=["one fails", "one is lost"])
def test_a_batch_that_fails_is_computed_one_by_one_and_counted_once(words: tuple[str, ...]) -> None:
    counts = Counts()
    table = extracted(Batched(loses=3), texts(*words), counts)
    assert [value for value, _ in table.rows.values()] == [None if word == "bad" else float(word) for word in words]
    assert counts.computed["text.number"] == sum(word != "bad" for word in words)


def test_a_picture_is_decoded_once_for_all_that_read_it() -> None:
    sample = Sample("s/a", {"image": Blob.of(png_bytes(picture(40, 30)), name="a.png")})
    tables, counts = [Table(), Table()], Counts()
    steps = [Sharpness(), Sharpness(into="image.again", working_px=16)]
    work = [
        FamilyWork(Family(step, "f"), cast(FeatureWriter, table)) for step, table in zip(steps, tables, strict=True)
    ]
    extraction = Extraction(work, counts, Notes(None))
    extraction.add(sample.key, sample)
    extraction.flush()
    assert counts.steps["codec.image.DecodeImage"].n == 1
    expected = float(np.asarray(Sharpness().extract(picture(40, 30))))
    assert tables[0].rows["s/a"][0] == pytest.approx(expected)


def test_a_part_that_can_not_be_decoded_is_missing_with_the_decoders_words() -> None:
    sample = Sample("s/a", {"image": Blob.of(b"no picture", name="a.png")})
    value, error = extracted(Sharpness(), [sample]).rows["s/a"]
    assert value is None
    assert str(error).startswith("decode: ")


def test_chunks_are_bounded_in_number_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    many = texts(*["1"] * (2 * extract.CHUNK_SAMPLES + 1))
    assert extracted(Number(), many).chunks == [extract.CHUNK_SAMPLES, extract.CHUNK_SAMPLES, 1]
    large = [Sample(f"s/{at}", {"image": Image(np.zeros((10, 10, 3), np.uint8))}) for at in range(5)]
    monkeypatch.setattr(extract, "CHUNK_BYTES", 600)
    assert extracted(Sharpness(), large).chunks == [2, 2, 1]


def test_nothing_to_do_writes_nothing() -> None:
    assert extracted(Number(), []).chunks == []


def test_a_feature_that_never_worked_stops_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StepError, match=f"first {ALWAYS_FAILS} samples.*could not convert"):
        extracted(Number(), texts(*["word"] * ALWAYS_FAILS))
    extracted(Number(), texts(*["word"] * (ALWAYS_FAILS - 1)))
    extracted(Number(), texts("1", *["word"] * ALWAYS_FAILS))
    extracted(Number(), texts(*["bad"] * 2 * ALWAYS_FAILS))  # samples may all be bad
