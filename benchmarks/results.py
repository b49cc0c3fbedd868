"""The classic multimodal systems, each by its pipeline file: data, store, training; what came of it in docs/results.md.

    .venv/bin/python benchmarks/results.py                  # all of them; `make results` does this
    .venv/bin/python benchmarks/results.py sentiment news   # these alone; of others, what was found before is kept
    .venv/bin/python benchmarks/results.py news_noise       # one table of a system: where one modality tells nothing
    .venv/bin/python benchmarks/results.py --page           # only the page

Each choice of inputs and each way of fusing is trained from five seeds. Figures are kept in benchmarks/results.json,
which the page is made of. Data, stores and what each seed gave go to out/results: begun again, it goes on. Delete that
folder to measure anew.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from results_page import page

from mmdata import api
from mmdata.config.load import PipelineFile, load
from mmdata.testing.corpora import media
from mmdata.testing.systems import SYSTEMS, Drawn, World
from mmdata.train.config import TrainConfig
from mmdata.train.folds import FUSED, Compare
from mmdata.train.report import FoldScore, FoldsReport

ROOT = Path(__file__).parent.parent
FIGURES, PAGE = ROOT / "benchmarks/results.json", ROOT / "docs/results.md"
SEEDS, DATA_SEED = 5, 1
STAMPS = "tuxpaint-stamps-default"
FUSIONS = (
    "early",
    "weighted_sum",
    "product",
    "gated",
    "low_rank",
    "attention_pool",
    "additive",
    "cross_attention",
    "late_average",
    "late_weighted",
)
BESIDE_NOISE = ("gated", "late_average")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One table of the page.

    Args:
        name: of the pipeline file. table: within its source; "" is the folder.
        n: samples to generate; 0 is real data, the stamps.
        score: by which it is told.
    """

    name: str
    table: str = ""
    n: int = 0
    score: str = "accuracy"


TASKS = (
    Task(name="sentiment", table="comments.csv", n=1400),
    Task(name="news", table="shown.jsonl", n=3000, score="roc_auc"),
    Task(name="video_classes", n=700),
    Task(name="picture_search", score="recall@10"),
    Task(name="spoken_words"),
    Task(name="patients", table="patients.jsonl", n=1600),
)


def measure(task: Task, out: Path, *, noise: bool = False) -> dict[str, Any]:
    """Build, run and train one system; its figures as JSON can say them."""
    where = out / titled(task, noise)
    world, drawn = None, []
    if task.n:
        system = SYSTEMS[task.name]
        world = system.at(noise=noise)
        drawn = world.draws(task.n, DATA_SEED)
        if not (where / "data").exists():
            system.build(where / "making", task.n, DATA_SEED, noise=noise)
            (where / "making").rename(where / "data")
    source = where / "data" / task.table if task.n else media(STAMPS)
    file = load(ROOT / "pipelines" / f"{task.name}.yaml", source=str(source))
    ran = api.run(file, store=where / "store", source=source, executor="inline")
    seeds = trained(file, where, comparison(file, noise=noise), task.score)
    found = {
        "task": task.name,
        "noise": noise,
        "score": task.score,
        "inputs": list(file.train["inputs"]),
        "samples": ran.counts.stored,
        "splits": api.make_selection(file, where / "store")["splits"],
        "scores": {name: [one["scores"][name][task.score] for one in seeds] for name in seeds[0]["scores"]},
        "own": {
            name: [one["scores"][one["own"]][name] for one in seeds] for name in seeds[0]["scores"][seeds[0]["own"]]
        },
        "training_s": round(sum(one["seconds"] for one in seeds)),
        "load": round(os.getloadavg()[1], 1),
        "day": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("mmdata", "torch", "numpy")},
    }
    if world is not None:
        found |= known(world, drawn, file, str(where / "store"), task)
    return found


def titled(task: Task, noise: bool) -> str:
    """The name of a table."""
    return f"{task.name}_noise" if noise else task.name


def trained(file: PipelineFile, where: Path, compare: Compare, score: str) -> list[dict[str, Any]]:
    """What each seed gave: scores by model, the file's own way of fusing by its name. Seeds that are there are kept."""
    own = str(file.train.get("fusion", TrainConfig.fusion))
    for seed in range(SEEDS):
        kept = where / f"seed{seed}.json"
        if kept.exists():
            continue
        seeded = replace(file, train={**file.train, "seed": seed})
        report = api.train(seeded, str(where / "store"), seeds=1, compare=compare, watch=told(seed, score))
        if not isinstance(report, FoldsReport):
            raise TypeError("a comparison gives a report of several trainings")
        found = {own if one.model == FUSED else one.model: rounded(one.metrics.scores) for one in report.scores}
        whole = {"own": own, "scores": found, "seconds": report.seconds}
        kept.with_suffix(".part").write_text(json.dumps(whole), encoding="utf-8")
        kept.with_suffix(".part").rename(kept)
    return [json.loads((where / f"seed{seed}.json").read_text("utf-8")) for seed in range(SEEDS)]


