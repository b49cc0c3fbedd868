"""Rules of quality on real text, against datatrove and Data-Juicer; MinHash signatures against rensa. In turns.

    benchmarks/peers.sh datatrove juicer rensa
    .venv/bin/python benchmarks/text.py --rounds 3
    .venv/bin/python benchmarks/text.py --rounds 1 --only repair quality

Every side gets the same documents as JSON lines and writes what it keeps as JSON lines, in two processes. The whole
command is timed, start-up and reading included; memory is that of all its processes. `CHAINS` says who runs what: two
chains, `rules` and `shared`, then each rule set that a peer has too by itself. A peer without a rule is left out there.
`minhash` is 128 permutations of runs of five words, from text to signature, one process, by the processor's time.

mmdata's side runs the steps over the lines, as the peers do; a store is not made.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import textwrap
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import Measured, measure

from mmdata.testing.writings import writings

PEERS = Path("out/peers")


@dataclass(frozen=True)
class Chain:
    """The same rules as each side names them, in order, with settings where its defaults are others.

    Args:
        ours: steps of `mmdata.clean.text`. trove: classes of datatrove. juicer: operators of Data-Juicer.
    """

    ours: dict[str, dict[str, Any]]
    trove: dict[str, dict[str, Any]] | None = None
    juicer: str = ""


REPAIR = """
    - fix_unicode_mapper:
    - whitespace_normalization_mapper:
"""
QUALITY = """
    - words_num_filter: {lang: en, tokenization: false, min_num: 50, max_num: 100000}
    - average_line_length_filter: {min_len: 0}
    - special_characters_filter: {min_ratio: 0.0, max_ratio: 0.4}
    - alphanumeric_filter: {tokenization: false, min_ratio: 0.6}
"""
RUNS = """
    - word_repetition_filter: {lang: en, tokenization: false, rep_len: 5, min_ratio: 0.0, max_ratio: 0.15}
    - word_repetition_filter: {lang: en, tokenization: false, rep_len: 10, min_ratio: 0.0, max_ratio: 0.10}
"""
GRAMS = {2: 0.2, 3: 0.18, 4: 0.16, 5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.1}
REPETITION = "\n" + "".join(
    f"    - word_repetition_filter: {{lang: en, tokenization: false, rep_len: {n}, max_ratio: {most}}}\n"
    for n, most in GRAMS.items()
)
CHAINS = {
    "rules": Chain(
        {"NormalizeText": {}, "KeepC4Lines": {}, "KeepGopherQuality": {}, "KeepGopherRepetition": {}},
        {"FTFYFormatter": {}, "C4QualityFilter": {}, "GopherQualityFilter": {}, "GopherRepetitionFilter": {}},
    ),
    "shared": Chain(
        {"NormalizeText": {}, "KeepGopherQuality": {}, "KeepGopherRepetition": {}},
        {"FTFYFormatter": {}, "GopherQualityFilter": {}, "GopherRepetitionFilter": {}},
        REPAIR + QUALITY + RUNS,
    ),
    "repair": Chain({"NormalizeText": {}}, {"FTFYFormatter": {}}, REPAIR),
    "c4": Chain({"KeepC4Lines": {}}, {"C4QualityFilter": {}}),
    "quality": Chain({"KeepGopherQuality": {}}, {"GopherQualityFilter": {}}, QUALITY),
    "repetition": Chain({"KeepGopherRepetition": {}}, {"GopherRepetitionFilter": {}}, REPETITION),
    "runs": Chain({"KeepGopherRepetition": {"top_grams": [], "repeated_grams": [[5, 0.15], [10, 0.1]]}}, juicer=RUNS),
    "fineweb": Chain({"KeepFineWebQuality": {}}, {"FineWebQualityFilter": {}}),
    "private": Chain(
        {"RedactPrivate": {"kinds": ["email", "ip"]}},
        {"PIIFormatter": {}},
        """
    - clean_email_mapper:
    - clean_ip_mapper:
""",
    ),
    "words": Chain(
        {"KeepWordCount": {"min_words": 50, "max_words": 100_000}},
        juicer="""
    - words_num_filter: {lang: en, tokenization: false, min_num: 50, max_num: 100000}
""",
    ),
    "length": Chain(
        {"KeepLength": {"min_chars": 200, "max_chars": 1_000_000}},
        juicer="""
    - text_length_filter: {min_len: 200, max_len: 1000000}
""",
    ),
}

OURS = """
    import json, sys
    from multiprocessing import get_context
    from mmdata.core.sample import Text
    from mmdata.core.step import Drop, Map
    import mmdata.clean.text as steps

    def work(job):
        source, out, names = job
        chain = [getattr(steps, name)(**settings) for name, settings in json.loads(names).items()]
        kept = 0
        with open(source, encoding="utf-8") as lines, open(out, "w", encoding="utf-8") as left:
            for line in lines:
                record = json.loads(line)
                value = Text(record["text"])
                for step in chain:
                    said = step.map(value) if isinstance(step, Map) else step.keep(value)
                    if isinstance(said, Drop):
                        break
                    value = said if isinstance(step, Map) else value
                else:
                    kept += 1
                    left.write(json.dumps(record | {"text": value.text}, ensure_ascii=False) + "\\n")
        return kept

    if __name__ == "__main__":
        folder, names = sys.argv[1:]
        jobs = [(f"{folder}/in/{n}.jsonl", f"{folder}/left-{n}.jsonl", names) for n in range(2)]
        with get_context("spawn").Pool(2) as pool:
            print(sum(pool.map(work, jobs)))
