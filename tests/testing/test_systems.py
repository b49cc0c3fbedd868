from __future__ import annotations

import csv
import hashlib
import json
import math
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmdata
from mmdata import api
from mmdata.config.load import load
from mmdata.core.rng import rng_for
from mmdata.testing.systems import SYSTEMS, Drawn, System, World
from mmdata.testing.systems.clips import glide, motion
from mmdata.testing.systems.news import SHAPES, TOPICS, headline, illustration
from mmdata.testing.systems.patients import RATE_HZ, SECONDS, ecg, record, scan
from mmdata.testing.systems.sentiment import BAD, GOOD, face, voice

PIPELINES = Path(mmdata.__file__).parent.parent / "pipelines"
TABLES = {"sentiment": "comments.csv", "news": "shown.jsonl", "video_classes": "", "patients": "patients.jsonl"}

each_system = pytest.mark.parametrize("system", SYSTEMS.values(), ids=lambda system: system.name)


def chosen(world: World) -> list[tuple[str, ...]]:
    return [names for size in range(len(world.modalities) + 1) for names in combinations(world.modalities, size)]


def told(world: World, sample: Drawn, names: tuple[str, ...]) -> np.ndarray:
    return world.chances({name: sample.shown[name] for name in names if name in sample.shown})


@each_system
@pytest.mark.parametrize("noise", [False, True])
def test_scores_of_theory_are_those_of_bayes_decision_on_many_samples(system: System, noise: bool) -> None:
    world = system.at(noise=noise)
    drawn, n = world.draws(4000, 1), 4000
    for names in chosen(world):
        chances = np.array([told(world, sample, names) for sample in drawn])
        labels = np.array([sample.label for sample in drawn])
        best = np.isclose(chances, chances.max(axis=1, keepdims=True))
        right = (best[np.arange(n), labels] / best.sum(axis=1)).mean()
        expected = world.accuracy(names)
        assert abs(right - expected) < 4 * math.sqrt(expected * (1 - expected) / n), names


@pytest.mark.parametrize("names", [("title",), ("picture",), ("title", "picture"), ()])
def test_areas_under_curves_are_those_of_pairs(names: tuple[str, ...]) -> None:
    world = SYSTEMS["news"].world
    drawn = world.draws(2000, 2)
    sure = np.array([told(world, sample, names)[1] / told(world, sample, names).sum() for sample in drawn])
    labels = np.array([sample.label for sample in drawn])
    apart = sure[labels == 1][:, None] - sure[labels == 0][None]
    assert np.where(abs(apart) < 1e-12, 0.5, apart > 0).mean() == pytest.approx(world.auc(names), abs=0.03)
    assert world.auc(()) == 0.5


def test_scores_of_theory_by_hand() -> None:
    sentiment, clips = SYSTEMS["sentiment"].world, SYSTEMS["video_classes"].world
    assert sentiment.accuracy(["words"]) == pytest.approx(0.7 * 0.95 + 0.3 * 0.05)
    assert sentiment.accuracy(["voice"]) == pytest.approx(0.5)
    assert sentiment.accuracy(["picture"]) == pytest.approx(0.75)
    assert sentiment.accuracy(["words", "voice"]) == pytest.approx(0.95)
    assert sentiment.accuracy(sentiment.modalities) == pytest.approx(0.95)
    assert clips.accuracy(["frames"]) == clips.accuracy(["sound"]) == pytest.approx(0.95 / 2)
    assert clips.accuracy(["frames", "sound"]) == pytest.approx(0.95**2)


