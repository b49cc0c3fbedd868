"""Parts that a store only points to: read from their source, or told of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mmdata
from mmdata.cli.app import app
from mmdata.core.sample import Pointer
from mmdata.errors import Unreadable
from mmdata.sink.references import References
from mmdata.source.files import Files
from mmdata.testing.media import png_bytes
from mmdata.testing.pictures import picture

PIPELINE = """
source: {use: source.files.Files, parts: {image: "{stem}.png", text: "{stem}.txt"}}
store: {image: reference, text: auto}
features: [features.image.Sharpness]
"""


@pytest.fixture
def pointing(tmp_path: Path) -> Path:
    """A store of three pictures that are in their source only."""
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / "photos" / f"#{number}.png").write_bytes(png_bytes(picture(8, 8, seed=number)))
        (tmp_path / "photos" / f"#{number}.txt").write_text(f"text {number}")
    (tmp_path / "p.yaml").write_text(PIPELINE)
    mmdata.run(tmp_path / "p.yaml", source=tmp_path / "photos", store=tmp_path / "store")
    return tmp_path / "store"


def manifest(dest: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (dest / "manifest.jsonl").read_text().splitlines()]


def test_without_the_source_it_says_which_part_and_what_to_do(pointing: Path, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"'photos/#0': part 'image' is in its source only.*leave 'image' out"):
        mmdata.export(pointing, tmp_path / "out", format="files")
    assert mmdata.export(pointing, tmp_path / "out", format="files", columns=["text", "image.sharpness"]).samples == 3


@pytest.mark.parametrize("form", ["webdataset", "huggingface", "parquet", "files"])
def test_with_the_source_its_own_bytes_go_out(pointing: Path, tmp_path: Path, form: str) -> None:
    source = Files(str(tmp_path / "photos"), parts={"image": "{stem}.png", "text": "{stem}.txt"})
    done = mmdata.export(pointing, tmp_path / "out", format=form, source=source)
    assert (done.state, done.samples) == ("done", 3)
    if form == "files":
        for number, line in enumerate(manifest(tmp_path / "out")):
            data = (tmp_path / "photos" / f"#{number}.png").read_bytes()
            assert (tmp_path / "out" / line["image"]).read_bytes() == data
            assert line["parts"]["image"]["encoding"] == "reference"


def test_a_file_that_was_changed_since_is_not_taken_for_what_was_stored(pointing: Path, tmp_path: Path) -> None:
    (tmp_path / "photos" / "#1.png").write_bytes(png_bytes(picture(9, 9)))
    source = Files(str(tmp_path / "photos"), parts={"image": "{stem}.png", "text": "{stem}.txt"})
    with pytest.raises(Unreadable, match="changed"):
        mmdata.export(pointing, tmp_path / "out", format="parquet", source=source)
    assert not (tmp_path / "out").exists()


def test_another_source_is_never_asked(pointing: Path, tmp_path: Path) -> None:
    other = Files(str(tmp_path / "photos"), name="other")
    with pytest.raises(Unreadable, match="is in its source only"):
        mmdata.export(pointing, tmp_path / "out", format="parquet", source=other)
    fetch = References(mmdata.open(pointing), Files(str(tmp_path / "photos"))).of("photos")
    assert fetch is not None
    with pytest.raises(Unreadable, match="no plan of source 'photos' names it"):
        fetch(Pointer("../../etc/passwd"))


def test_the_command_finds_the_source_of_the_last_run(pointing: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    ended = CliRunner().invoke(app, ["export", str(pointing), str(tmp_path / "out"), "--format", "files"])
    assert ended.exit_code == 0, ended.stderr
    assert len(manifest(tmp_path / "out")) == 3
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    arguments = ["export", str(pointing), str(tmp_path / "again"), "--format", "files"]
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 1
    assert "no such file" in ended.stderr
    ended = CliRunner().invoke(app, [*arguments, "--source", str(tmp_path / "elsewhere")])
    assert ended.exit_code == 1, "a source of another name is another source"
    assert "in its source only" in ended.stderr
