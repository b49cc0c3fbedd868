"""What holds for every source: a subclass with one fixture gets all of it."""

from __future__ import annotations

import dataclasses
import io
import json
import multiprocessing
import pickle
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from mmdata.core.ports import Entry, Source
from mmdata.core.sample import Blob, Sample
from mmdata.errors import Unreadable
from mmdata.source.files import Files
from mmdata.source.table import Table
from mmdata.source.webdataset import Tars


@dataclass(frozen=True)
class Case:
    """A source over a folder, and what it should find there.

    Args:
        source: reads `folder` or something in it. folder: can be moved and removed.
        parts: by key without the source's name, by part, the bytes.
    """

    source: Source
    folder: Path
    parts: dict[str, dict[str, bytes]]


def moved(source: Source, folder: Path, to: Path) -> Source:
    """The same source after its folder has another path."""
    where = dataclasses.fields(cast(Any, source))[0].name
    location = str(getattr(source, where)).replace(str(folder), str(to), 1)
    return cast(Source, dataclasses.replace(cast(Any, source), **{where: location}))


def contents(samples: Sequence[Sample]) -> dict[str, dict[str, bytes]]:
    return {sample.key: {name: cast(Blob, part).data() for name, part in sample.parts.items()} for sample in samples}


class SourceContract:
    """Tests of one source."""

    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        raise NotImplementedError("a subclass of SourceContract gives a fixture `case` that returns a Case")

    def test_finds_every_sample_in_order_of_key(self, case: Case) -> None:
        keys = [entry.key for entry in case.source.scan().entries]
        assert keys == sorted(f"{case.source.name}/{key}" for key in case.parts)

    def test_gives_the_bytes_of_every_part_in_order(self, case: Case) -> None:
        entries = case.source.scan().entries
        samples = list(case.source.read(entries))
        assert [sample.key for sample in samples] == [entry.key for entry in entries]
        assert contents(samples) == {f"{case.source.name}/{key}": parts for key, parts in case.parts.items()}

    def test_reads_any_entries_in_any_order(self, case: Case) -> None:
        entries = list(case.source.scan().entries)[::-2]
        assert [sample.key for sample in case.source.read(entries)] == [entry.key for entry in entries]
        assert list(contents(list(case.source.read(entries))).values()) == [
            case.parts[entry.key.removeprefix(f"{case.source.name}/")] for entry in entries
        ]

    def test_two_scans_agree(self, case: Case) -> None:
        assert case.source.scan() == case.source.scan()

    def test_blobs_have_the_size_that_was_promised(self, case: Case) -> None:
        entries = case.source.scan().entries
        for entry, sample in zip(entries, case.source.read(entries), strict=True):
            assert [member.part for member in entry.members] == sorted(sample.parts)
            for member in entry.members:
                blob = cast(Blob, sample.parts[member.part])
                assert member.size == blob.size == len(blob.data())
                assert str(blob.pointer) == member.pointer

    def test_metadata_comes_with_the_sample(self, case: Case) -> None:
        entries = case.source.scan().entries
        assert [sample.meta for sample in case.source.read(entries)] == [entry.meta for entry in entries]

    def test_entries_survive_the_plan(self, case: Case) -> None:
        for entry in case.source.scan().entries:
            text = json.dumps(entry.to_json(), allow_nan=False, ensure_ascii=False).encode()
            assert Entry.from_json(json.loads(text)) == entry

    def test_survives_the_way_to_another_process(self, case: Case) -> None:
        assert pickle.loads(pickle.dumps(case.source)) == case.source
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(case.source.scan) == case.source.scan()

    def test_settings_survive_json(self, case: Case) -> None:
        fields = {entry.name: getattr(case.source, entry.name) for entry in dataclasses.fields(cast(Any, case.source))}
        again = TypeAdapter(type(case.source)).validate_python(json.loads(json.dumps(fields)))
        assert again == case.source

    def test_the_constructor_touches_nothing(self, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
        def touched(*_: object, **__: object) -> None:
            raise AssertionError("the constructor touched the disk")

        for name in ("builtins.open", "os.open", "os.stat", "os.lstat", "os.scandir", "os.getcwd"):
            monkeypatch.setattr(name, touched)
        moved(case.source, case.folder, Path("/nowhere"))

    def test_moving_the_folder_changes_no_key(self, case: Case, tmp_path: Path) -> None:
        before = case.source.scan()
        shutil.move(case.folder, tmp_path / "elsewhere")
        after = moved(case.source, case.folder, tmp_path / "elsewhere")
        assert after.scan().entries == before.entries
        assert len(contents(list(after.read(before.entries)))) == len(case.parts)

    def test_bytes_that_are_gone_are_unreadable(self, case: Case) -> None:
        samples = list(case.source.read(case.source.scan().entries))
        shutil.rmtree(case.folder)
        for sample in samples:
            for part in sample.parts.values():
                with pytest.raises(Unreadable, match="no such file"):
                    cast(Blob, part).data()

    @pytest.mark.parametrize("uri", ["../secret", "/etc/passwd", "a/../../secret", "%2E%2E/secret", "", "a\0b"])
    @pytest.mark.parametrize("tail", ["", "#bytes=0-6", "#row=0,column=text"])
    def test_no_pointer_leads_out(self, case: Case, uri: str, tail: str) -> None:
        (case.folder.parent / "secret").write_text("secret")
        entry = case.source.scan().entries[0]
        forged = dataclasses.replace(entry.members[0], pointer=uri + tail, size=6, signature="")
        (sample,) = case.source.read([dataclasses.replace(entry, members=(forged,))])
        with pytest.raises(Unreadable):
            cast(Blob, sample.parts[forged.part]).data()


def write(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


class TestFiles(SourceContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        folder = tmp_path / "corpus"
        names = ["a/é #1", 'b/say "hi"\n100%', "b/plain", "c"]
        write(folder, {f"{name}.{kind}": f"{name}{kind}".encode() for name in names for kind in ("png", "txt")})
        write(folder, {"c.json": b'{"source": "here"}', "README": b""})
        parts = {name: {"image": f"{name}png".encode(), "text": f"{name}txt".encode()} for name in names}
        return Case(Files(str(folder), name="corpus", label="parent"), folder, parts)


class TestFilesByContent(TestFiles):
    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        folder = tmp_path / "corpus"
        write(folder, {"pictures/a/1.png": b"1", "texts/a/1.txt": b"one", "pictures/2.png": b"2"})
        patterns = {"image": "pictures/{stem}.png", "caption": "texts/{stem}.txt"}
        parts = {"a/1": {"image": b"1", "caption": b"one"}, "2": {"image": b"2"}}
        return Case(Files(str(folder), name="corpus", parts=patterns, check="content"), folder, parts)


class TestTars(SourceContract):
    @pytest.fixture(params=["stat", "content"])
    def case(self, tmp_path: Path, request: pytest.FixtureRequest) -> Case:
        folder = tmp_path / "corpus"
        (folder / "more").mkdir(parents=True)
        for name in ("000.tar", "more/00#1.tar"):
            with tarfile.open(folder / name, "w") as tar:
                for path, data in {"x/1.jpg": b"one", "x/1.cls": b"3", "x/1.seg.png": b"seg", "2.wav": b"two"}.items():
                    info = tarfile.TarInfo(path)
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        parts = {
            f"{name}/{key}": of
            for name in ("000", "more/00#1")
            for key, of in {"x/1": {"image": b"one", "seg": b"seg"}, "2": {"audio": b"two"}}.items()
        }
        return Case(Tars(str(folder), name="tars", check=request.param), folder, parts)


ROWS = [{"id": f"k{i}", "text": f"text {i} é,\n", "file": f"{i}.png", "n": i} for i in (2, 0, 1)]


def rows_parts(text: str = "text") -> dict[str, dict[str, bytes]]:
    return {str(row["id"]): {"image": b"1", text: str(row["text"]).encode()} for row in ROWS}


class TestTableOfJsonLines(SourceContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        folder = tmp_path / "corpus"
        write(folder, {f"{row['file']}": b"1" for row in ROWS})
        (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        source = Table(str(folder / "t.jsonl"), parts={"image": "file", "text": "text"}, key="id", label="n")
        return Case(source, folder, rows_parts())


class TestTableOfCsv(SourceContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        folder = tmp_path / "corpus"
        write(folder, {f"files/{row['file']}": b"1" for row in ROWS})
        lines = [f'{row["id"]};{row["file"]};"{row["text"]}";{row["n"]}\r\n' for row in ROWS]
        (folder / "t.csv").write_bytes(("\ufeffid;file;words#1;n\r\n" + "".join(lines)).encode())
        source = Table(
            str(folder / "t.csv"),
            parts={"image": "file", "words": "words#1"},
            key="id",
            inline=("words",),
            root=str(folder / "files"),
            check="content",
        )
        return Case(source, folder, rows_parts("words"))

    def test_moving_the_folder_changes_no_key(self, case: Case, tmp_path: Path) -> None:
        pytest.skip("its files lie in a folder that it names apart")


class TestTableOfParquet(SourceContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        folder = tmp_path / "corpus"
        folder.mkdir()
        rows = [{"image": {"bytes": bytes([i]) * (i + 1), "path": f"{i}.png"}, "text": f"t{i}"} for i in range(40)]
        for part in (0, 1):
            pq.write_table(pa.Table.from_pylist(rows[part::2]), folder / f"{part}.parquet", row_group_size=7)
        parts = {f"{i % 2}/{i // 2:09d}": {"image": bytes([i]) * (i + 1), "text": f"t{i}".encode()} for i in range(40)}
        return Case(Table(str(folder), name="rows", parts={"image": "image", "text": "text"}), folder, parts)