"""
DATATROVE = """
    import json, sys
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.filters import (
        C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
    )
    from datatrove.pipeline.formatters import FTFYFormatter, PIIFormatter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    if __name__ == "__main__":
        folder, side, names = sys.argv[1:]
        chain = [globals()[name](**settings) for name, settings in json.loads(names).items()]
        LocalPipelineExecutor(
            pipeline=[JsonlReader(f"{folder}/in"), *chain, JsonlWriter(f"{folder}/left-dt-{side}", compression=None)],
            tasks=2, workers=2, logging_dir=f"{folder}/logs-{side}", skip_completed=False,
        ).run()
"""
MINHASH = """
    import json, sys, time
    lines = [line for n in range(2) for line in open(f"{sys.argv[1]}/in/{n}.jsonl", encoding="utf-8")]
    texts = [json.loads(line)["text"] for line in lines]
    if sys.argv[2] == "rensa":
        from rensa import RMinHash

        def sign(text):
            words = text.casefold().split()
            signature = RMinHash(num_perm=128, seed=1)
            signature.update([" ".join(words[at : at + 5]) for at in range(max(1, len(words) - 4))])
            return signature.digest()
    else:
        from mmdata.core.sample import Text
        from mmdata.features.text import MinHash

        sign, texts = MinHash().extract, [Text(text) for text in texts]
    start = time.process_time()
    for text in texts:
        sign(text)
    print(len(texts) / (time.process_time() - start))
"""


def main() -> None:
    """Time every side in turns, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--only", nargs="*", default=[*CHAINS, "minhash"], help="chains, or minhash; all unless said")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        n_texts, n_chars = write(folder / "in", options.megabytes)
        print(f"{n_texts} texts, {n_chars / 1e6:.1f} million characters")
        commands = {side: command for side, command in sides(folder).items() if side.split()[0] in options.only}
        taken: dict[str, list[Measured]] = defaultdict(list)
        for _ in range(options.rounds):
            for side, command in commands.items():
                taken[side].append(measure(command, env={"OMP_NUM_THREADS": "1"}))
        report(taken, n_texts)


def write(folder: Path, megabytes: float) -> tuple[int, int]:
    """Real texts, in two files of about one size; and how many texts and characters they are."""
    folder.mkdir()
    n_texts = n_chars = 0
    with (folder / "0.jsonl").open("w") as first, (folder / "1.jsonl").open("w") as second:
        for key, text in writings().items():
            if n_chars + len(text) <= megabytes * 1e6:
                (first, second)[n_texts % 2].write(json.dumps({"id": key, "text": text}, ensure_ascii=False) + "\n")
                n_texts, n_chars = n_texts + 1, n_chars + len(text)
    return n_texts, n_chars


def sides(folder: Path) -> dict[str, list[str | Path]]:
    """What to run, by its name; peers that are not installed are left out."""
    scripts = {"ours": OURS, "datatrove": DATATROVE, "minhash": MINHASH}
    for name, code in scripts.items():
        (folder / f"side_{name}.py").write_text(textwrap.dedent(code))
    found: dict[str, list[str | Path]] = {}
    trove, juicer = PEERS / "datatrove/bin/python", PEERS / "juicer/bin/dj-process"
    for name, chain in CHAINS.items():
        found[f"{name} mmdata"] = [sys.executable, folder / "side_ours.py", folder, json.dumps(chain.ours)]
        if chain.trove and trove.exists():
            script = folder / "side_datatrove.py"
            found[f"{name} datatrove"] = [trove, script, folder, name, json.dumps(chain.trove)]
        if chain.juicer and juicer.exists():
            recipe = folder / f"recipe-{name}.yaml"
            paths = f"dataset_path: {folder}/in\nexport_path: {folder}/left-dj-{name}.jsonl\n"
            recipe.write_text(f"{paths}np: 2\nopen_tracer: false\nprocess:\n{chain.juicer}")
            found[f"{name} juicer"] = [juicer, "--config", recipe]
    found["minhash mmdata"] = [sys.executable, folder / "side_minhash.py", folder, "mmdata"]
    if (rensa := PEERS / "rensa/bin/python").exists():
        found["minhash rensa"] = [rensa, folder / "side_minhash.py", folder, "rensa"]
    return found


def report(taken: dict[str, list[Measured]], n_texts: int) -> None:
    """A line a side; `times` is how often the fastest peer's rate mmdata's is, then the same of processors' time."""
    for side, measured in taken.items():
        if side.startswith("minhash"):
            rates = [float(one.output.split()[-1]) for one in measured]
        else:
            rates = [n_texts / one.seconds for one in measured]
        cpu = statistics.median(one.cpu_seconds for one in measured)
        peak = max(one.peak_bytes for one in measured) / 1e6
        rate = f"{statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f}) texts/s"
        print(f"{side:21} {rate:36} cpu {cpu:6.1f} s   peak {peak:5.0f} MB{times(side, taken)}")


def times(side: str, taken: dict[str, list[Measured]]) -> str:
    """How mmdata stands beside the fastest peer of a chain; nothing for a peer's own line."""
    chain, who = side.split()
    peers = [measured for name, measured in taken.items() if name.startswith(f"{chain} ") and name != side]
    if who != "mmdata" or chain == "minhash" or not peers:
        return ""
    wall = min(statistics.median(one.seconds for one in peer) for peer in peers)
    cpu = min(statistics.median(one.cpu_seconds for one in peer) for peer in peers)
    ours = taken[side]
    return (
        f"   {wall / statistics.median(one.seconds for one in ours):.1f} times"
        f", {cpu / statistics.median(one.cpu_seconds for one in ours):.1f}"
    )


if __name__ == "__main__":
    main()
