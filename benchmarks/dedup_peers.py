"""Near duplicates of real documents by MinHash, from JSON lines to clusters: mmdata beside datatrove and Data-Juicer.

    benchmarks/peers.sh datatrove juicer
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/dedup_peers.py --rounds 1

The documents are real ones (`make corpora`) of 200 words at least, and copies of every fifth with a twentieth replaced
in one passage; blanks are single, as Data-Juicer cuts at blanks alone. Every side has runs of five words, 14 bands of
8, one process, and is timed as whole commands, start-up and all. mmdata ingests the lines into a store, and selects.
Clusters are compared by the pairs that they hold.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import textwrap
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
from dedup import passage
from measure import Measured, measure, spread

from mmdata.store import Store
from mmdata.testing.writings import writings

PEERS = Path("out/peers")
PIPELINE = """
source: {use: source.table.Table, path: x, parts: {text: text}, inline: [text], key: id}
features: [features.text.MinHash]
run: {shard_samples: 8192}
select:
  name: kept
  dedup: [{use: select.dedup.NearText, n_bands: 14, rows_a_band: 8}]
"""
DATATROVE = """
    import json, sys
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    folder = sys.argv[1]
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
    reader = JsonlReader(f"{folder}/in")
    stages = [
        [reader, MinhashDedupSignature(f"{folder}/sig", config=config)],
        [MinhashDedupBuckets(f"{folder}/sig", f"{folder}/buckets", config=config)],
        [MinhashDedupCluster(f"{folder}/buckets", f"{folder}/ids", config=config, save_cluster_id=True)],
        [reader, MinhashDedupFilter(f"{folder}/ids", load_cluster_ids=True,
            exclusion_writer=JsonlWriter(f"{folder}/out-dt", "gone.jsonl", compression=None)),
         JsonlWriter(f"{folder}/out-dt", "kept.jsonl", compression=None)],
    ]
    for number, stage in enumerate(stages):
        tasks = 14 if number == 1 else 1
        LocalPipelineExecutor(stage, tasks=tasks, workers=1, logging_dir=f"{folder}/logs{number}").run()
"""
JUICER = """
    import json, sys
    from datasets import load_dataset
    from data_juicer.ops.deduplicator.document_minhash_deduplicator import DocumentMinhashDeduplicator

    folder = sys.argv[1]
    op = DocumentMinhashDeduplicator(tokenization="space", window_size=5, lowercase=True, num_permutations=128,
                                     num_bands=14, num_rows_per_band=8, ignore_pattern="[^A-Za-z0-9 ]")
    data = load_dataset("json", data_files=f"{folder}/in/0.jsonl", split="train", cache_dir=f"{folder}/hf")
    kept, _ = op.process(data.map(op.compute_hash))
    with open(f"{folder}/out-dj.json", "w") as out:
        json.dump(list(kept["id"]), out)
"""


def main() -> None:
    """Run every side in turns, and print times, and how far clusters agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--n", type=int, default=2000, help="documents")
    asked = parser.parse_args()
    runs: dict[str, list[Measured]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as place:
        for number in range(asked.rounds):
            folder = Path(place) / str(number)
            count = write(folder, asked.n)
            runs["mmdata"] += ours(folder)
            for name, code in (("datatrove", DATATROVE), ("juicer", JUICER)):
                python = PEERS / name / "bin" / "python"
                if python.exists():
                    (folder / f"run_{name}.py").write_text(textwrap.dedent(code))
                    runs[name].append(
                        measure([python, folder / f"run_{name}.py", folder], env={"OMP_NUM_THREADS": "1"})
                    )
        print(f"{count:,} documents")
        cpu = {name: float(np.median([run.cpu_seconds for run in found])) for name, found in runs.items()}
        for name, found in runs.items():
            seconds = spread([run.seconds for run in found])
            memory = max(run.peak_bytes for run in found) / 1e9
            times = f"{cpu[name] / cpu['mmdata']:.1f} times ours"
            print(f"{name:10} {seconds} s, {cpu[name]:.1f} s of the processor ({times}), {memory:.2f} GB")
        agreement(folder)


def write(folder: Path, n: int) -> int:
    """Write documents and copies as JSON lines; returns how many."""
    random = np.random.default_rng(5)
    texts = [" ".join(text.split()) for text in writings().values() if len(text.split()) >= 200]
    texts = texts[:: max(1, len(texts) // n)][:n]
    texts += [" ".join(passage(text.split(), random)) for text in texts[::5]]
    (folder / "in").mkdir(parents=True)
    lines = (json.dumps({"id": f"d{number:06d}", "text": text}) for number, text in enumerate(texts))
    (folder / "in" / "0.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return len(texts)


def ours(folder: Path) -> list[Measured]:
    """Two commands, as one."""
    command = Path(sys.executable).with_name("mmdata")
    (folder / "p.yaml").write_text(PIPELINE)
    run: list[str | Path] = [
        "run",
        folder / "p.yaml",
        "--source",
        folder / "in" / "0.jsonl",
        "--store",
        folder / "store",
    ]
    return [measure([command, *run, "--executor", "inline"])]  # a run selects, too


def pairs(clusters: dict[object, list[str]]) -> set[tuple[str, str]]:
    """All pairs within clusters."""
    return {pair for members in clusters.values() for pair in combinations(sorted(members), 2)}


def agreement(folder: Path) -> None:
    """Print how far the clusters, or where there are none what stays, are the same."""
    mine: dict[object, list[str]] = defaultdict(list)
    kept = set()
    for row in Store.open(str(folder / "store")).selection("kept").to_pylist():
        name = row["key"].rpartition("/")[2]
        kept |= set() if row["reason"] else {name}
        if row["cluster"] is not None:
            mine[row["cluster"]].append(name)
    print(f"mmdata: {len(mine)} clusters, {len(pairs(mine))} pairs, {len(kept)} documents kept")
    theirs: dict[object, list[str]] = defaultdict(list)
    for path in (folder / "out-dt").rglob("*.jsonl"):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if (label := record["metadata"].get("minhash_cluster_id", -1)) >= 0:
                theirs[label].append(record["id"])
    if theirs:
        one, other = pairs(mine), pairs({label: names for label, names in theirs.items() if len(names) > 1})
        both = len(one & other)
        print(f"datatrove: {len(other)} pairs, {both} the same as ours, {both / len(one | other):.4f} of all")
    if (folder / "out-dj.json").exists():
        stay = set(json.loads((folder / "out-dj.json").read_text()))
        print(f"Data-Juicer: {len(stay)} kept, {len(stay ^ kept)} of them otherwise than ours")


if __name__ == "__main__":
    main()
