"""Frames, keyframes, scenes and flow of a real film: mmdata against one decode and one flow pass, and what users pick.

    benchmarks/peers.sh video juicer-video
    python benchmarks/video.py [--seconds 60] [--rounds 3] [--only floor mmdata] [--long]

The film is Big Buck Bunny (H.264, 1280 x 720 at 24 a second; `films.py`). `floor` and `cv2` do one decode and one flow
pass, by PyAV and by cv2.VideoCapture; `loop` does all four things in one loop, `scenes` PySceneDetect alone, `juicer`
Data-Juicer's motion filter alone; see `video_peers.py`. All use one process and one thread. Each does a short stretch
and a long one, in turns; the difference is the steady cost, what the short one took beside it is start-up. Processor
time decides, as it hangs less on who else uses the machine.

`--long` makes two hours of film by copying its packets twelve times over, and reports the peak memory of a run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from films import bunny, stretch
from measure import Measured, measure, spread

HERE = Path(__file__).parent
PEERS = HERE.parent / "out" / "peers"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
SHORT_S = 10
ORDER = ("floor", "mmdata", "cv2", "loop", "scenes", "juicer")


def timed(contestant: str, folder: Path) -> Measured:
    """One run over a folder with one film.

    Raises:
        RuntimeError: it failed, or did not make every feature.
    """
    if contestant != "mmdata":
        python = PEERS / ("juicer-video" if contestant == "juicer" else "video") / "bin" / "python"
        return measure([python, HERE / "video_peers.py", contestant, folder / "film.mp4"], env=ONE_THREAD)
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as out:
        program: list[str | Path] = [Path(sys.executable).with_name("mmdata"), "run", HERE / "video.yaml", "--json"]
        words = [*program, "--source", folder, "--store", Path(out) / "store", "--executor", "inline"]
        measured = measure(words, env=ONE_THREAD)
    counts = json.loads(measured.output)
    if counts["missing"] or counts["decoded"]["passes"] != 1 or len(counts["computed"]) != 4:
        raise RuntimeError(f"not one pass and four features: {counts}")
    return measured


def steady(seconds: int, rounds: int, wanted: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as place:
        folders = {}
        for length_s in (SHORT_S, SHORT_S + seconds):
            folders[length_s] = Path(place) / str(length_s)
            folders[length_s].mkdir()
            stretch(bunny(), folders[length_s] / "film.mp4", length_s)
        there = [name for name in ORDER if name in wanted]
        cpu: dict[str, list[float]] = {name: [] for name in there}
        start: dict[str, list[float]] = {name: [] for name in there}
        peak = dict.fromkeys(there, 0)
        for _ in range(rounds):
            for name in there:
                short, long = (timed(name, folder) for folder in folders.values())
                cpu[name].append((long.cpu_seconds - short.cpu_seconds) / seconds)
                start[name].append(short.cpu_seconds - SHORT_S * cpu[name][-1])
                peak[name] = max(peak[name], long.peak_bytes)
    titles = ("CPU ms a second of film", "to floor", "start-up, CPU s")
    sys.stdout.write(f"{'':8} {titles[0]:>24} {titles[1]:>20} {titles[2]:>20}  peak MB\n")
    for name in there:
        ratios = [own / of for own, of in zip(cpu[name], cpu["floor"], strict=True)]
        cost = spread([1000 * each for each in cpu[name]])
        words = f"{name:8} {cost:>24} {spread(ratios):>20} {spread(start[name]):>20}"
        sys.stdout.write(f"{words} {peak[name] / 1e6:8.0f}\n")
    ratio = statistics.median(own / of for own, of in zip(cpu["mmdata"], cpu["floor"], strict=True))
    sys.stdout.write(f"all four cost {ratio:.2f} times one decode and one flow pass; below 1.3 is wanted\n")


def long(hours: float) -> None:
    """Peak memory of a run over hours of film."""
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as place:
        folder = Path(place) / "films"
        folder.mkdir()
        film = stretch(bunny(), folder / "film.mp4", 1e9, loops=max(1, round(hours * 3600 / 596)))
        measured = timed("mmdata", folder)
        size = film.stat().st_size
    sys.stdout.write(
        f"{hours:g} hours of film, {size / 1e6:.0f} MB: {measured.peak_bytes / 1e6:.0f} MB at its peak, "
        f"{measured.cpu_seconds:.0f} s of processor time; below 1,500 MB is wanted\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=ORDER, default=ORDER, help="floor and mmdata among them")
    parser.add_argument("--long", action="store_true", help="two hours of film, for the peak of memory")
    parser.add_argument("--hours", type=float, default=2.0)
    given = parser.parse_args()
    if given.long:
        long(given.hours)
    else:
        steady(given.seconds, given.rounds, given.only)


if __name__ == "__main__":
    main()
