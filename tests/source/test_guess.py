"""What `mmdata ingest` makes of a location."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmdata.errors import ConfigError
from mmdata.source.files import Files
from mmdata.source.guess import guess
from mmdata.source.huggingface import HuggingFace
from mmdata.source.table import Table
from mmdata.source.urls import Urls
from mmdata.source.webdataset import Tars

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


def tree(root: Path, *paths: str) -> str:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(PNG if path.endswith("png") else b"text")
    return str(root)


def test_a_folder_of_media_is_paired_by_stem(tmp_path: Path) -> None:
    assert guess(tree(tmp_path / "pets", "a.png", "a.txt")) == Files(str(tmp_path / "pets"))


@pytest.mark.parametrize(
    ("paths", "label"),
    [
        (["x/1.png", "x/2.png", "y/3.png", "y/4.png"], "parent"),
        (["x/1.png", "x/1.txt", "x/2.png", "y/3.png", "y/4.png"], "parent"),
        (["x/1.png", "x/2.png", "x/3.png", "x/4.png"], None),
        (["x/1.png", "y/2.png"], None),
        (["x/1.png", "x/2.png", "y/3.png", "y/4.png", "5.png", "6.png", "7.png", "8.png"], None),
        (["train/1.png", "train/2.png", "val/3.png", "val/4.png"], None),
        (["train/x/1.png", "train/x/2.png", "train/y/3.png", "val/y/4.png", "val/y/5.png"], "parent"),
    ],
)
def test_folders_that_look_like_classes_are_labels(tmp_path: Path, paths: list[str], label: str | None) -> None:
    source = guess(tree(tmp_path, *paths))
    assert isinstance(source, Files)
    assert source.label == label


def test_folders_of_one_modality_each_are_paired_by_path(tmp_path: Path) -> None:
    source = guess(tree(tmp_path, "pictures/x/1.png", "pictures/2.png", "words/x/1.txt", "words/2.txt"))
    assert isinstance(source, Files)
    assert source.parts == {"image": "pictures/{stem}.*", "text": "words/{stem}.*"}
    assert [entry.key.partition("/")[2] for entry in source.scan().entries] == ["2", "x/1"]


@pytest.mark.parametrize(("n_shared", "paired"), [(0, False), (1, False), (2, True), (4, True)])
def test_folders_that_share_too_few_paths_are_not(tmp_path: Path, n_shared: int, paired: bool) -> None:
    pictures = [f"pictures/{n}.png" for n in range(4)]
    source = guess(tree(tmp_path, *pictures, *(f"words/{n + 4 - n_shared}.txt" for n in range(4))))
    assert isinstance(source, Files)
    assert (source.parts is not None) == paired


def test_drawings_beside_the_pictures_made_from_them_are_left_out(tmp_path: Path) -> None:
    source = guess(tree(tmp_path, "a.png", "a.svg", "b.svg"))
    assert isinstance(source, Files)
    assert source.exclude == ("*.svg",)
    assert guess(tree(tmp_path / "more", "b.svg")) == Files(str(tmp_path / "more"))


def test_tars_are_told(tmp_path: Path) -> None:
    for name in ("0.tar", "1.tar"):
        tarfile.open(tmp_path / name, "w").close()
    assert guess(str(tmp_path)) == Tars(str(tmp_path))
    assert guess(str(tmp_path / "0.tar")) == Tars(str(tmp_path / "0.tar"))
    assert guess(str(tmp_path / "*.tar"), name="x") == Tars(str(tmp_path / "*.tar"), name="x")


def test_a_table_beside_the_files_that_it_names_is_the_source(tmp_path: Path) -> None:
    tree(tmp_path, "a.png", "b.png")
    (tmp_path / "metadata.csv").write_text("file_name,caption,label\na.png,one,cat\nb.png,two,dog\n")
    expected = Table(
        str(tmp_path / "metadata.csv"),
        parts={"image": "file_name", "text": "caption"},
        inline=("text",),
        label="label",
    )
    assert guess(str(tmp_path)) == guess(str(tmp_path / "metadata.csv")) == expected
    assert [entry.meta for entry in expected.scan().entries] == [{"label": "cat"}, {"label": "dog"}]


def test_a_table_that_names_none_of_the_files_is_not(tmp_path: Path) -> None:
    tree(tmp_path, "a.png")
    (tmp_path / "prices.csv").write_text("text,price\nx,1\n")
    assert guess(str(tmp_path)) == Files(str(tmp_path))


def test_columns_of_media_are_told_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    for index in (0, 1):
        table = pa.table({"picture": [{"bytes": PNG, "path": None}], "n": [1], "prompt": ["a"], "text": ["b"]})
        pq.write_table(table, tmp_path / f"x/{index}.parquet")
    source = guess(str(tmp_path / "x"))
    parts = {"image": "picture", "text": "prompt", "text_text": "text"}
    assert source == Table(str(tmp_path / "x"), parts=parts, inline=("text", "text_text"))
    assert len(source.scan().entries) == 2


def named(path: Path, *rows: str) -> str:
    """A table of one column `file`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["file", *rows, ""]))
    return str(path)


