"""What a run holds in memory: a bounded amount, however many samples there are, and however large films are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmdata.core.sample import Frames
from mmdata.store.store import Store
from mmdata.testing.build import caption, noise, picture, png_bytes, wav_bytes
from mmdata.testing.films import moving_shapes
from mmdata.testing.media import mp4_bytes

PIPELINE = """
source:
  use: source.files.Files
ingest:
  - clean.text.NormalizeText
store: {image: copy, audio: flac}
features:
  - {use: features.image.Sharpness, working_px: 128}
  - features.text.TextLength
  - features.audio.AudioDuration
run: {shard_samples: 20}
"""
# the largest of a command's processes, workers too, as each is waited for by its parent
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=sys.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_mb(*command: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, sys.executable, "-m", "mmdata", *command],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return int(done.stdout) / 1024


def run_peak_mb(folder: Path, *, text: str = PIPELINE) -> float:
    (folder / "p.yaml").write_text(text)
    store = str(folder / "store")
    return peak_mb("run", str(folder / "p.yaml"), "--source", str(folder / "media"), "--store", store, "--workers", "1")


def media(folder: Path, n: int) -> None:
    """A picture of 0.3 megapixels, half a second of noise, and a caption a sample."""
    folder.mkdir(parents=True)
    pictures = [png_bytes(picture(640, 480, seed=seed)) for seed in range(4)]
    sound = wav_bytes(noise(seconds=0.5, seed=1))
    for number in range(n):
        (folder / f"{number:05d}.png").write_bytes(pictures[number % 4])
        (folder / f"{number:05d}.wav").write_bytes(sound)
        (folder / f"{number:05d}.txt").write_text(caption(number).text)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folders = {n: tmp_path_factory.mktemp(f"n{n}") for n in (40, 400)}
    for n, folder in folders.items():
        media(folder / "media", n)
    return folders


def test_the_peak_does_not_grow_with_the_number_of_samples(corpora: dict[int, Path]) -> None:
    one, ten = (run_peak_mb(corpora[n]) for n in (40, 400))
    assert ten < one + 25  # of about 200: the list of 400 entries and what the allocator leaves over


def test_the_stream_peak_does_not_grow_with_the_number_of_samples(corpora: dict[int, Path]) -> None:
    script = """
import sys, mmdata
from mmdata.testing.peaks import peak_bytes
columns = ["image.sharpness", "text.length.words"]
n = sum(len(batch["key"]) for batch in mmdata.stream(sys.argv[1], columns, batch_size=16))
print(n, peak_bytes())
"""
    peaks = {}
    for n, folder in corpora.items():
        if not (folder / "store").exists():
            run_peak_mb(folder)
        done = subprocess.run(
            [sys.executable, "-c", script, str(folder / "store")], check=True, capture_output=True, text=True
        )
        read, peak = map(int, done.stdout.split())
        assert read >= n - 15
        peaks[n] = peak / 1e6
    assert peaks[400] < peaks[40] + 25


def test_large_parts_that_no_feature_reads_are_not_held(tmp_path: Path) -> None:
    """24 sounds of 9 MB beside short texts: 212 MB, of which one at a time is enough."""
    folder = tmp_path / "media"
    folder.mkdir()
    sound = wav_bytes(noise(seconds=100, rate_hz=44_100, seed=1))
    for number in range(24):
        (folder / f"{number:02d}.wav").write_bytes(sound)
        (folder / f"{number:02d}.txt").write_text(caption(number).text)
    large = run_peak_mb(tmp_path, text="source: {use: source.files.Files}\nfeatures: [features.text.TextLength]\n")
    assert len(Store.open(tmp_path / "store")) == 24
    assert large < 200 + 5 * len(sound) / 1e6


FILMS = """
source: {{use: source.files.Files}}
ingest:
  - {{use: codec.video.DecodeFrames, fps: 8, into: frames}}
store: {{video: copy}}
features: [{features}]
run: {{shard_samples: 20}}
"""


@pytest.mark.long
def test_a_feature_added_later_on_the_frames_of_long_films_holds_one_film_at_a_time(tmp_path: Path) -> None:
    """Films of 60 s, whose frames are not stored: 480 of them, 62 MB, are made again for the new feature."""
    frames, _ = moving_shapes(48, 240, 180)
    film = mp4_bytes(Frames(np.tile(frames.pixels, (10, 1, 1, 1)), np.arange(480) / 8, np.zeros(480, bool)))
    peaks = {}
    for n in (2, 5):
        folder = tmp_path / f"{n}"
        (folder / "media").mkdir(parents=True)
        for number in range(n):
            (folder / "media" / f"{number}.mp4").write_bytes(film)
        run_peak_mb(folder, text=FILMS.format(features="features.video.VideoSize"))
        peaks[n] = run_peak_mb(
            folder, text=FILMS.format(features="features.video.VideoSize, features.video.FrameDifference")
        )
        store = Store.open(folder / "store")
        assert [len(pairs) for pairs in store.arrays("frames.difference", store.keys()) if pairs is not None] == [
            479
        ] * n
    assert peaks[5] < peaks[2] + 40
    assert peaks[5] < 250 + 3 * 62
