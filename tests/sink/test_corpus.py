"""Real pictures, captions and speech: out to each format and back, byte for byte the files that they came from."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import mmdata
from mmdata.store.store import Store

PIPELINE = """
source:
  use: source.files.Files
  parts: {image: "{stem}.png", text: "{stem}.txt", speech: "{stem}_desc_fr.ogg"}
  label: top
features:
  - features.image.PerceptualHash
  - features.text.TextLength
  - {use: features.audio.LogMel, on: speech}
run: {shard_samples: 5}
"""
N = 12


@pytest.fixture(scope="module")
def stamped(stamps: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Store]:
    """Some stamps, and their store."""
    folder = tmp_path_factory.mktemp("stamps")
    spoken = [path.with_name(path.name.removesuffix("_desc_fr.ogg")) for path in sorted(stamps.rglob("*_desc_fr.ogg"))]
    for stem in [stem for stem in spoken if stem.with_suffix(".png").exists()][::7][:N]:
        for path in (stem.with_suffix(".png"), stem.with_suffix(".txt"), stem.with_name(f"{stem.name}_desc_fr.ogg")):
            (folder / "media" / path.relative_to(stamps)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / "media" / path.relative_to(stamps))
    (folder / "p.yaml").write_text(PIPELINE)
    mmdata.run(folder / "p.yaml", source=folder / "media", store=folder / "store")
    return folder / "media", mmdata.open(folder / "store")


@pytest.mark.corpus
# webdataset leaves its file to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_real_media_come_back_byte_for_byte(stamped: tuple[Path, Store], tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    media, store = stamped
    assert len(store) == N
    for form in ("webdataset", "parquet", "files"):
        mmdata.export(store, tmp_path / form, format=form, shard_bytes=1_000_000)
    tars = sorted(map(str, (tmp_path / "webdataset").glob("*.tar")))
    members = {json.loads(each["json"])["key"]: each for each in webdataset.WebDataset(tars, shardshuffle=False)}
    rows = {row["key"]: row for row in pq.read_table(tmp_path / "parquet" / "data").to_pylist()}
    lines = (tmp_path / "files" / "manifest.jsonl").read_text("utf-8").splitlines()
    manifest = {line["key"]: line for line in map(json.loads, lines)}
    assert list(members) == list(rows) == list(manifest) == store.keys()
    for key in store.keys():  # noqa: SIM118  a store's
        stem = media / key.removeprefix("media/")
        for part, path, suffix in (
            ("image", stem.with_suffix(".png"), "image.png"),
            ("speech", stem.with_name(f"{stem.name}_desc_fr.ogg"), "speech.ogg"),
            ("text", stem.with_suffix(".txt"), "text.txt"),
        ):
            data = path.read_bytes()
            assert members[key][suffix] == data
            assert (tmp_path / "files" / manifest[key][part]).read_bytes() == data
            assert rows[key][part] == (data if part != "text" else data.decode("utf-8-sig"))
        (logmel,) = store.arrays("speech.logmel", keys=[key])
        assert logmel is not None
        assert np.array_equal(np.load(io.BytesIO(members[key]["speech.logmel.npy"])), logmel)
        assert np.array_equal(np.array(rows[key]["speech.logmel"], np.float32), logmel)
        assert rows[key]["text.length.chars"] == manifest[key]["features"]["text.length.chars"]