def test_absolute_paths_inside_of_the_tables_folder_need_no_root(tmp_path: Path) -> None:
    tree(tmp_path, "x/a.png", "b.png")
    source = guess(named(tmp_path / "t.csv", str(tmp_path / "x" / "a.png"), str(tmp_path / "b.png")))
    assert source == Table(str(tmp_path / "t.csv"), parts={"image": "file"}, inline=())
    assert len(source.scan().entries) == 2


def test_absolute_paths_outside_of_the_tables_folder_have_their_common_one_as_root(tmp_path: Path) -> None:
    tree(tmp_path, "media/x/a.png", "media/y/b.png")
    rows = [str(tmp_path / "media/x/a.png")] * 60 + [str(tmp_path / "media/y/b.png")]
    source = guess(named(tmp_path / "tables" / "t.csv", *rows))
    assert isinstance(source, Table)
    assert source.root == str(tmp_path / "media")
    assert len(source.scan().entries) == 61


def test_the_root_holds_the_files_of_every_table(tmp_path: Path) -> None:
    tree(tmp_path, "media/x/a.png", "media/y/b.png")
    named(tmp_path / "tables" / "0.csv", str(tmp_path / "media/x/a.png"))
    named(tmp_path / "tables" / "1.csv", str(tmp_path / "media/y/b.png"))
    source = guess(str(tmp_path / "tables"))
    assert isinstance(source, Table)
    assert source.root == str(tmp_path / "media")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["{0}/m/a.png", "/nowhere/b.png"], "set root: to a folder that holds them all"),
        (["{0}/m/a.png", "b.png"], "'b.png' is relative to it; write all of them one way"),
    ],
)
def test_paths_that_no_root_fits_are_told(tmp_path: Path, rows: list[str], says: str) -> None:
    tree(tmp_path, "m/a.png", "t/b.png")
    with pytest.raises(ConfigError) as error:
        guess(named(tmp_path / "t" / "t.csv", *(row.format(tmp_path) for row in rows), str(tmp_path / "m/a.png")))
    assert says in str(error.value)


def test_a_table_behind_a_url_opens_no_folder_of_this_system(tmp_path: Path) -> None:
    import fsspec

    tree(tmp_path, "a.png")
    fsspec.filesystem("memory").pipe("/guessed/t.csv", f"file\n{tmp_path}/a.png\n".encode())
    with pytest.raises(ConfigError, match="no column holds media"):
        guess("memory://guessed/t.csv")


def test_the_folder_that_one_stands_in_has_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path / "pets", "a.png")
    monkeypatch.chdir(tmp_path / "pets")
    assert guess(".").name == guess("./").name == "pets"


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("nowhere", "there is no such file or folder"),
        ("a.png", "one file is no source, unless it is a .tar, or a table"),
        ("numbers.csv", "no column holds media, names files or is called text"),
        ("broken.jsonl", "it is empty"),
    ],
)
def test_what_fits_nothing_is_refused(tmp_path: Path, location: str, says: str) -> None:
    tree(tmp_path, "a.png")
    (tmp_path / "numbers.csv").write_text("x,y\n1,2\n")
    (tmp_path / "broken.jsonl").write_text("")
    with pytest.raises(ConfigError) as error:
        guess(str(tmp_path / location))
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("url", "https://a.org/1.jpg", {"parts": {"image": "url"}}),
        ("URL,TEXT", "https://a.org/1.jpg?w=3,hello", {"parts": {"image": "URL", "text": "TEXT"}, "inline": ("text",)}),
        ("image_url,n", "https://a.org/1,7", {"parts": {"image": "image_url"}}),
        ("link", "https://a.org/1", {"parts": {"media": "link"}}),
        ("page,url", "https://a.org/1,https://a.org/1.mp3", {"parts": {"audio": "url"}}),
        ("a,b", "https://a.org/1.png,https://a.org/2.png", {"parts": {"image": "a", "image_b": "b"}}),
        (
            "url,class,sha256",
            f"https://a.org/1.mp4,x,{'0' * 64}",
            {"parts": {"video": "url"}, "label": "class", "digests": {"video": "sha256"}},
        ),
    ],
)  # fmt: skip
def test_a_table_of_urls_is_a_manifest(tmp_path: Path, header: str, row: str, expected: dict[str, Any]) -> None:
    (tmp_path / "m.csv").write_text(f"{header}\n{row}\n")
    usual = {"inline": ()}
    assert guess(str(tmp_path / "m.csv")) == Urls(str(tmp_path / "m.csv"), **{**usual, **expected})


def test_a_table_of_files_with_the_page_they_are_from_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "t.csv").write_text("file,text\na.png,https://a.org/b\n")
    assert isinstance(guess(str(tmp_path / "t.csv")), Table)


def test_a_saved_dataset_and_a_name_on_the_hub_are_datasets(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    assert guess(str(tmp_path)) == HuggingFace(str(tmp_path))
    assert guess("hf://datasets/owner/pets@main").name == "pets"
