"""Datasets of the hub, by its own client from a hub on loopback; each in a process of its own, as the client reads the
hub's address when it is imported.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.source.huggingface.hub import COMMIT, serving

pytest.importorskip("datasets", reason="the extra huggingface is not installed")

N, SIZE = 4, 2 << 20
LOOK = """
import json, sys
from mmdata.errors import ConfigError
from mmdata.source.huggingface import HuggingFace
settings = json.loads(sys.argv[1])
try:
    source = HuggingFace(**settings)
    entries = source.scan().entries
    print(json.dumps([entry.to_json() for entry in entries]), flush=True)
    print("listed", file=sys.stderr, flush=True)
    (sample,) = source.read(entries[2:3])
    print(sample.key, len(sample.parts["image"].data()))
except ConfigError as error:
    print(error)
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A dataset of one Parquet file with a row group a picture."""
    (tmp_path / "repository" / "data").mkdir(parents=True)
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    rows = [{"image": {"bytes": random.Random(n).randbytes(SIZE), "path": None}, "label": n % 2} for n in range(N)]
    table = pa.Table.from_pylist(rows).replace_schema_metadata(metadata)
    path = tmp_path / "repository" / "data" / "train-00000-of-00001.parquet"
    pq.write_table(table, path, row_group_size=1, use_dictionary=False)
    return tmp_path / "repository"


def looked(url: str, home: Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(home)}
    command = [sys.executable, "-c", LOOK, json.dumps(settings)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True)


def n_bytes(asked: list[str]) -> int:
    """What was asked for of the data files."""
    ranges = (re.search(r"bytes=(\d+)-(\d+)", line) for line in asked if line.startswith("GET") and ".parquet" in line)
    return sum(int(found[2]) + 1 - int(found[1]) if found else N * SIZE for found in ranges)


def test_a_dataset_of_the_hub_is_read_in_place_at_its_commit(repository: Path, tmp_path: Path) -> None:
    with serving(repository) as (url, asked):
        done = looked(url, tmp_path / "home", path="hf://datasets/owner/pets@main")
        listing, read = done.stdout.splitlines()
        entries = json.loads(listing)
        assert [(entry["key"], entry["meta"]["label"]) for entry in entries] == [
            (f"pets/train/{n:09d}", ["cat", "dog"][n % 2]) for n in range(N)
        ]
        assert {member[3] for entry in entries for member in entry["members"]} == {f"commit:{COMMIT}"}
        assert read == f"pets/train/000000002 {SIZE}"
        assert n_bytes(asked) < 2 * SIZE  # of N: the picture that was read, and what the listing needs


def test_loose_files_of_the_hub_are_read_one_by_one(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        for n in range(2):
            (tmp_path / "repository" / "train" / kind).mkdir(parents=True, exist_ok=True)
            (tmp_path / "repository" / "train" / kind / f"{n}.png").write_bytes(f"{kind} {n}".encode())
    with serving(tmp_path / "repository") as (url, asked):
        done = looked(url, tmp_path / "home", path="owner/pets")
    listing, read = done.stdout.splitlines()
    found = [(entry["members"][0][1], entry["members"][0][3], entry["meta"]) for entry in json.loads(listing)]
    assert found == [
        (f"train/{kind}/{n}.png", f"commit:{COMMIT}", {"label": kind, "split": "train"})
        for kind in ("cat", "dog")
        for n in range(2)
    ]
    assert read == "pets/train/000000002 5"
    assert len([line for line in asked if line.startswith("GET") and ".png" in line]) == 1


def test_what_the_hub_does_not_have_is_told(repository: Path, tmp_path: Path) -> None:
    with serving(repository) as (url, _):
        assert "nor a dataset of that name" in looked(url, tmp_path / "home", path="owner/none").stdout
        said = looked(url, tmp_path / "home", path="owner/pets", split="tset").stdout
        assert "no split 'tset'; it has train" in said
