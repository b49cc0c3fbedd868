"""Two coordinators on one store: they share the work, and the end is what one alone would have made."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmdata.store.store import Store
from mmdata.store.verify import verify
from mmdata.testing.build import picture, png_bytes

N_SAMPLES, A_SHARD = 240, 10
PIPELINE = """
source: {use: source.files.Files, name: pictures}
ingest:
  - use: codec.image.DecodeImage
features:
  - use: features.image.Sharpness
  - use: features.image.PerceptualHash
run: {shard_samples: 10}
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(N_SAMPLES):
        (folder / f"{number:03}.png").write_bytes(png_bytes(picture(160, 120, seed=number)))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n not a picture")
    return folder


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pipeline") / "p.yaml"
    path.write_text(PIPELINE)
    return path


def ingest(source: Path | str, store: Path | str, pipeline: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mmdata", "ingest", str(source), str(store), "--pipeline", str(pipeline)]
    command += ["--executor", "inline", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def report(process: subprocess.Popen[str]) -> dict[str, int]:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    found: dict[str, int] = json.loads(out)
    return found


def contents(url: str | Path) -> dict[str, tuple[int, str]]:
    """Every live data file: its name, and its size and digest."""
    store = Store.open(url)
    files = store.view().files()
    tars = {file.media.path: (file.media.size_bytes, file.media.digest) for file in files if file.media}
    return {file.path: (file.size_bytes, file.digest) for file in files} | tars


@pytest.mark.parametrize("where", ["folder", pytest.param("s3", marks=[pytest.mark.s3, pytest.mark.long])])
def test_two_coordinators_share_the_work_and_make_nothing_twice(
    where: str, pictures: Path, pipeline: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    alone = report(ingest(pictures, tmp_path / "alone", pipeline))
    store = f"{request.getfixturevalue('bucket')}/store" if where == "s3" else str(tmp_path / "shared")
    both = [report(each) for each in [ingest(pictures, store, pipeline) for _ in range(2)]]

    assert contents(store) == contents(tmp_path / "alone")
    assert verify(Store.open(store)).is_sound
    assert Store.open(store).keys() == Store.open(tmp_path / "alone").keys()
    entries = alone["read"]
    assert entries == N_SAMPLES + 1
    for each in both:
        assert each["balances"]
        assert each["read"] + each["kept"] == entries
    done = [each["shards"] for each in both]
    n_shards = len(Store.open(store).view().shards)
    assert sum(done) == n_shards, "some shard was counted by both"
