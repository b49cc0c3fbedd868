"""Rows become samples, whatever the table is written in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.core.ports import Scan
from mmdata.core.sample import Pointer, Sample
from mmdata.errors import ConfigError, Unreadable
from mmdata.source.place import place
from mmdata.source.rows import lines, parquet
from mmdata.source.rows.cells import Cells
from mmdata.source.table import Table

PARTS = {"image": "image", "text": "text"}


def jsonl(folder: Path, *rows: object) -> str:
    """Write rows, text as it stands and others as JSON; and one picture."""
    (folder / "a.png").write_bytes(b"12")
    text = [row if isinstance(row, str | bytes) else json.dumps(row) for row in rows]
    path = folder / "t.jsonl"
    path.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in text))
    return str(path)


def csv(folder: Path, text: str | bytes) -> str:
    (folder / "a.png").write_bytes(b"12")
    (folder / "t.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return str(folder / "t.csv")


def faults(scan: Scan) -> dict[str, str]:
    return {fault.key: fault.kind for fault in scan.faults}


def data(sample: Sample) -> dict[str, bytes]:
    return {name: part.data() for name, part in sample.parts.items()}  # type: ignore[union-attr]


def values(source: Table) -> list[dict[str, bytes]]:
    return [data(sample) for sample in source.read(source.scan().entries)]


@pytest.mark.parametrize(
    ("value", "meta"),
    [
        ({"n": 1, "label": "cat"}, {"n": 1, "label": "cat"}),
        ('{"n": 1, "é": null}', {"n": 1, "é": None}),
        (None, {}),
        ("{}", {}),
        ("[1]", "bad_metadata"),
        ("{", "bad_metadata"),
        ('{"n": NaN}', "bad_metadata"),
        (7, "bad_metadata"),
        ("", "bad_metadata"),
    ],
)
def test_one_column_may_be_all_of_the_metadata(tmp_path: Path, value: object, meta: Any) -> None:
    table = jsonl(tmp_path, {"image": "a.png", "other": 5, "meta": value}, {"image": "a.png", "meta": {}})
    found = Table(table, parts={"image": "image"}, metadata="meta").scan()
    if isinstance(meta, str):
        assert faults(found) == {"t/000000000": meta}
    else:
        assert (faults(found), found.entries[0].meta) == ({}, meta)
    with pytest.raises(ConfigError, match="no column 'mta'"):
        Table(table, parts={"image": "image"}, metadata="mta").scan()


def test_paths_and_texts_and_metadata(tmp_path: Path) -> None:
    row = {"image": "a.png", "text": "é", "n": 1, "deep": {"x": [None]}, "none": None, "kind": "cat"}
    source = Table(jsonl(tmp_path, row), parts=PARTS, label="kind")
    (entry,) = source.scan().entries
    assert entry.meta == {"n": 1, "deep": {"x": [None]}, "label": "cat"}
    assert [(member.part, member.pointer, member.size) for member in entry.members] == [
        ("image", "a.png", 2),
        ("text", "t.jsonl#row=0,column=text", 2),
    ]
    assert values(source) == [{"image": b"12", "text": "é".encode()}]


def test_metadata_can_be_named(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"text": "x", "n": 1, "m": 2})
    assert Table(path, parts={"text": "text"}, meta=("n",)).scan().entries[0].meta == {"n": 1}
    assert Table(path, parts={"text": "text"}, meta=()).scan().entries[0].meta == {}


@pytest.mark.parametrize(
    ("row", "kind", "says"),
    [
        ('{"image": "a.png"', "bad_row", "t.jsonl: line 2: Expecting ',' delimiter at column 18"),
        ("[1]", "bad_row", "line 2: expected an object {...}, not a list"),
        (b'{"image": "\xff"}', "bad_row", "line 2: byte 11 is not UTF-8"),
        ({"image": "b.png"}, "missing", "row 1: image 'b.png': there is no such file; where it is the text itself"),
        ({"image": "../t/a.png"}, "outside", "; set root: to a folder that holds them all"),
        ({"image": "/etc/passwd"}, "outside", "; set root: to a folder that holds them all"),
        ({"image": "x/../../../etc/passwd"}, "outside", "; set root: to a folder that holds them all"),
        ({"image": "https://example.org/a.png"}, "outside", "is a URL: source.urls.Urls fetches those"),
        ({"image": "out/passwd"}, "link_outside", "a link leads out"),
        ({"image": "folder"}, "not_a_file", "a folder, not a file"),
        ({"image": "a\0.png"}, "outside", "lies outside of"),
        ({"image": "/a\0.png"}, "outside", "lies outside of"),
        ({"image": 3}, "bad_value", "row 1: image holds no path, text or bytes"),
        ({"n": 3}, "empty_row", "has no value in any part's column"),
        ({"image": None, "text": None}, "empty_row", "has no value in any part's column"),
        ({"image": "x" * 5000}, "unreadable", "file name too long"),
    ],
)
def test_a_bad_row_is_a_fault_and_the_rest_is_read(tmp_path: Path, row: object, kind: str, says: str) -> None:
    (tmp_path / "out").symlink_to("/etc")
    (tmp_path / "folder").mkdir()
    scan = Table(jsonl(tmp_path, {"image": "a.png"}, row, {"text": "c"}), parts=PARTS).scan()
    assert [entry.key for entry in scan.entries] == ["t/000000000", "t/000000002"]
    assert faults(scan) == {"t/000000001": kind}
    assert says in scan.faults[0].error
    assert scan.faults[0].pointer == "t.jsonl#row=1,column=image"


def test_paths_inside_the_root_may_be_absolute_or_winding(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"image": str(tmp_path / "a.png")}, {"image": "./x/../a.png"})
    assert [
        entry.members[0].pointer for entry in Table(path, parts=PARTS | {"text": "image"}, inline=()).scan().entries
    ] == ["a.png"] * 2


@pytest.mark.parametrize("how", ["", "{0}/media", "media", "./media/", "alias", "{0}/alias"])
@pytest.mark.parametrize("path", ["{0}/media/x/a.png", "{0}/alias/x/a.png", "{0}/media/../media//x/./a.png", "{0}/one"])
def test_absolute_paths_are_taken_wherever_links_lead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, path: str
) -> None:
    (tmp_path / "media" / "x").mkdir(parents=True)
    (tmp_path / "media" / "x" / "a.png").write_bytes(b"12")
    (tmp_path / "alias").symlink_to("media")
    (tmp_path / "one").symlink_to("media/x/a.png")
    monkeypatch.chdir(tmp_path)
    table, root = jsonl(tmp_path, {"image": path.format(tmp_path)}), how.format(tmp_path)
    assert values(Table(table, parts={"image": "image"}, root=root)) == [{"image": b"12"}]


def test_an_absolute_path_beside_the_root_is_outside(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media2").mkdir()
    (tmp_path / "media2" / "a.png").write_bytes(b"12")
    path = jsonl(tmp_path, {"image": str(tmp_path / "media2" / "a.png")})
    scan = Table(path, parts={"image": "image"}, root=str(tmp_path / "media")).scan()
    assert faults(scan) == {"t/000000000": "outside"}


def test_empty_lines_are_no_rows_but_count(tmp_path: Path) -> None:
    source = Table(jsonl(tmp_path, "", {"text": "a"}, "  ", {"text": ""}), parts={"text": "text"})
    assert [entry.key for entry in source.scan().entries] == ["t/000000001", "t/000000003"]
    assert values(source) == [{"text": b"a"}, {"text": b""}]


def test_rows_with_one_key_are_all_refused(tmp_path: Path) -> None:
    rows = [{"text": str(n), "id": key} for n, key in enumerate(["a", "b", "a", "a", 7, "", None, "/c/"])]
    scan = Table(jsonl(tmp_path, *rows), parts={"text": "text"}, key="id").scan()
    assert [entry.key for entry in scan.entries] == ["t/7", "t/b", "t/c"]
    assert faults(scan) == {
        "t/000000005": "no_key", "t/000000006": "no_key",
        "t/a": "collision", "t/a#2": "collision", "t/a#3": "collision",
    }  # fmt: skip
    assert [fault.pointer for fault in scan.faults][2:] == [f"t.jsonl#row={n},column=id" for n in (0, 2, 3)]


def test_editing_a_row_changes_one_entry(tmp_path: Path) -> None:
    rows = [{"text": str(n), "n": n} for n in range(3)]
    before = Table(jsonl(tmp_path, *rows), parts={"text": "text"}).scan().entries
    rows[1]["text"] = "x"
    after = Table(jsonl(tmp_path, *rows), parts={"text": "text"}).scan().entries
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]


def test_a_cell_that_changed_since_is_unreadable_and_others_are_read(tmp_path: Path) -> None:
    source = Table(jsonl(tmp_path, {"text": "one"}, {"text": "two"}), parts={"text": "text"})
    first, second = source.read(source.scan().entries)
    jsonl(tmp_path, {"text": "one"}, {"text": "too"})
    assert data(first) == {"text": b"one"}
    with pytest.raises(Unreadable, match=r"t\.jsonl row 1: changed since it was listed \(its text is another\)"):
        data(second)


def test_a_sample_can_be_read_twice(tmp_path: Path) -> None:
    source = Table(jsonl(tmp_path, {"text": "one"}), parts={"text": "text"})
    (sample,) = source.read(source.scan().entries)
    blob = sample.parts["text"]
    assert (blob.load(), blob.load()) == (b"one", b"one")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"parts": {"image": "imag"}}, "no column 'imag', did you mean 'image'? it has image, text"),
        ({"parts": PARTS, "key": "id"}, "no column 'id'; it has image, text"),
        ({"parts": PARTS, "label": "class"}, "no column 'class'"),
        ({"parts": PARTS, "meta": ("x",)}, "no column 'x'"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_column_that_is_not_there_is_refused(
    tmp_path: Path, form: str, settings: Mapping[str, Any], says: str
) -> None:
    jsonl(tmp_path, {"image": "a.png", "text": "x"})
    csv(tmp_path, "image,text\na.png,x\n")
    pq.write_table(pa.table({"image": ["a.png"], "text": ["x"]}), tmp_path / "t.parquet")
    with pytest.raises(ConfigError) as error:
        Table(str(tmp_path / f"t.{form}"), **settings).scan()
    assert says in str(error.value)


def test_csv_is_read_with_its_quotes_and_separators(tmp_path: Path) -> None:
    for separator in ",;\t|":
        text = f'\ufefftext{separator}image{separator}n\r\n"a ""b""{separator}\r\nc"{separator}{separator}1\r\n'
        source = Table(csv(tmp_path, text), parts=PARTS)
        assert values(source) == [{"text": f'a "b"{separator}\r\nc'.encode()}]
        assert source.scan().entries[0].meta == {"n": "1"}


def test_bad_records_of_csv_are_faults_by_line(tmp_path: Path) -> None:
    text = b'text,n\n"a\nb",1\nc\n\nd,2,3\n\xff,4\n' + b"x" * 200_000 + b",5\ne,6\n"
    source = Table(csv(tmp_path, text), parts={"text": "text"})
    assert values(source) == [{"text": b"a\nb"}, {"text": b"e"}]
    assert [(fault.pointer.partition(",")[0], fault.error.partition(": ")[2]) for fault in source.scan().faults] == [
        ("t.csv#row=1", "line 4: 1 fields, the header has 2"),
        ("t.csv#row=3", "line 6: 3 fields, the header has 2"),
        ("t.csv#row=4", "line 7: it is not UTF-8"),
        ("t.csv#row=5", "line 8: field larger than field limit (131072)"),
    ]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


@given(st.lists(TEXTS, min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_every_format_gives_the_texts_that_were_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("t")
    quoted = "".join('"' + text.replace('"', '""') + '"\n' for text in texts)
    paths: Sequence[str] = (
        jsonl(folder, *({"text": text} for text in texts)),
        csv(folder, "text\n" + quoted),
        str(folder / "t.parquet"),
    )
    pq.write_table(pa.table({"text": texts}), folder / "t.parquet", row_group_size=3)
    for path in paths:
        assert [value["text"].decode() for value in values(Table(path, parts={"text": "text"}))] == texts


def parquet_file(folder: Path, columns: Mapping[str, Any], **settings: Any) -> str:
    pq.write_table(pa.table(columns), folder / "t.parquet", **settings)
    return str(folder / "t.parquet")


def test_bytes_in_a_table_are_the_part(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"12")
    images = [{"bytes": b"123", "path": "x.png"}, {"bytes": None, "path": "a.png"}, None, {"bytes": b"", "path": None}]
    path = parquet_file(tmp_path, {"image": images, "audio": [b"1", None, b"3", None], "left": [b"x"] * 4})
    source = Table(path, parts={"image": "image", "audio": "audio"})
    assert values(source) == [{"audio": b"1", "image": b"123"}, {"image": b"12"}, {"audio": b"3"}, {"image": b""}]
    assert [entry.meta for entry in source.scan().entries] == [{}] * 4


def test_values_of_a_table_become_json(tmp_path: Path) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    columns = {
        "text": ["a"],
        "at": pa.array([1_767_323_045_678_901_234], pa.timestamp("ns", "UTC")),
        "price": pa.array([Decimal("1.50")]),
        "nan": [float("nan")],
        "list": [[1.5, float("inf")]],
        "day": [at.date()],
        "kind": pa.array(["x"]).dictionary_encode(),
        "length": pa.array([1_500_000_000], pa.duration("ns")),
        "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
    }
    (entry,) = Table(parquet_file(tmp_path, columns), parts={"text": "text"}).scan().entries
    assert entry.meta == {
        "at": "2026-01-02T03:04:05.678901+00:00", "price": "1.50", "list": [1.5, None], "day": "2026-01-02",
        "kind": "x", "length": 1.5, "map": [["k", 1]],
    }  # fmt: skip


def test_a_value_that_is_no_text_spoils_its_row_alone(tmp_path: Path) -> None:
    raw = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    scan = Table(parquet_file(tmp_path, {"text": raw}), parts={"text": "text"}).scan()
    assert ([entry.key for entry in scan.entries], faults(scan)) == (
        ["t/000000000", "t/000000002"],
        {"t/000000001": "bad_row"},
    )


def test_cells_in_order_are_read_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet_file(tmp_path, {"text": [str(n) for n in range(100)]}, row_group_size=10)
    source = Table(path, parts={"text": "text"})
    entries = source.scan().entries
    read: list[int] = []
    batches = parquet._batches

    def noting(file: object, group: int, columns: list[str]) -> Iterator[object]:
        read.append(group)
        return batches(file, group, columns)

    monkeypatch.setattr(parquet, "_batches", noting)
    monkeypatch.setattr("mmdata.source.rows.cells.WINDOW_CELLS", 7)
    assert [data(sample) for sample in source.read(entries)] == [{"text": b"%d" % n} for n in range(100)]
    assert read == list(range(10))
    read.clear()
    assert [data(sample) for sample in source.read(entries[95:3:-40])] == [
        {"text": b"95"},
        {"text": b"55"},
        {"text": b"15"},
    ]
    assert sorted(read) == [1, 5, 9]


def test_cells_are_read_backwards_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAX_BATCH_ROWS", 2)
    monkeypatch.setattr("mmdata.source.rows.cells.WINDOW_CELLS", 1)
    source = Table(parquet_file(tmp_path, {"text": [str(n) for n in range(9)]}), parts={"text": "text"})
    entries = source.scan().entries[::-1]
    assert [data(sample) for sample in source.read(entries)] == [{"text": b"%d" % n} for n in range(8, -1, -1)]


def test_a_cell_that_was_given_out_is_not_held(tmp_path: Path) -> None:
    source = Table(jsonl(tmp_path, {"text": "a"}, {"text": "b"}), parts={"text": "text"})
    entries = source.scan().entries
    cells = Cells(place(str(tmp_path)), {}, entries)
    pointer = Pointer.parse(entries[0].members[0].pointer)
    assert cells.take(pointer, entries[0].members[0].signature) == b"a"
    assert cells._held == {"t.jsonl": {(1, "text"): "b"}}


def test_windows_bound_what_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmdata.source.rows.cells.WINDOW_BYTES", 10)
    source = Table(jsonl(tmp_path, *({"text": "x" * 4} for _ in range(5))), parts={"text": "text"})
    asked: list[int] = []
    read = Cells._read

    def counting(cells: Cells, uri: str, cell: tuple[int, str], *, first: bool) -> dict[tuple[int, str], object]:
        found = read(cells, uri, cell, first=first)
        asked.append(len(found))
        return found

    monkeypatch.setattr(Cells, "_read", counting)
    assert len(values(source)) == 5
    assert asked == [2, 2, 1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b'[{"text": "a"}]', "it holds one JSON list; write an object a line"),
        (b"\x89PNG\r\n\x1a\n", "expected JSON Lines, CSV or Parquet"),
        (b"\x1f\x8b\x08", "expected JSON Lines, CSV or Parquet"),
        (b"PAR1broken", "t.csv: "),
        (b"PAR1\x00\x00\x00\x00\xff\xff\xff\xffPAR1", "t.csv: "),
        (b"text,text\na,b\n", "columns are named twice: 'text'"),
        (b"\n", "names no columns"),
        (b"text\n", "holds no rows"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ConfigError) as error:
        Table(str(tmp_path / "t.csv"), parts={"text": "text"}).scan()
    assert says in str(error.value)


def test_a_table_damaged_further_on_gives_the_rows_before(tmp_path: Path) -> None:
    path = Path(
        parquet_file(
            tmp_path,
            {"text": [f"text {n}" * 50 for n in range(4000)]},
            row_group_size=500,
            compression="none",
            write_page_checksum=True,
        )
    )
    raw = bytearray(path.read_bytes())
    raw[len(raw) * 2 // 3 : len(raw) * 2 // 3 + 5000] = bytes(5000)
    path.write_bytes(raw)
    scan = Table(str(path), parts={"text": "text"}).scan()
    assert 500 <= len(scan.entries) < 4000
    assert [fault.kind for fault in scan.faults] == ["bad_table"]


def test_one_bad_table_of_several_is_a_fault(tmp_path: Path) -> None:
    jsonl(tmp_path, {"text": "a"})
    (tmp_path / "u.jsonl").write_bytes(b"PAR1")
    (tmp_path / "notes.md").write_bytes(b"")
    scan = Table(str(tmp_path), name="s", parts={"text": "text"}).scan()
    assert ([entry.key for entry in scan.entries], faults(scan)) == (["s/t/000000000"], {"s/u.jsonl": "bad_table"})
    assert scan.unmatched == ["a.png", "notes.md"]


def test_a_line_can_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 30)
    monkeypatch.setattr(lines, "_CHUNK_BYTES", 10)
    scan = Table(jsonl(tmp_path, {"text": "a"}, {"text": "b" * 60}, {"text": "c"}), parts={"text": "text"}).scan()
    assert [entry.key for entry in scan.entries] == ["t/000000000", "t/000000002"]
    assert scan.faults[0].error == "t.jsonl: line 2 is longer than 30 bytes"


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in ("nowhere/t.csv", "t.csv", "nowhere", "*.csv"):
        with pytest.raises(ConfigError, match="path: "):
            Table(str(tmp_path / path), parts={"text": "text"}, name="t").scan()
    with pytest.raises(ValueError, match="names no part"):
        Table("t.csv", parts={})
