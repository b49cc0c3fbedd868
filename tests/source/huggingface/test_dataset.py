"""Datasets that `datasets` itself made: saved, as Parquet, as folders; their bytes come as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mmdata
from mmdata.core.ports import Entry
from mmdata.core.sample import Blob
from mmdata.errors import ConfigError, Unreadable
from mmdata.source.huggingface import HuggingFace
from mmdata.testing.contracts.sources import SourceCase, SourceContract
from mmdata.testing.media import png_bytes
from mmdata.testing.pictures import picture

datasets = pytest.importorskip("datasets", reason="the extra huggingface is not installed")


def row(index: int) -> dict[str, Any]:
    sound = {"bytes": bytes([index]) * 9, "path": None} if index % 2 else None
    return {
        "image": {"bytes": bytes([index]) * (index + 1), "path": f"{index}.png"},
        "sound": sound,
        "animal": index % 3 - 1,
        "text": f"text {index} é",
        "n": index,
        "tags": [0, 1],
        "boxes": [{"x": index, "kind": 1}],
        "raw": b"raw",
        "frames": [{"bytes": b"1", "path": None}],
    }


def dataset(n_rows: int = 40) -> Any:
    """A dataset of every kind of column; sounds are cast to Audio, as `datasets` encodes them otherwise."""
    of = datasets
    path = {"bytes": of.Value("binary"), "path": of.Value("string")}
    features = of.Features(
        {
            "image": of.Image(), "sound": path, "animal": of.ClassLabel(names=["cat", "dog"]),
            "text": of.Value("string"), "n": of.Value("int64"), "tags": of.List(of.ClassLabel(names=["a", "b"])),
            "boxes": of.List({"x": of.Value("int64"), "kind": of.ClassLabel(names=["u", "v"])}),
            "raw": of.Value("binary"), "frames": of.List(of.Image()),
        }
    )  # fmt: skip
    made = of.Dataset.from_list([row(index) for index in range(n_rows)], features=features)
    return made.cast_column("sound", of.Audio(decode=False))


def parts(splits: tuple[str, ...] = ("train",)) -> dict[str, dict[str, bytes]]:
    """What `dataset` holds, by key."""
    found = {}
    for split in splits:
        for index in range(40):
            of = row(index)
            found[f"{split}/{index:09d}"] = {
                "image": of["image"]["bytes"],
                "text": of["text"].encode(),
                **({"audio": of["sound"]["bytes"]} if of["sound"] else {}),
            }
    return found


class TestSavedDataset(SourceContract):
    reads_ahead = True

    @pytest.fixture
    def case(self, tmp_path: Path) -> SourceCase:
        dataset().save_to_disk(str(tmp_path / "pets"), num_shards=3)
        return SourceCase(HuggingFace(str(tmp_path / "pets")), tmp_path / "pets", parts())


class TestSavedSplits(SourceContract):
    reads_ahead = True

    @pytest.fixture
    def case(self, tmp_path: Path) -> SourceCase:
        datasets.DatasetDict(train=dataset(), test=dataset()).save_to_disk(str(tmp_path / "pets"))
        return SourceCase(HuggingFace(str(tmp_path / "pets")), tmp_path / "pets", parts(("train", "test")))


class TestParquetFolder(SourceContract):
    reads_ahead = True
    lists_sizes = False

    @pytest.fixture
    def case(self, tmp_path: Path) -> SourceCase:
        (tmp_path / "pets" / "data").mkdir(parents=True)
        for index in (0, 1):
            path = tmp_path / "pets" / "data" / f"train-0000{index}-of-00002.parquet"
            dataset().select(range(20 * index, 20 * index + 20)).to_parquet(str(path), batch_size=7)
        return SourceCase(HuggingFace(str(tmp_path / "pets")), tmp_path / "pets", parts())


class TestImageFolder(SourceContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> SourceCase:
        names = [f"{split}/{kind}/{index} #é.png" for split in ("train", "test") for kind in "xy" for index in (0, 1)]
        for name in names:
            (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "pets" / name).write_bytes(name.encode())
        found: dict[str, dict[str, bytes]] = {}
        for name in sorted(names):
            split = name.partition("/")[0]
            number = sum(key.startswith(split) for key in found)
            found[f"{split}/{number:09d}"] = {"image": name.encode()}
        return SourceCase(HuggingFace(str(tmp_path / "pets")), tmp_path / "pets", found)


class TestLines(SourceContract):
    reads_ahead = True

    @pytest.fixture
    def case(self, tmp_path: Path) -> SourceCase:
        (tmp_path / "pets").mkdir()
        rows = [{"text": f"text {n} é", "n": n} if n else {"n": n, "text": "x"} for n in range(5)]
        (tmp_path / "pets" / "train.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
        found = {f"train/{n:09d}": {"text": str(each["text"]).encode()} for n, each in enumerate(rows)}
        return SourceCase(HuggingFace(str(tmp_path / "pets")), tmp_path / "pets", found)


def entries(source: HuggingFace) -> list[Entry]:
    return list(source.scan().entries)


def test_classes_are_labels_by_name_and_the_rest_is_metadata(tmp_path: Path) -> None:
    dataset(3).save_to_disk(str(tmp_path / "pets"))
    found = [entry.meta for entry in entries(HuggingFace(str(tmp_path / "pets")))]
    rest = {"tags": ["a", "b"], "split": "train"}
    assert found == [
        {"n": 0, "boxes": [{"x": 0, "kind": "v"}], **rest},
        {"n": 1, "boxes": [{"x": 1, "kind": "v"}], "label": "cat", **rest},
        {"n": 2, "boxes": [{"x": 2, "kind": "v"}], "label": "dog", **rest},
    ]


def test_settings_choose_split_parts_key_label_and_metadata(tmp_path: Path) -> None:
    datasets.DatasetDict(train=dataset(2), test=dataset(2)).save_to_disk(str(tmp_path / "pets"))
    source = HuggingFace(
        str(tmp_path / "pets"), split="test", parts={"caption": "text"}, key="n", label="n", meta=("animal",), name="p"
    )
    assert [(entry.key, dict(entry.meta)) for entry in entries(source)] == [
        ("p/test/0", {"split": "test", "label": 0}),
        ("p/test/1", {"animal": "cat", "split": "test", "label": 1}),
    ]
    assert [sample.parts.keys() for sample in source.read(entries(source))] == [{"caption"}] * 2


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"split": "tset"}, "no split 'tset'; it has train"),
        ({"parts": {"image": "imagge"}}, "no column 'imagge', did you mean 'image'"),
        ({"key": "id"}, "no column 'id'"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    dataset(2).save_to_disk(str(tmp_path / "pets"))
    with pytest.raises(ConfigError, match=says):
        HuggingFace(str(tmp_path / "pets"), **settings).scan()


def test_repeated_keys_are_faults_and_none_is_taken(tmp_path: Path) -> None:
    dataset(6).save_to_disk(str(tmp_path / "pets"))
    scan = HuggingFace(str(tmp_path / "pets"), key="animal").scan()
    assert [entry.key for entry in scan.entries] == []
    assert sorted({fault.kind for fault in scan.faults}) == ["collision", "no_key"]
    assert len(scan.faults) == 6


def test_a_scan_reads_no_media_where_no_cell_is_empty(tmp_path: Path) -> None:
    """Damaged pages of the media columns are not noticed by a listing, and cost their own samples in reading."""
    (tmp_path / "pets").mkdir()
    path = tmp_path / "pets" / "train.parquet"
    big = dataset(8).remove_columns(["sound", "frames", "raw", "boxes", "tags"])
    big = big.map(lambda each: {"text": "x" * 5000 + each["text"]})
    pq.write_table(big.data.table, path, compression="none", use_dictionary=False)
    column = next(
        pq.read_metadata(path).row_group(0).column(index)
        for index in range(pq.read_metadata(path).row_group(0).num_columns)
        if pq.read_metadata(path).row_group(0).column(index).path_in_schema == "text"
    )
    data = bytearray(path.read_bytes())
    first = column.dictionary_page_offset or column.data_page_offset
    data[first : first + 3000] = bytes(3000)
    path.write_bytes(data)
    source = HuggingFace(str(tmp_path / "pets"))
    found = entries(source)
    assert len(found) == 8
    for sample in source.read(found):
        with pytest.raises(Unreadable, match=r"train\.parquet"):
            cast(Blob, sample.parts["text"]).data()


def test_a_dataset_that_was_saved_anew_is_not_taken_for_the_old(tmp_path: Path) -> None:
    dataset(4).save_to_disk(str(tmp_path / "pets"))
    source = HuggingFace(str(tmp_path / "pets"))
    found = entries(source)
    dataset(4).select([3, 2, 1, 0]).save_to_disk(str(tmp_path / "pets"))
    for sample in source.read(found):
        with pytest.raises(Unreadable, match="saved anew"):
            cast(Blob, sample.parts["image"]).data()
    assert entries(source) != found


def test_a_cell_that_names_a_file_and_holds_no_bytes_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "pets").mkdir()
    rows = [{"image": {"bytes": b"1", "path": "a"}}, {"image": {"bytes": None, "path": "/etc/passwd"}}, {"image": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pets" / "train.parquet")
    scan = HuggingFace(str(tmp_path / "pets")).scan()
    assert [entry.key for entry in scan.entries] == ["pets/train/000000000"]
    assert [fault.kind for fault in scan.faults] == ["bad_value", "empty_row"]


def test_a_truncated_file_is_a_fault_and_the_others_are_read(tmp_path: Path) -> None:
    dataset(8).save_to_disk(str(tmp_path / "pets"), num_shards=2)
    path = tmp_path / "pets" / "data-00001-of-00002.arrow"
    path.write_bytes(path.read_bytes()[:300])
    scan = HuggingFace(str(tmp_path / "pets")).scan()
    assert len(scan.entries) == 4
    assert [fault.kind for fault in scan.faults] == ["bad_table"]


def test_without_a_network_a_name_is_refused_at_once() -> None:
    """In a process of its own: the hub's address is read when its client is imported, and here nobody answers."""
    names = ["nobody/nothing", "nothing-here", "/no/such/folder", "./nothing"]
    code = f"""
from mmdata.errors import ConfigError
from mmdata.source.huggingface import HuggingFace
for name in {names!r}:
    try:
        HuggingFace(name).scan()
    except ConfigError as error:
        print(str(error).splitlines()[1])
"""
    from os import environ

    nowhere = {**environ, "HF_ENDPOINT": "http://127.0.0.1:9"}
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=nowhere, check=True, timeout=240
    )
    lines = told.stdout.splitlines()
    assert len(lines) == len(names), told.stderr
    for name, line in zip(names, lines, strict=True):
        assert line.startswith("  - there is no such folder")
        assert ("hub can't be reached" in line) is not name.startswith(("/", "."))


