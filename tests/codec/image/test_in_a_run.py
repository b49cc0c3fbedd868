"""Steps on bytes, frames and regions in whole runs: what the store holds in the end."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import PIL.Image

from mmdata import api
from mmdata.clean.image import CropImage, FixOrientation, MoveRegions
from mmdata.codec.image import DecodeImage, SplitAnimation, StripMetadata
from mmdata.core.pipeline import Pipeline
from mmdata.core.sample import Image
from mmdata.features.image import Exposure, PerceptualHash
from mmdata.source.files import Files
from mmdata.testing.pictures import picture

SECRET = "Cafe Secreto"


def photo(path: Path, orientation: int = 6) -> bytes:
    exif = PIL.Image.Exif()
    exif[274], exif[271] = orientation, SECRET
    PIL.Image.fromarray(picture(64, 48).pixels).save(path, "JPEG", exif=exif, quality=95)
    return path.read_bytes()


def test_what_is_stored_tells_nothing_and_is_no_pixel_poorer(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    before = photo(tmp_path / "in" / "a.jpg")
    assert SECRET.encode() in before
    pipeline = Pipeline(
        source=Files(root=str(tmp_path / "in"), parts={"image": "{stem}.jpg"}),
        ingest=(StripMetadata(), DecodeImage()),
        features=(PerceptualHash(), Exposure()),
    )
    report = api.run(pipeline, store=str(tmp_path / "out"), executor="inline")
    assert report.counts.stored == 1
    files = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not [data for data in files if SECRET.encode() in data]
    store = api.open(str(tmp_path / "out"))
    kept = store.sample("in/a").parts["image"]
    assert isinstance(kept, Image)
    with PIL.Image.open(io.BytesIO(before)) as file:
        assert np.abs(kept.pixels.astype(int) - np.asarray(file)).max() <= 2
    assert kept.orientation == 6


def test_an_animation_becomes_samples_with_features(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    stills = [PIL.Image.new("RGB", (20, 10), color) for color in ("red", "lime", "blue")]
    stills[0].save(tmp_path / "in" / "a.gif", save_all=True, append_images=stills[1:], duration=100)
    pipeline = Pipeline(
        source=Files(root=str(tmp_path / "in"), parts={"image": "{stem}.gif"}),
        ingest=(SplitAnimation(), DecodeImage(), CropImage(width_px=5, height_px=5)),
        features=(Exposure(),),
    )
    report = api.run(pipeline, store=str(tmp_path / "out"), executor="inline")
    assert report.counts.stored == 3
    store = api.open(str(tmp_path / "out"))
    seen = [store.sample(f"in/a@{index}") for index in range(3)]
    colors = [part.pixels[2, 2].tolist() for sample in seen if isinstance(part := sample.parts["image"], Image)]
    assert colors == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert [sample.meta["time_s"] for sample in seen] == [0, 0.1, 0.2]


def test_boxes_are_stored_where_the_picture_shows_them(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    photo(tmp_path / "in" / "a.jpg")
    (tmp_path / "in" / "a.json").write_text(json.dumps({"boxes": [[0, 0, 16, 8]]}))
    pipeline = Pipeline(
        source=Files(root=str(tmp_path / "in"), parts={"image": "{stem}.jpg"}),
        ingest=(DecodeImage(), FixOrientation(), CropImage(width_px=24, height_px=24, at="top"), MoveRegions()),
    )
    api.run(pipeline, store=str(tmp_path / "out"), executor="inline")
    sample = api.open(str(tmp_path / "out")).sample("in/a")
    # turned clockwise, the file's top left corner is at the top right; 48 of 64 rows are left, at half size
    assert sample.meta["boxes"] == [[20, 0, 24, 8]]
    kept = sample.parts["image"]
    assert isinstance(kept, Image)
    assert kept.space_map.to_source(np.array([[24.0, 0.0]])).round(6).tolist() == [[0, 0]]
