"""Rules of quality on real text, against datatrove and Data-Juicer; MinHash signatures against rensa. In turns.

    benchmarks/peers.sh datatrove juicer rensa
    .venv/bin/python benchmarks/text.py --rounds 3

Every side gets the same documents as JSON lines and writes what it keeps as JSON lines, in two processes. The whole
command is timed, start-up and reading included; memory is that of all its processes. Chains:

    rules     normalise, C4, Gopher quality, Gopher repetition (datatrove, mmdata)
    shared    the rules that Data-Juicer has too: words, length of words, symbols, repetition of n-grams
    minhash   128 permutations of runs of five words, from text to signature, one process, by the processor's time

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
from pathlib import Path

from measure import Measured, measure

from mmdata.testing.writings import writings

PEERS = Path("out/peers")
RULES = "NormalizeText KeepC4Lines KeepGopherQuality KeepGopherRepetition"
SHARED = "NormalizeText KeepGopherQuality KeepGopherRepetition"

OURS = """
    import json, sys
    from multiprocessing import get_context
    from mmdata.core.sample import Text
    from mmdata.core.step import Drop, Map
    import mmdata.clean.text as steps

    def work(job):
        source, out, names = job
        chain = [getattr(steps, name)() for name in names.split()]
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
    import sys
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.filters import C4QualityFilter, GopherQualityFilter, GopherRepetitionFilter
    from datatrove.pipeline.formatters import FTFYFormatter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    if __name__ == "__main__":
        folder, names = sys.argv[1:]
        known = {"NormalizeText": FTFYFormatter, "KeepC4Lines": C4QualityFilter,
                 "KeepGopherQuality": GopherQualityFilter, "KeepGopherRepetition": GopherRepetitionFilter}
        chain = [known[name]() for name in names.split()]
        LocalPipelineExecutor(
            pipeline=[JsonlReader(f"{folder}/in"), *chain, JsonlWriter(f"{folder}/left-dt", compression=None)],
            tasks=2, workers=2, logging_dir=f"{folder}/logs-{len(names)}", skip_completed=False,
        ).run()
"""
JUICER = """
    process:
      - fix_unicode_mapper:
      - whitespace_normalization_mapper:
      - words_num_filter: {lang: en, tokenization: false, min_num: 50, max_num: 100000}
      - average_line_length_filter: {min_len: 0}
      - special_characters_filter: {min_ratio: 0.0, max_ratio: 0.4}
      - alphanumeric_filter: {tokenization: false, min_ratio: 0.6}
      - word_repetition_filter: {lang: en, tokenization: false, rep_len: 5, min_ratio: 0.0, max_ratio: 0.15}
      - word_repetition_filter: {lang: en, tokenization: false, rep_len: 10, min_ratio: 0.0, max_ratio: 0.10}
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
    parser.add_argument("--only", default="", help="sides whose names begin so: rules, shared, minhash")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        n_texts, n_chars = write(folder / "in", options.megabytes)
        print(f"{n_texts} texts, {n_chars / 1e6:.1f} million characters")
        commands = {side: command for side, command in sides(folder).items() if side.startswith(options.only)}
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
    ours: list[str | Path] = [sys.executable, folder / "side_ours.py", folder]
    found = {"rules mmdata": [*ours, RULES], "shared mmdata": [*ours, SHARED]}
    if (trove := PEERS / "datatrove/bin/python").exists():
        found["rules datatrove"] = [trove, folder / "side_datatrove.py", folder, RULES]
        found["shared datatrove"] = [trove, folder / "side_datatrove.py", folder, SHARED]
    if (juicer := PEERS / "juicer/bin/dj-process").exists():
        recipe = f"dataset_path: {folder}/in\nexport_path: {folder}/left-dj.jsonl\nnp: 2\nopen_tracer: false\n"
        (folder / "recipe.yaml").write_text(recipe + textwrap.dedent(JUICER))
        found["shared juicer"] = [juicer, "--config", folder / "recipe.yaml"]
    found["minhash mmdata"] = [sys.executable, folder / "side_minhash.py", folder, "mmdata"]
    if (rensa := PEERS / "rensa/bin/python").exists():
        found["minhash rensa"] = [rensa, folder / "side_minhash.py", folder, "rensa"]
    return found


def report(taken: dict[str, list[Measured]], n_texts: int) -> None:
    """A line a side."""
    for side, measured in taken.items():
        if side.startswith("minhash"):
            rates = [float(one.output.split()[-1]) for one in measured]
        else:
            rates = [n_texts / one.seconds for one in measured]
        cpu = statistics.median(one.cpu_seconds for one in measured)
        peak = max(one.peak_bytes for one in measured) / 1e6
        rate = f"{statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f}) texts/s"
        print(f"{side:18} {rate:36} cpu {cpu:6.1f} s   peak {peak:5.0f} MB")


if __name__ == "__main__":
    main()
