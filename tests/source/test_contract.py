"""The sources that come with mmdata keep the contract of all."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmdata.source.files import Files
from mmdata.source.table import Table
from mmdata.source.webdataset import Tars
from mmdata.testing.contracts.sources import SourceCase, SourceContract


def write(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


class TestFiles(SourceContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> SourceCase:
        folder = tmp_path / "corpus"
        names = ["a/é #1", 'b/say "hi"\n100%', "b/plain", "c"]
        write(folder, {f"{name}.{kind}": f"{name}{kind}".encode() for name in names for kind in ("png", "txt")})
        write(folder, {"c.json": b'{"source": "here"}', "README": b""})
        parts = {name: {"image": f"{name}png".encode(), "text": f"{name}txt".encode()} for name in names}
        return SourceCase(Files(str(folder), name="corpus", label="parent"), folder, parts)


class TestFilesByContent(TestFiles):
    @pytest.fixture
    def case(self, tmp_path: Path) -> SourceCase:
        folder = tmp_path / "corpus"
        write(folder, {"pictures/a/1.png": b"1", "texts/a/1.txt": b"one", "pictures/2.png": b"2"})
        patterns = {"image": "pictures/{stem}.png", "caption": "texts/{stem}.txt"}
        parts = {"a/1": {"image": b"1", "caption": b"one"}, "2": {"image": b"2"}}
        return SourceCase(Files(str(folder), name="corpus", parts=patterns, check="content"), folder, parts)


class TestTars(SourceContract):
    @pytest.fixture(params=["stat", "content"])
    def case(self, tmp_path: Path, request: pytest.FixtureRequest) -> SourceCase:
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
        return SourceCase(Tars(str(folder), name="tars", check=request.param), folder, parts)


ROWS = [{"id": f"k{i}", "text": f"text {i} é,\n", "file": f"{i}.png", "n": i} for i in (2, 0, 1)]


def rows_parts(text: str = "text") -> dict[str, dict[str, bytes]]:
    return {str(row["id"]): {"image": b"1", text: str(row["text"]).encode()} for row in ROWS}


class TestTableOfJsonLines(SourceContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> SourceCase:
        folder = tmp_path / "corpus"
        write(folder, {f"{row['file']}": b"1" for row in ROWS})
        (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        source = Table(str(folder / "t.jsonl"), parts={"image": "file", "text": "text"}, key="id", label="n")
        return SourceCase(source, folder, rows_parts())


class TestTableOfCsv(SourceContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> SourceCase:
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
        return SourceCase(source, folder, rows_parts("words"))

    def test_moving_the_folder_changes_no_key(self, case: SourceCase, tmp_path: Path) -> None:
        pytest.skip("its files lie in a folder that it names apart")


class TestTableOfParquet(SourceContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> SourceCase:
        folder = tmp_path / "corpus"
        folder.mkdir()
        rows = [{"image": {"bytes": bytes([i]) * (i + 1), "path": f"{i}.png"}, "text": f"t{i}"} for i in range(40)]
        for part in (0, 1):
            pq.write_table(pa.Table.from_pylist(rows[part::2]), folder / f"{part}.parquet", row_group_size=7)
        parts = {f"{i % 2}/{i // 2:09d}": {"image": bytes([i]) * (i + 1), "text": f"t{i}".encode()} for i in range(40)}
        return SourceCase(Table(str(folder), name="rows", parts={"image": "image", "text": "text"}), folder, parts)