def test_missing_parts_are_reckoned_with() -> None:
    def weigh(a: int, b: int) -> list[float]:
        return [1.0 - (a and b), float(a and b)]

    whole = World.of(("no", "yes"), {"a": 2, "b": 2}, weigh)
    assert whole.accuracy(["a"]) == whole.accuracy([]) == 0.75
    assert whole.accuracy(["a", "b"]) == 1
    lacking = World.of(("no", "yes"), {"a": 2, "b": 2}, weigh, missing={"a": 0.5, "b": 0.2})
    there = 1 - 0.5 * 0.2  # one that lacks both is not drawn
    assert lacking.accuracy(["a", "b"]) == pytest.approx((0.4 * 1 + 0.1 * 0.75 + 0.4 * 0.75) / there)
    drawn = lacking.draws(500, 0)
    assert all(sample.shown for sample in drawn)
    assert abs(np.mean(["a" in sample.shown for sample in drawn]) - 0.5 / there) < 0.07


@each_system
def test_beside_noise_nothing_is_gained_by_fusing_and_otherwise_much_is(system: System) -> None:
    best = system.world.best_alone()
    noise = system.at(noise=True)
    for score in ("accuracy", "auc") if len(noise.labels) == 2 else ("accuracy",):
        whole, alone = (getattr(noise, score)(names) for names in (noise.modalities, [best]))
        assert whole == pytest.approx(alone)
        assert alone == pytest.approx(getattr(system.world, score)([best]))
        assert getattr(system.world, score)(system.world.modalities) > alone + 0.13
        others = [name for name in noise.modalities if name != best]
        assert getattr(noise, score)(others) == pytest.approx(getattr(noise, score)([]))


def test_tables_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        World(labels=("a", "b"), modalities=("x",), joint=np.full((2, 2), 0.3))
    with pytest.raises(ValueError, match="sum to 1"):
        World(labels=("a", "b"), modalities=("x",), joint=np.array([[1.5, -0.5], [0, 0]]))
    with pytest.raises(ValueError, match="not of"):
        World(labels=("a", "b"), modalities=("x", "y"), joint=np.full((2, 2), 0.25))


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


@each_system
def test_files_are_the_same_again_and_others_by_another_seed(system: System, tmp_path: Path) -> None:
    drawn = system.build(tmp_path / "a", 6, 3)
    assert system.build(tmp_path / "b", 6, 3) == drawn
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    system.build(tmp_path / "more", 8, 3)
    media = {name: digest for name, digest in digests(tmp_path / "a").items() if name != TABLES[system.name]}
    assert media.items() <= digests(tmp_path / "more").items()
    system.build(tmp_path / "c", 6, 4)
    assert not set(media.values()) & set(digests(tmp_path / "c").values())


