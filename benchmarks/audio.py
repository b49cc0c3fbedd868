"""Mel cepstra, log-mels, loudness and their store of 2,000 real speech files: mmdata against what users pick instead.

    benchmarks/peers.sh audio
    python benchmarks/audio.py [--workers 2] [--rounds 3] [--files 2000] [--kind prompts]

The peers are those of `audio_peers.py`: librosa in a pool of processes, kaldi-native-fbank in one, lhotse. Prompts are
those of a telephone exchange (WAV, 8 kHz, 558 files, several times over), captions are read by volunteers (Vorbis,
mostly 44.1 kHz, where decoding is half of the work for everybody); both is as many of each. Each contestant
does a tenth of the files, and all of them, in turns; the difference is the steady rate, what the tenth took beside it
is start-up. Processor time stands beside the clock's, as it hangs less on who else uses the machine. One run before has
compiled mmdata's modules, as pip has those of the peers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

from measure import Measured, measure, spread

from mmdata.testing.corpora import default_cache, media

HERE = Path(__file__).parent
PEERS = HERE.parent / "out" / "peers" / "audio" / "bin" / "python"
CONTESTANTS = ("mmdata", "librosa", "kaldi", "lhotse")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def speech(kind: str, n_files: int, folder: Path) -> Path:
    """Links to so many files of a kind, below a folder."""
    prompts = sorted(media("asterisk-core-sounds-en-wav").rglob("*.wav"))
    captions = sorted(media("tuxpaint-stamps-default").rglob("*_desc_*.ogg"))
    n_prompts = {"prompts": n_files, "captions": 0, "both": n_files // 2}[kind]
    n_captions = n_files - n_prompts
    chosen = list(islice(cycle(prompts), n_prompts))
    chosen += list(islice(cycle(captions[:: max(1, len(captions) // max(1, n_captions))]), n_captions))
    folder.mkdir()
    for number, path in enumerate(chosen):
        os.link(path, folder / f"{number:05}{path.suffix}")
    return folder


def timed(contestant: str, source: Path, workers: int, bytecode: Path) -> Measured:
    """One run into an empty place. Compiled modules of mmdata are kept in `bytecode`.

    Raises:
        RuntimeError: it did not store all files.
    """
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as folder:
        out = Path(folder) / "out"
        if contestant == "mmdata":
            program: list[str | Path] = [Path(sys.executable).with_name("mmdata"), "run", HERE / "audio.yaml", "--json"]
            words = [*program, "--source", source, "--store", out, "--executor", "pool", "--workers", str(workers)]
        else:
            words = [PEERS, HERE / "audio_peers.py", contestant, source, out, "--workers", str(workers)]
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(bytecode)}
        done = measure(words, env=compiled if contestant == "mmdata" else ONE_THREAD)
    stored, there = json.loads(done.output[done.output.index("{") :])["stored"], len(list(source.iterdir()))
    if stored != there:
        raise RuntimeError(f"{contestant} stored {stored} of {there}")
    return done


@dataclass
class Figures:
    """What the rounds of one contestant gave: few and many files."""

    n_more: int
    n_few: int
    few: list[Measured] = field(default_factory=list)
    many: list[Measured] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Files a second, once started."""
        few, many = (statistics.median(each.seconds for each in runs) for runs in (self.few, self.many))
        return self.n_more / (many - few)

    @property
    def cpu_ms(self) -> float:
        """Processor time of a file more."""
        few, many = (statistics.median(each.cpu_seconds for each in runs) for runs in (self.few, self.many))
        return (many - few) / self.n_more * 1e3

    @property
    def start_up_s(self) -> tuple[float, float]:
        """What a command takes beside its files: of the clock, and of the processor."""
        few_s = statistics.median(each.seconds for each in self.few)
        few_cpu_s = statistics.median(each.cpu_seconds for each in self.few)
        return few_s - self.n_few / self.rate, few_cpu_s - self.n_few * self.cpu_ms / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--kind", choices=("prompts", "captions", "both"), default="prompts")
    parser.add_argument("--contestant", choices=CONTESTANTS, action="append")
    args = parser.parse_args()
    if not PEERS.exists():
        raise SystemExit("the peers are not there: benchmarks/peers.sh audio")
    contestants = args.contestant or list(CONTESTANTS)
    n_few = args.files // 10
    figures = {contestant: Figures(args.files - n_few, n_few) for contestant in contestants}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=default_cache()) as folder:  # on one disk with the corpora
        few = speech(args.kind, n_few, Path(folder) / "few")
        many = speech(args.kind, args.files, Path(folder) / "many")
        bytecode = Path(folder) / "bytecode"
        if "mmdata" in contestants:
            timed("mmdata", few, args.workers, bytecode)
        for turn in range(args.rounds):
            shift = turn % len(contestants)
            for contestant in contestants[shift:] + contestants[:shift]:
                figures[contestant].few.append(timed(contestant, few, args.workers, bytecode))
                figures[contestant].many.append(timed(contestant, many, args.workers, bytecode))
    how = f"{args.kind}, {args.workers} workers, {args.rounds} rounds in turns, load {os.getloadavg()[0]:.1f}"
    print(f"{args.files} files of {how}")
    head = f"{'whole, s':>22} {'files/s steady':>15} {'cpu ms a file':>14} {'start-up s (cpu s)':>19} {'peak MB':>8}"
    print(f"{'':9} {head}")
    for contestant, each in figures.items():
        clock_s, cpu_s = each.start_up_s
        print(
            f"{contestant:9} {spread([run.seconds for run in each.many]):>22} {each.rate:15.1f} {each.cpu_ms:14.2f} "
            f"{clock_s:12.2f} ({cpu_s:4.2f}) {max(run.peak_bytes for run in each.many) / 1e6:8.0f}"
        )
    ours = figures.get("mmdata")
    for contestant, each in figures.items():
        if ours is not None and each is not ours:
            rate, cpu = ours.rate / each.rate, each.cpu_ms / ours.cpu_ms
            print(f"mmdata to {contestant}: {rate:.1f} times the files a second, {cpu:.1f} by processor time")


if __name__ == "__main__":
    main()