def test_media_go_all_the_way_and_keep_their_own_bytes(tmp_path: Path) -> None:
    of = datasets
    media = [png_bytes(picture(seed=seed)) for seed in range(4)]
    features = of.Features({"image": of.Image(), "label": of.ClassLabel(names=["no", "yes"])})
    rows = [{"image": {"bytes": data, "path": None}, "label": index % 2} for index, data in enumerate(media)]
    of.Dataset.from_list(rows, features=features).save_to_disk(str(tmp_path / "pets"))
    file = tmp_path / "p.yaml"
    file.write_text(
        f"source: {{use: source.huggingface.HuggingFace, path: {tmp_path / 'pets'}}}\n"
        "ingest: [codec.image.DecodeImage]\nfeatures: [features.image.PerceptualHash]\n"
    )
    report = mmdata.run(file, store=tmp_path / "store", executor="pool", workers=2)
    assert (report.counts.stored, report.counts.n_rejected) == (4, 0)
    store = mmdata.open(tmp_path / "store")
    assert store.table(["label"])["label"].to_pylist() == ["no", "yes", "no", "yes"]
    for index, data in enumerate(media):
        sample = store.sample(f"pets/train/{index:09d}")
        assert cast(Any, sample.parts["image"]).origin.data() == data


def test_a_worker_does_not_load_datasets(tmp_path: Path) -> None:
    dataset(2).save_to_disk(str(tmp_path / "pets"))
    source = HuggingFace(str(tmp_path / "pets"))
    listed = json.dumps([entry.to_json() for entry in source.scan().entries])
    code = f"""
import json, sys
from mmdata.core.ports import Entry
from mmdata.source.huggingface import HuggingFace
entries = [Entry.from_json(each) for each in json.loads(sys.argv[1])]
for sample in HuggingFace({str(tmp_path / "pets")!r}).read(entries):
    sample.parts["image"].data()
print("datasets" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code, listed], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