def comparison(file: PipelineFile, *, noise: bool) -> Compare:
    """Every fusion and every choice of inputs; beside noise few fusions, and single inputs."""
    if file.train.get("objective") == "contrastive":
        return Compare(single=False)
    return Compare(subsets=not noise, fusions=BESIDE_NOISE if noise else FUSIONS)


def told(seed: int, score: str) -> Any:
    """What is printed as each training ends."""

    def tell(found: FoldScore) -> None:
        print(f"  seed {seed} {found.model}: {score} {found.metrics[score]:.3f}", file=sys.stderr, flush=True)

    return tell


def rounded(scores: Mapping[str, float]) -> dict[str, float]:
    """To what a page can show, and two digits more."""
    return {name: round(score, 5) for name, score in scores.items()}


def known(world: World, drawn: Sequence[Drawn], file: PipelineFile, store: str, task: Task) -> dict[str, Any]:
    """What theory says of each choice of inputs, in the whole world and on the test split's very samples."""
    rows = api.open(store).selection(str(file.select["name"])).to_pylist()
    tested = [drawn[place_of(row["key"])] for row in rows if row["split"] == "test"]
    theory, here = {}, {}
    for names in subsets(world.modalities):
        joined = "+".join(names)
        theory[joined] = round(world.auc(names) if task.score == "roc_auc" else world.accuracy(names), 4)
        here[joined] = round(judged(world, tested, names, task.score), 4)
    return {"theory": theory, "here": here, "tested": len(tested)}


def place_of(key: str) -> int:
    """The number of a generated sample, which its key ends in."""
    return int(key.rpartition("/")[2])


def subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All choices of at least one, in order."""
    chosen = [tuple(name for at, name in enumerate(names) if bits >> at & 1) for bits in range(1, 1 << len(names))]
    return sorted(chosen, key=len)


def judged(world: World, tested: Sequence[Drawn], names: Sequence[str], score: str) -> float:
    """How well Bayes' decision does on these samples, seeing these modalities."""
    seen = [{name: sample.shown[name] for name in names if name in sample.shown} for sample in tested]
    chances = np.array([world.chances(shown) for shown in seen])
    labels = np.array([sample.label for sample in tested])
    chances /= chances.sum(axis=1, keepdims=True)
    if score == "roc_auc":
        apart = chances[labels == 1, 1][:, None] - chances[labels == 0, 1][None]
        return float(np.where(abs(apart) < 1e-12, 0.5, apart > 0).mean())
    likeliest = np.isclose(chances, chances.max(axis=1, keepdims=True))  # a tie is as good as its chance
    return float((likeliest[np.arange(len(labels)), labels] / likeliest.sum(axis=1)).mean())


def verdict(found: Mapping[str, Any]) -> dict[str, float]:
    """How far the best fusion by theory goes beyond the best single input: by theory, and as seen, with its error.

    The error is for 95 of 100: the test split's chance, as if both scores were of independent samples, and the spread
    of the seeds.
    """
    single = {name: found["theory"][name] for name in found["theory"] if "+" not in name}
    best = max(single, key=lambda name: single[name])
    whole = max(found["theory"], key=lambda name: name.count("+"))
    fused = found["scores"]["concat"]
    alone = found["scores"][best]
    area = found["score"] == "roc_auc"
    variance = sum(
        (of_area if area else of_share)(mean(one), found["tested"]) + stdev(one) ** 2 / len(one)
        for one in (fused, alone)
    )
    return {
        "theory": found["theory"][whole] - single[best],
        "here": found["here"][whole] - found["here"][best],
        "seen": mean(fused) - mean(alone),
        "error": 1.96 * math.sqrt(variance),
    }


def of_share(share: float, n: int) -> float:
    """The variance of a share of so many samples."""
    return share * (1 - share) / n


def of_area(area: float, n: int) -> float:
    """The variance of an area under the ROC curve, half of the samples positive (Hanley and McNeil, 1982)."""
    half = n / 2
    above, below = area / (2 - area), 2 * area**2 / (1 + area)
    return (area * (1 - area) + (half - 1) * (above + below - 2 * area**2)) / half**2


def main() -> None:
    """Measure what is asked for, and write the page."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tables = [(task, noise) for task in TASKS for noise in (False, True)[: 1 + bool(task.n)]]
    asked.add_argument("names", nargs="*", metavar="SYSTEM", help=", ".join(titled(*table) for table in tables))
    asked.add_argument("--out", type=Path, default=ROOT / "out/results")
    asked.add_argument("--page", action="store_true", help="measure nothing")
    asked.add_argument("--figures", type=Path, default=FIGURES)
    given = asked.parse_args()
    for task, noise in [] if given.page else tables:
        if given.names and not {task.name, titled(task, noise)} & set(given.names):
            continue
        print(titled(task, noise), file=sys.stderr, flush=True)
        found = measure(task, given.out, noise=noise)
        if task.n:
            found["margin"] = verdict(found)
        kept = figures(given.figures) | {titled(task, noise): found}
        given.figures.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(figures(given.figures)), encoding="utf-8")


def figures(path: Path) -> dict[str, Any]:
    """What was found until now, by table."""
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


if __name__ == "__main__":
    main()
