"""Pictures: decode, shrink to 256 px, pHash, sharpness, write, against what others take for it, in turns.

    benchmarks/peers.sh img2dataset juicer
    python benchmarks/image.py [--folder PHOTOS] [--workers 2] [--rounds 2] [--copies 5]

Contestants, each with the same files and as many workers:

- mmdata: benchmarks/image.yaml. Features are made of what the store returns, so each JPEG is also read back;
- pool: benchmarks/image_pool.py, a pool of processes with OpenCV that does just this work;
- img2dataset, by file:// URLs: it shrinks and writes, and computes neither hash nor sharpness, so it does less;
- juicer, Data-Juicer's `image_blur_mapper`: it has no step that resizes, so this decodes with Pillow, blurs by a box of
  3 px, and writes a JPEG (of Pillow's usual quality) of the picture's own size, without hash and sharpness.

The first three average by area (OpenCV's INTER_AREA) from a JPEG that is decoded in full, and write JPEG of quality 95.
Without `--folder`, photographs that come with scikit-image are cut into pictures of 300 to 1000 px. `steady` is the
rate at which `--copies` more copies are worked through, start-up taken out; so is `cpu`, the processor's time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from ingest import ONE_THREAD, Figures, copies, ratio
from measure import Measured, measure, spread

from mmdata.core.rng import rng_for
from mmdata.core.sample import Image
from mmdata.testing.corpora import default_cache
from mmdata.testing.media import jpeg_bytes

HERE = Path(__file__).parent
IMG2DATASET = HERE.parent / "out/peers/img2dataset/bin/img2dataset"
JUICER = HERE.parent / "out/peers/juicer/bin/dj-process"
PEERS = {"img2dataset": IMG2DATASET, "juicer": JUICER}
PHOTOGRAPHS = ("astronaut", "cat", "coffee", "hubble_deep_field", "retina", "rocket")


def photographs(folder: Path, n: int) -> Path:
    """Parts of real photographs as JPEG: 300 to 1000 px wide, quality 90."""
    from skimage import data

    whole = [np.asarray(getattr(data, name)()) for name in PHOTOGRAPHS]
    folder.mkdir(parents=True)
    for number in range(n):
        rng = rng_for(number, "part of a photograph")
        photo = whole[number % len(whole)]
        height, width = (int(min(side, rng.integers(300, 1001))) for side in photo.shape[:2])
        top, left = (
            int(rng.integers(0, had - wanted + 1)) for had, wanted in zip(photo.shape, (height, width), strict=False)
        )
        part = Image(np.ascontiguousarray(photo[top : top + height, left : left + width]))
        (folder / f"{number:05d}.jpg").write_bytes(jpeg_bytes(part, quality=90))
    return folder


def run(contestant: str, source: Path, workers: int) -> tuple[Measured, int]:
    """One run into an empty place, and how many pictures it stored."""
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as folder:
        out = Path(folder) / "out"
        if contestant == "mmdata":
            program: list[str | Path] = [Path(sys.executable).with_name("mmdata"), "run", HERE / "image.yaml", "--json"]
            words = [*program, "--source", source, "--store", out, "--executor", "pool", "--workers", str(workers)]
        elif contestant == "pool":
            words = [sys.executable, HERE / "image_pool.py", source, out, "--workers", str(workers)]
        elif contestant == "juicer":
            words = [JUICER, "--config", recipe(Path(folder), source, workers)]
        else:
            listed = Path(folder) / "urls.txt"
            listed.write_text("\n".join(path.as_uri() for path in sorted(source.rglob("*.jpg"))))
            words = [IMG2DATASET, "--url_list", listed, "--output_folder", out, "--processes_count", str(workers)]
            words += ["--thread_count", "8", "--image_size", "256", "--resize_mode", "keep_ratio_largest"]
            words += ["--resize_only_if_bigger", "True", "--output_format", "webdataset", "--enable_wandb", "False"]
            words += ["--number_sample_per_shard", "250", "--compute_hash", "None", "--extract_exif", "False"]
        env = {} if contestant == "mmdata" else {**ONE_THREAD, "NO_ALBUMENTATIONS_UPDATE": "1"}
        done = measure(words, env=env)
        if contestant == "juicer":
            return done, sum(1 for _ in (Path(folder) / "blurred").rglob("*.jpg"))
        if contestant == "img2dataset":
            stats = [json.loads(path.read_text()) for path in out.glob("*_stats.json")]
            span_s = max(each["end_time"] for each in stats) - min(each["start_time"] for each in stats)
            n_stored = sum(each["successes"] for each in stats)
            print(f"img2dataset by its own clock, start-up left out: {n_stored / span_s:.0f} pictures/s of {n_stored}")
            return done, n_stored
    return done, int(json.loads(done.output[done.output.index("{") :])["stored"])


def recipe(folder: Path, source: Path, workers: int) -> Path:
    """What Data-Juicer is to do, as a file; its samples are lines that name a picture each."""
    lines = [{"text": "<__dj__image>", "images": [str(path)]} for path in sorted(source.rglob("*.jpg"))]
    (folder / "samples.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    blur = {"p": 1.0, "blur_type": "box", "radius": 1, "save_dir": str(folder / "blurred")}
    settings = {
        "dataset_path": str(folder / "samples.jsonl"),
        "export_path": str(folder / "out/left.jsonl"),
        "np": workers,
        "open_tracer": False,
        "process": [{"image_blur_mapper": blur}],
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(settings))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--pictures", type=int, default=500, help="how many are cut where no folder is given")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--copies", type=int, default=5)
    parser.add_argument("--contestants", nargs="+", default=["mmdata", "pool", *PEERS])
    args = parser.parse_args()
    contestants = [each for each in args.contestants if each not in PEERS or PEERS[each].exists()]
    figures = {contestant: Figures() for contestant in contestants}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=default_cache()) as folder:
        source = args.folder or photographs(Path(folder) / "photographs", args.pictures)
        many = copies(source, Path(folder) / "copies", args.copies + 1)
        for turn in range(args.rounds):
            start = turn % len(contestants)
            for contestant in contestants[start:] + contestants[:start]:
                few = run(contestant, source, args.workers)
                figures[contestant].add(*few, *run(contestant, many, args.workers))
    ours = figures["mmdata"]
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    print(
        f"{ours.n_stored} pictures, {args.workers} workers, {args.rounds} rounds in turns, load {load}; median (range)"
    )
    for contestant, each in figures.items():
        print(
            f"{contestant:12} whole {spread(each.whole)}/s, steady {each.steady[0]:.0f}/s, "
            f"cpu {spread(each.cpu_ms)} ms a picture, peak {max(each.peak_mb):.0f} MB"
        )
    for contestant in contestants:
        other = figures[contestant]
        if contestant == "mmdata":
            continue
        print(
            f"mmdata to {contestant}: whole {ratio(ours.whole, other.whole)}, "
            f"steady {ratio(ours.steady, other.steady)}, cpu {ratio(other.cpu_ms, ours.cpu_ms)}"
        )
        if other.n_stored != ours.n_stored:
            print(f"NOT THE SAME WORK: {contestant} stored {other.n_stored}, mmdata {ours.n_stored}")


if __name__ == "__main__":
    main()
