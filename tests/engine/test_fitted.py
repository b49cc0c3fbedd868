"""Vocabularies and tokenizers go into the store with the features that were made by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmdata.core.pipeline import Pipeline
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.features.text import BagOfWords, TextLength, fit_vocabulary
from mmdata.kernels.text.vocabulary import vocabulary_of
from mmdata.source.files import Files
from mmdata.store import Store
from mmdata.store import fitted as fitted_files


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number in range(4):
        (tmp_path / "in" / f"{number}.txt").write_text(f"one two {number}")
    return tmp_path / "in"


def made(texts: Path, file: Path) -> Store:
    pipeline = Pipeline(source=Files(str(texts)), features=(BagOfWords(file=str(file)), TextLength()))
    run(pipeline, str(texts.parent / "store"), RunOptions())
    return Store.open(str(texts.parent / "store"))


def _written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def test_the_file_is_kept_and_outlives_its_place(texts: Path) -> None:
    file = texts.parent / "words.json"
    fit_vocabulary(["one two", "one three"], file, min_texts=1)
    content = file.read_bytes()
    store = made(texts, file)
    file.unlink()
    assert store.fitted("text.words") == {"file": content}
    assert (store.fitted("text.length"), store.fitted("nothing")) == ({}, {})
    words = vocabulary_of(_written(texts.parent / "again.json", store.fitted("text.words")["file"])).places
    vector = store.arrays("text.words")[0]
    assert vector is not None
    assert {word: vector[place] for word, place in words.items()} == {"one": 1, "two": 1, "three": 0}


def test_another_vocabulary_stands_beside_the_first_and_the_newest_run_says_which_counts(texts: Path) -> None:
    one, other = texts.parent / "one.json", texts.parent / "other.json"
    fit_vocabulary(["one two"], one, min_texts=1)
    fit_vocabulary(["two three four"], other, min_texts=1)
    made(texts, one)
    store = made(texts, other)
    assert store.fitted("text.words") == {"file": other.read_bytes()}
    assert len(list((texts.parent / "store" / "fitted" / "text.words").iterdir())) == 2
    assert made(texts, one).fitted("text.words") == {"file": one.read_bytes()}


def test_what_is_too_large_is_not_kept_and_said(
    texts: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fitted_files, "MAX_BYTES", 10)
    fit_vocabulary(["one two"], texts.parent / "words.json", min_texts=1)
    assert made(texts, texts.parent / "words.json").fitted("text.words") == {}
    assert "is not kept in the store" in caplog.text
