"""A small store that the commands look at: made once, never written to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mmdata.cli.app import app
from mmdata.testing.build import corpus

PIPELINE = """
seed: 7
source:
  use: source.files.Files
  parts: {image: "{stem}.png", text: "{stem}.txt", speech: "{stem}_desc_fr.ogg"}
  label: top
ingest:
  - clean.image.FixOrientation
  - {use: clean.text.KeepLines, first: 1}
  - {use: clean.text.KeepLength, min_chars: 3}
  - {use: clean.audio.TrimSilence, on: speech}
store: {image: auto, speech: flac}
features:
  - features.image.PerceptualHash
  - features.image.Sharpness
  - features.text.TextLength
run: {shard_samples: 4, max_rejects: 0.5}
select: {name: v1, split: {train: 0.5, test: 0.5}}
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What is on standard output, when that is exactly one JSON object on one line."""
        assert self.out.count("\n") == 1, self.out
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


Mmdata = Callable[..., Ended]


@pytest.fixture(scope="session")
def mmdata() -> Mmdata:
    """Call a command in this process."""

    def call(*arguments: object) -> Ended:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return call


@dataclass(frozen=True)
class Made:
    """A pipeline file, its corpus, and the store that comes of them."""

    pipeline: Path
    source: Path
    store: Path


def make(folder: Path) -> Made:
    """10 sound samples, one with a caption too short, one broken picture; without a store yet."""
    corpus(folder / "media", n=10, seed=5, n_classes=2)
    first, second = sorted((folder / "media").glob("*/*.png"))[:2]
    (folder / "media" / "disc" / "broken.png").write_bytes(first.read_bytes()[:100])
    (folder / "media" / "disc" / "short.png").write_bytes(second.read_bytes())
    (folder / "media" / "disc" / "short.txt").write_text("x")
    (folder / "media" / "README").write_text("nothing's part")
    (folder / "p.yaml").write_text(PIPELINE)
    return Made(folder / "p.yaml", folder / "media", folder / "store")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, mmdata: Mmdata) -> Made:
    found = make(tmp_path_factory.mktemp("cli"))
    ended = mmdata("run", found.pipeline, "--source", found.source, "--store", found.store, "--executor", "inline")
    assert ended.code == 0, ended
    return found


@pytest.fixture
def own(tmp_path: Path) -> Made:
    """A corpus of the test's own, not run yet."""
    return make(tmp_path)


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Path:
    """The store, to be written to."""
    return Path(shutil.copytree(made.store, tmp_path / "copied"))
