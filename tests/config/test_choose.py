"""Pipelines chosen by a look at what is there: each is sound, and does the usual to every part."""

from __future__ import annotations

import csv
import json
import tarfile
from pathlib import Path

import pytest

from mmdata import api
from mmdata.config.choose import choose
from mmdata.config.load import PipelineFile, parse
from mmdata.core.step import Extract
from mmdata.errors import ConfigError
from mmdata.source.files import Files
from mmdata.source.table import Table
from mmdata.source.webdataset import Tars
from mmdata.testing.build import caption, corpus, moving_shapes, mp4_bytes, picture, png_bytes, tone, wav_bytes
from mmdata.train.config import TrainConfig


def chosen(location: Path) -> PipelineFile:
    file = parse(choose(str(location)), source=str(location))
    api.check(file)
    return file


def names(file: PipelineFile) -> list[str]:
    return [f"{step.name.rpartition('.')[2]} {step.on}" for step in (*file.pipeline.ingest, *file.pipeline.features)]


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


PNG, WAV, TEXT = png_bytes(picture(20, 20)), wav_bytes(tone(seconds=0.1)), caption(1).text.encode()


def test_pictures_and_captions(tmp_path: Path) -> None:
    file = chosen(write(tmp_path / "c", {"a.png": PNG, "a.txt": TEXT, "b.png": PNG, "b.txt": TEXT}))
    assert names(file) == [
        "DecodeImage image",
        "FixOrientation image",
        "NormalizeText text",
        "PerceptualHash image",
        "Sharpness image",
        "ImageSize image",
        "TextLength text",
    ]
    assert isinstance(file.pipeline.source, Files)
    assert file.pipeline.source.label is None


def test_folders_that_look_like_classes_are_the_label(tmp_path: Path) -> None:
    corpus(tmp_path / "c", n=16, n_classes=2)
    source = chosen(tmp_path / "c").pipeline.source
    assert isinstance(source, Files)
    assert source.label == "parent"


def test_what_was_chosen_runs_as_it_stands_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "c", {"a.png": PNG})
    monkeypatch.chdir(tmp_path)
    text = choose("c/")
    monkeypatch.chdir("/")
    source = parse(text).pipeline.source
    assert isinstance(source, Files)
    assert source == Files(str(tmp_path / "c"))
    assert len(source.scan().entries) == 1


@pytest.mark.parametrize("location", [".", "./", "../c", "file://{}"])
def test_the_folder_that_one_stands_in_keeps_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    monkeypatch.chdir(write(tmp_path / "c", {"a.png": PNG}))
    location = location.format(tmp_path / "c")
    for file in (parse(choose(location)), parse(choose(location), source=location)):
        assert isinstance(file.pipeline.source, Files)
        assert [entry.key for entry in file.pipeline.source.scan().entries] == ["c/a"]


def test_a_url_stays_as_it_is() -> None:
    import fsspec

    fsspec.filesystem("memory").pipe("/chosen/a.txt", b"words")
    source = parse(choose("memory://chosen")).pipeline.source
    assert source == Files("memory://chosen")


@pytest.mark.parametrize("name", ["a: b #c", 'x"\nseed: 9\u2028', "{{c}}", "c\udcff", "- é"])
def test_a_location_of_any_name_is_one_value(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"t.csv": b"text\nwords\n"})
    folder = tmp_path / name
    folder.mkdir()
    (tmp_path / "t.csv").rename(folder / "t.csv")
    file = parse(choose(str(folder / "t.csv")))
    assert file.pipeline.seed == 0
    assert isinstance(file.pipeline.source, Table)
    assert file.pipeline.source.path == str(folder / "t.csv")


def test_samples_with_labels_show_how_to_train(tmp_path: Path) -> None:
    corpus(tmp_path / "c", n=16, n_classes=2, films=True)
    text = choose(str(tmp_path / "c"))
    shown = text[text.index("# select:") :].replace("# ", "")
    file = parse(text + shown)
    columns = {column for step in file.pipeline.features if isinstance(step, Extract) for column in step.columns()}
    assert set(TrainConfig.of(file.train).inputs.values()) <= columns
    assert set(file.select["split"]) == {"train", "val", "test"}