def test_comments_say_what_they_show(tmp_path: Path) -> None:
    drawn = SYSTEMS["sentiment"].build(tmp_path, 20, 0)
    with (tmp_path / "comments.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["polarity"] for row in rows] == [("negative", "positive")[sample.label] for sample in drawn]
    for row, sample in zip(rows, drawn, strict=True):
        assert any(word in row["comment"].lower() for word in (BAD, GOOD)[sample.shown["words"]])
        assert not any(word in row["comment"].lower() for word in (GOOD, BAD)[sample.shown["words"]])
        assert (tmp_path / row["picture"]).read_bytes()[:4] == b"\x89PNG"
        assert (tmp_path / row["voice"]).read_bytes()[:4] == b"RIFF"


@pytest.mark.parametrize("seed", range(8))
def test_voices_faces_and_films_show_what_they_are_told_to(seed: int) -> None:
    def pitch_spread(sarcastic: int) -> float:
        sound = voice(sarcastic, rng_for(seed, "voice"))
        frames = sound.samples[0][: sound.n_samples // 400 * 400].reshape(-1, 400)[1:-1] * np.hanning(400)
        peaks = np.abs(np.fft.rfft(frames, 4096)).argmax(axis=1)
        return float(np.log2(peaks / np.median(peaks)).std())

    assert pitch_spread(0) > 0.1 + pitch_spread(1)

    def mouth(smiles: int) -> float:
        """How much lower the middle of the mouth is than its ends."""
        black = (face(smiles, rng_for(seed, "face")).pixels == 0).all(axis=2)
        rows, columns = np.nonzero(black & (np.arange(32)[:, None] > 16))
        middle = abs(columns - columns.mean()) < 2
        return float(rows[middle].mean() - rows[abs(columns - columns.mean()) > 4].mean())

    assert mouth(1) > 2
    assert mouth(0) < -2

    def way(right: int) -> float:
        pixels = motion(right, rng_for(seed, "film")).pixels.astype(float)
        moved = abs(pixels - np.median(pixels, axis=0)).sum(axis=(1, 3))
        places = (moved * np.arange(64)).sum(axis=1) / moved.sum(axis=1)
        return float(places[-1] - places[0])

    assert way(1) > 5
    assert way(0) < -5

    def rise(rising: int) -> float:
        halves = np.array_split(glide(rising, rng_for(seed, "glide")).samples[0], 4)
        tops = [np.abs(np.fft.rfft(piece, 16000))[:1500].argmax() for piece in halves]
        return float(np.log2(tops[-1] / tops[0]))

    assert rise(1) > 0.8
    assert rise(0) < -0.8


@pytest.mark.parametrize("seed", range(8))
def test_findings_are_to_be_seen_and_nothing_else_tells_of_them(seed: int) -> None:
    assert scan(1, rng_for(seed, "scan")).pixels.max() >= 200 > scan(0, rng_for(seed, "scan")).pixels.max()
    ill, well = record(1, rng_for(seed, "record")), record(0, rng_for(seed, "record"))
    assert ill.pop("pressure") > 140 > well.pop("pressure")
    assert ill == well

    def rate(found: int) -> float:
        wave = ecg(found, rng_for(seed, "ecg")).samples[0]
        high = wave > 0.4
        return float((high[1:] & ~high[:-1]).sum() * 60 / SECONDS)

    assert ecg(1, rng_for(seed, "ecg")).rate_hz == RATE_HZ
    assert rate(1) >= 105 > 95 > rate(0)


def test_news_are_of_their_topics() -> None:
    for topic, words in enumerate(TOPICS.values()):
        assert any(word in headline(topic, rng_for(1, topic)).lower() for word in words)
        assert illustration(topic, rng_for(1, topic)).pixels.shape == (48, 48, 3)
    assert len(SHAPES) == len(TOPICS)


def test_the_command_writes_files_and_says_what_can_be_reached(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mmdata.testing.systems", "patients", str(tmp_path / "x"), "--n", "5", "--noise"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[-1] == "scan + record + ecg: accuracy at best 0.713"
    rows = [json.loads(line) for line in (tmp_path / "x/patients.jsonl").read_text().splitlines()]
    assert len(rows) == 5
    named = {row[part] for row in rows for part in ("scan", "record", "ecg") if part in row}
    assert named == set(digests(tmp_path / "x")) - {"patients.jsonl"}


def made(system: System, folder: Path, n: int) -> Any:
    """The pipeline file over so many samples, run into a store; and the report of the run."""
    system.build(folder / "data", n, 1)
    file = load(PIPELINES / f"{system.name}.yaml", source=str(folder / "data" / TABLES[system.name]))
    report = api.run(file, store=folder / "store", source=folder / "data" / TABLES[system.name])
    return file, report


@each_system
def test_each_pipeline_takes_the_files_it_is_for(system: System, tmp_path: Path) -> None:
    file, report = made(system, tmp_path, 10)
    assert report.counts.stored == 10
    store = api.open(tmp_path / "store")
    drawn = system.world.draws(10, 1)
    for name, column in file.train["inputs"].items():
        there = [array is not None for array in store.arrays(column)]
        assert there == [name in sample.shown for sample in sorted_by_key(drawn, store.keys())], name


def sorted_by_key(drawn: list[Drawn], keys: Any) -> list[Drawn]:
    return [drawn[int(key.rpartition("/")[2])] for key in keys]
