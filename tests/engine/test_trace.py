"""What became of a key, in each way that a key can end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmdata.clean.text import KeepLength, NormalizeText
from mmdata.codec.image import DecodeImage
from mmdata.core.pipeline import Pipeline
from mmdata.core.sample import Sample, Text
from mmdata.core.step import Split
from mmdata.engine.look import look
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.engine.trace import trace
from mmdata.errors import DataError, StoreError
from mmdata.features.image import PerceptualHash, Sharpness
from mmdata.features.text import TextLength
from mmdata.select.dedup import Exact
from mmdata.select.selection import select
from mmdata.source.files import Files
from mmdata.store.store import Store
from mmdata.testing.build import picture, png_bytes

LENIENT = RunOptions(settings=replace(RunOptions().settings, max_rejects=1.0))
TEXTS = {
    "stored": "a text of some length",
    "dropped": "a",
    "rejected": "another text of some length",
    "split": "one|two|t",
    "crumbs@home": "o|t|t",
    "bare": "a text without a picture",
    "odd": "odd",
}


@dataclass(frozen=True, kw_only=True)
class Cut(Split[Sample]):
    """Cuts texts at bars; the sample itself where there is none."""

    def split(self, sample: Sample) -> Sequence[Sample]:
        text = sample.parts["text"]
        pieces = text.text.split("|") if isinstance(text, Text) else []
        if len(pieces) < 2:
            return [sample]
        return [sample.child(str(number), text=Text(piece)) for number, piece in enumerate(pieces)]


@dataclass(frozen=True, kw_only=True)
class EvenLength(TextLength):
    """Fails on texts of odd length."""

    into: str = "text.even"

    def extract(self, text: Text) -> dict[str, np.ndarray]:
        if len(text.text) % 2:
            raise DataError("its length is odd")
        return super().extract(text)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    folder = tmp_path_factory.mktemp("trace") / "corpus"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / f"{name}.txt").write_text(text)
        if name != "bare":
            data = png_bytes(picture(40, 30, seed=len(name)))
            (folder / f"{name}.png").write_bytes(data[:60] if name == "rejected" else data)
    steps = (DecodeImage(), NormalizeText(), Cut(), KeepLength(min_chars=2))
    return Pipeline(
        source=Files(str(folder), label=None),
        ingest=steps,
        features=(PerceptualHash(), Sharpness(), TextLength(), EvenLength()),
    )


@pytest.fixture(scope="module")
def store(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Store:
    url = str(tmp_path_factory.mktemp("trace") / "store")
    assert run(pipeline, url, LENIENT).counts.balances
    select(Store.open(url), "v1", split={"train": 1.0}, where="text.length.chars > 3")
    return Store.open(url)


def test_a_stored_sample_tells_its_parts_features_and_selections(store: Store) -> None:
    found = trace(store, "corpus/stored")
    assert found.outcome == "stored"
    assert [(member.part, member.pointer) for member in found.members] == [
        ("image", "stored.png"),
        ("text", "stored.txt"),
    ]
    assert sorted(found.parts) == ["image", "text"]
    assert found.features["image.phash"].startswith("uint8 [")
    assert found.features["text.length.chars"] == "21"
    assert found.features["text.even.chars"] == "data: its length is odd"
    assert found.story[0].startswith("planned in shard ")
    assert found.story[-1] == "selection 'v1': train"


def test_a_feature_of_a_part_that_is_not_there_says_so(store: Store) -> None:
    assert trace(store, "corpus/bare").features["image.sharpness"] == "none: the sample has no such part"


def test_a_sample_that_a_selection_left_out_says_why(store: Store) -> None:
    assert trace(store, "corpus/odd").story[-1].startswith("selection 'v1': left out: ")


def test_a_duplicate_names_what_stayed_in_its_place(store: Store) -> None:
    select(store, "once", dedup=[Exact(on="text.length.chars")])
    rows = {row["key"]: row for row in store.selection("once").to_pylist()}
    twins = [row for row in rows.values() if row["reason"] == "dedup.exact"]
    assert twins
    for twin in twins:
        (kept,) = [key for key, row in rows.items() if row["cluster"] == twin["cluster"] and not row["reason"]]
        said = f"selection 'once': left out: dedup.exact, a duplicate of {kept}"
        assert said in trace(store, twin["key"]).story


def test_a_dropped_sample_tells_step_and_reason(store: Store) -> None:
    found = trace(store, "corpus/dropped")
    assert found.outcome == "dropped"
    assert found.story[1:] == ["dropped by clean.text.KeepLength: too_short"]
    assert len(found.members) == 2


def test_a_rejected_sample_tells_step_kind_and_error(store: Store) -> None:
    found = trace(store, "corpus/rejected")
    assert found.outcome == "rejected"
    assert found.story[1].startswith("rejected in codec.image.DecodeImage as decode: ")
    assert not found.parts
    assert not found.features


def test_a_split_sample_names_its_children(store: Store) -> None:
    found = trace(store, "corpus/split")
    assert found.outcome == "split"
    assert sorted(found.children) == ["corpus/split@0", "corpus/split@1", "corpus/split@2"]


def test_a_sample_whose_every_child_was_dropped_was_split_all_the_same(store: Store) -> None:
    found = trace(store, "corpus/crumbs@home")
    assert found.outcome == "split"
    assert sorted(found.children) == [f"corpus/crumbs@home@{number}" for number in range(3)]
    assert [member.pointer for member in trace(store, found.children[0]).members] == [
        "crumbs@home.png",
        "crumbs@home.txt",
    ]


def test_a_child_knows_where_its_parent_came_from_and_what_became_of_itself(store: Store) -> None:
    stored, dropped = trace(store, "corpus/split@0"), trace(store, "corpus/split@2")
    assert (stored.outcome, dropped.outcome) == ("stored", "dropped")
    assert (
        [member.pointer for member in stored.members]
        == ["split.png", "split.txt"]
        == [member.pointer for member in dropped.members]
    )


def test_a_sample_whose_turn_has_not_come_is_planned(pipeline: Pipeline, tmp_path: Path) -> None:
    seen = look(pipeline, str(tmp_path / "store"), RunOptions(), commit=True)
    found = trace(Store.open(tmp_path / "store"), "corpus/stored")
    assert found.outcome == "not yet run"
    assert found.story == [f"planned in shard {next(iter(seen.division.shards))}"]


@pytest.mark.parametrize(
    ("key", "story"),
    [
        ("corpus/store", "the store knows no such key; similar are corpus/stored"),
        ("corpus/stored@7", "planned in shard"),
        ("nobody/stored", "the store knows no such key"),
        ("", "the store knows no such key; similar are corpus/"),
        ("DROPP", "the store knows no such key; similar are corpus/dropped"),
        ("reject", "the store knows no such key; similar are corpus/rejected"),
        ("dropped.p", "the store knows no such key; similar are corpus/dropped"),
    ],
)
def test_an_unknown_key_is_told_as_such_with_similar_ones(store: Store, key: str, story: str) -> None:
    found = trace(store, key)
    assert found.outcome == "unknown"
    assert found.story[0].startswith(story)


@pytest.mark.parametrize("file", ["rejected.txt", "corpus/rejected.png"])
def test_a_file_stands_for_the_sample_that_it_is_of(store: Store, file: str) -> None:
    found = trace(store, file)
    assert (found.key, found.outcome) == ("corpus/rejected", "rejected")
    assert found.story[0] == f"{file!r} is a file of it"


def test_a_file_name_of_two_samples_stands_for_neither(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / "corpus" / folder).mkdir(parents=True)
        (tmp_path / "corpus" / folder / "same.txt").write_text(f"the text of {folder}")
    run(Pipeline(source=Files(str(tmp_path / "corpus"))), str(tmp_path / "store"), LENIENT)
    found = trace(Store.open(tmp_path / "store"), "same.txt")
    assert (found.outcome, found.story) == (
        "unknown",
        ["the store knows no such key; similar are corpus/one/same, corpus/two/same"],
    )
    assert trace(Store.open(tmp_path / "store"), "two/same.txt").key == "corpus/two/same"


def test_a_trace_is_json(store: Store) -> None:
    for name in TEXTS:
        told = json.loads(json.dumps(trace(store, f"corpus/{name}").to_json(), allow_nan=False))
        assert told["key"] == f"corpus/{name}"
        assert told["source"][-1]["pointer"] == f"{name}.txt"


def test_a_trace_reads_the_entries_of_its_own_shard_alone(tmp_path: Path) -> None:
    folder, url = tmp_path / "corpus", tmp_path / "store"
    folder.mkdir()
    for name in ("a", "z"):
        (folder / f"{name}.txt").write_text(f"the text of {name}")
        run(Pipeline(source=Files(str(folder), label=None)), str(url), LENIENT)
    second = max((url / "plans").glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    holds_entries = [path for path in (url / "plans").glob("*.parquet") if path.name.split("-")[0] == second.name[0]]
    for path in holds_entries:
        if "first_key" not in pq.read_schema(path).names:
            path.unlink()
    assert trace(Store.open(url), "corpus/a").members[0].pointer == "a.txt"
    with pytest.raises(StoreError, match="entries can't be read"):
        trace(Store.open(url), "corpus/z")