def test_samples_without_labels_do_not(tmp_path: Path) -> None:
    assert "train" not in choose(str(write(tmp_path / "c", {"a.png": PNG, "b.png": PNG})))


def test_sound_and_film_get_what_is_usual_for_them(tmp_path: Path) -> None:
    film = mp4_bytes(moving_shapes(radius_px=20)[0])
    file = chosen(write(tmp_path / "c", {"a.wav": WAV, "b.mp4": film}))
    assert "DecodeFrames video" in names(file)
    assert "OpticalFlow frames" in names(file)
    assert "LogMel audio" in names(file)


def test_what_a_file_holds_decides_and_not_its_name(tmp_path: Path) -> None:
    file = chosen(write(tmp_path / "c", {f"{n}.png": PNG for n in range(3)} | {"x.png": TEXT}))
    assert "DecodeImage image" in names(file)


def test_tars(tmp_path: Path) -> None:
    write(tmp_path, {"a.png": PNG, "a.txt": TEXT})
    with tarfile.open(tmp_path / "shard-000.tar", "w") as tar:
        for name in ("a.png", "a.txt"):
            tar.add(tmp_path / name, name)
    file = chosen(tmp_path / "shard-000.tar")
    assert isinstance(file.pipeline.source, Tars)
    assert "DecodeImage png" in names(file) or "DecodeImage image" in names(file)


def test_a_table_with_text_in_its_rows(tmp_path: Path) -> None:
    rows = [{"caption": f"number {n}", "label": "x"} for n in range(3)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = chosen(tmp_path / "t.jsonl")
    assert isinstance(file.pipeline.source, Table)
    assert (file.pipeline.source.parts, file.pipeline.source.label) == ({"text": "caption"}, "label")
    assert names(file) == ["NormalizeText text", "TextLength text"]


def test_the_root_that_absolute_paths_share_is_said(tmp_path: Path) -> None:
    write(tmp_path / "c # media", {"a.png": PNG, "b.png": PNG})
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "t.csv").write_text("file\n" + "".join(f"{tmp_path}/c # media/{name}.png\n" for name in "ab"))
    text = choose(str(tmp_path / "t" / "t.csv"))
    assert f'  root: "{tmp_path}/c # media"  # the folder that holds all the files that it names\n' in text
    source = parse(text).pipeline.source
    assert isinstance(source, Table)
    assert len(source.scan().entries) == 2


def test_a_column_of_any_name_stays_on_its_line(tmp_path: Path) -> None:
    write(tmp_path, {"a.png": PNG, "b.png": PNG})
    hostile = 'x"\nseed: 9\u2028plugins: [os]\x85'
    with (tmp_path / "t.csv").open("w", newline="") as out:
        csv.writer(out).writerows([["first", hostile], ["a.png", "b.png"]])
    file = chosen(tmp_path / "t.csv")
    assert file.pipeline.seed == 0
    assert isinstance(file.pipeline.source, Table)
    assert file.pipeline.source.parts == {"image": "first", f"image_{hostile}": hostile}


def test_the_same_again_for_the_same_files(tmp_path: Path) -> None:
    corpus(tmp_path / "c", n=4, films=True)
    assert choose(str(tmp_path / "c")) == choose(str(tmp_path / "c"))


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({}, "nothing"),
        ({"a.bin": b"\x00\x01\x02"}, ""),
        ({"a.exe": b"MZ\x00\x00"}, ""),
    ],
)
def test_nothing_to_choose_for_is_a_fault(tmp_path: Path, files: dict[str, bytes], fault: str) -> None:
    (tmp_path / "c").mkdir()
    with pytest.raises(ConfigError):
        choose(str(write(tmp_path / "c", files)))


def test_a_place_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file or folder"):
        choose(str(tmp_path / "nope"))
