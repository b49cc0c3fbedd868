"""A run that is killed as a whole, again and again, ends in the very bytes of one that was left in peace."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mmdata.store.store import Store
from mmdata.store.verify import verify
from mmdata.testing.build import corpus

PIPELINE = """
source:
  use: source.files.Files
  parts: {image: "{stem}.png", text: "{stem}.txt", speech: "{stem}_desc_fr.ogg"}
  label: top
ingest:
  - {use: clean.text.KeepLines, first: 1}
  - {use: clean.image.DropBlurred, min_sharpness: 1}
  - {use: augment.image.FlipImage}
  - {use: clean.audio.TrimSilence, on: speech}
store: {image: "jpeg:90", speech: flac}
features:
  - features.image.PerceptualHash
  - features.image.OrientedGradients
  - features.text.HashedNgrams
  - {use: features.audio.Mfcc, on: speech}
run: {shard_samples: 6}
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "media"
    corpus(folder, n=90, seed=1)
    (folder / "star").mkdir(exist_ok=True)
    (folder / "star" / "broken.png").write_bytes(b"no picture")
    return folder


def start(source: Path, store: Path, workers: int, out: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    (source.parent / "p.yaml").write_text(PIPELINE)
    command = [sys.executable, "-m", "mmdata", "run", str(source.parent / "p.yaml"), "--source", str(source)]
    executor = ["--executor", "inline"] if workers == 0 else ["--workers", str(workers)]
    return subprocess.Popen([*command, "--store", str(store), *executor, "--json"], start_new_session=True, stdout=out)


def finish(source: Path, store: Path, workers: int) -> float:
    """Let a run come to its end; returns how long it took, in seconds."""
    began = time.monotonic()
    assert start(source, store, workers).wait() == 0
    return time.monotonic() - began


def files(store: Path) -> dict[str, bytes]:
    """What readers see: bytes by path, tars too."""
    view = Store.open(store).view()
    paths = [file.path for file in view.files()]
    paths += [shard.samples.media.path for shard in view.shards if shard.samples.media]
    return {path: (store / path).read_bytes() for path in paths}


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    lasted_s = finish(source, store, workers=0)
    assert len(Store.open(store)) == 90
    return files(store), lasted_s


@pytest.mark.parametrize(
    ("workers", "kills"),
    [(2, 3), pytest.param(1, 10, marks=pytest.mark.long), pytest.param(2, 10, marks=pytest.mark.long)],
)
def test_kills_change_no_byte(
    source: Path, tmp_path: Path, undisturbed: tuple[dict[str, bytes], float], workers: int, kills: int
) -> None:
    expected, lasted_s = undisturbed
    luck = random.Random(workers * 1000 + kills)
    progress = []
    for _ in range(kills):
        process = start(source, tmp_path / "store", workers)
        time.sleep(luck.uniform(0.3, max(1.0, lasted_s)))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if (tmp_path / "store" / "store.json").exists():
            store = Store.open(tmp_path / "store")
            assert verify(store).is_sound  # whole at every moment
            progress.append(len(store))
    finish(source, tmp_path / "store", workers)
    assert progress == sorted(progress)
    assert files(tmp_path / "store") == expected
    out, _ = start(source, tmp_path / "store", workers, subprocess.PIPE).communicate()
    assert json.loads(out)["read"] == 0


def workers_of(run: subprocess.Popen[bytes]) -> list[int]:
    """The pool's processes of a run."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            session = int((place / "stat").read_text().rpartition(")")[2].split()[3])
            if session == run.pid and "spawn_main" in (place / "cmdline").read_text():
                found.append(int(place.name))
    return found


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_workers_that_are_killed_at_random_change_no_byte(
    source: Path, tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]
) -> None:
    expected, _ = undisturbed
    luck = random.Random(7)
    run = start(source, tmp_path / "store", workers=2)
    kills, until = 0, time.monotonic() + 100
    while run.poll() is None and kills < 5 and time.monotonic() < until:
        time.sleep(luck.uniform(0.2, 1.5))
        if pids := workers_of(run):
            with suppress(ProcessLookupError):
                os.kill(luck.choice(pids), signal.SIGKILL)
            kills += 1
    assert run.wait() == 0
    assert kills > 1
    assert files(tmp_path / "store") == expected
