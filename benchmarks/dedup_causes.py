"""Why clusters by MinHash differ from datatrove's: one choice at a time is made datatrove's, and pairs are compared.

    benchmarks/peers.sh datatrove
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/dedup_causes.py --n 2000

Documents and bands are those of `dedup_peers.py`. Three choices may differ: the words that a text is cut into, the
random orders that a seed gives, and the way from signatures to clusters. datatrove says its words' hashes, runs its own
pipeline from beginning to end, and its formula for signatures is repeated here, so that each choice can be exchanged
alone. Agreement is the share of the pairs in a cluster of either that are in a cluster of both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import textwrap
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import xxhash
from dedup_peers import DATATROVE, PEERS, pairs, write

from mmdata.kernels.hashing import hash_spans, min_hashes
from mmdata.kernels.text.words import word_codes, word_grams
from mmdata.select.clusters import Clusters
from mmdata.select.dedup.text import bands

N_BANDS, ROWS, WORDS = 14, 8, 5
SEEDS = (1, 2, 3, 4)
MERSENNE = np.uint64((1 << 61) - 1)
Pairs = set[tuple[str, str]]
SHINGLES = """
    import json, sys
    import numpy as np
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.text import simplify_text

    folder = sys.argv[1]
    step = MinhashDedupSignature(f"{folder}/none", config=MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8))
    texts = [json.loads(line)["text"] for line in open(f"{folder}/in/0.jsonl")]
    shingles = [step.get_shingles(text) for text in texts]
    simple = [simplify_text(text, step.config.norm_config) for text in texts]
    first = next(number for number, one in enumerate(shingles) if one.size)
    np.savez(f"{folder}/theirs.npz", runs=np.concatenate(shingles)[:, 0], counts=[len(one) for one in shingles],
             simple=simple, first=first, signature=np.concatenate(step.get_signature(shingles[first])))
"""


def main() -> None:
    """Exchange one choice after the other, and print how far clusters agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2000, help="documents")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "0"
        print(f"{write(folder, asked.n):,} documents")
        run(folder, SHINGLES)
        run(folder, DATATROVE)
        texts = [json.loads(line)["text"] for line in (folder / "in" / "0.jsonl").read_text().splitlines()]
        found = np.load(folder / "theirs.npz")
        pipeline = of_pipeline(folder)
    theirs = np.split(found["runs"], np.cumsum(found["counts"])[:-1])
    if not np.array_equal(their_signature(theirs[int(found["first"])], 1), found["signature"]):
        raise SystemExit("the formula here is not datatrove's")
    mine = [our_runs(text) for text in texts]
    mixed = [our_words_their_hash(text) for text in texts]
    simple = [our_words_their_hash(text) for text in found["simple"].tolist()]
    dt = {seed: clustered([their_signature(runs, seed) for runs in theirs]) for seed in SEEDS}
    ours = {seed: clustered([our_signature(runs, seed) for runs in mine]) for seed in SEEDS}
    tell("datatrove's pipeline, its signatures in our bands and clusters", [(pipeline, dt[1])])
    tell(
        "datatrove, our words in its hash and its orders",
        [(dt[seed], clustered([their_signature(runs, seed) for runs in mixed])) for seed in SEEDS],
    )
    tell(
        "datatrove, our words of the text as it simplifies it, in its hash and its orders",
        [(dt[seed], clustered([their_signature(runs, seed) for runs in simple])) for seed in SEEDS],
    )
    tell(
        "datatrove, its words in our orders",
        [(dt[seed], clustered([our_signature(runs, seed) for runs in theirs])) for seed in SEEDS],
    )
    tell("datatrove of one seed, and of another", [(dt[a], dt[b]) for a, b in combinations(SEEDS, 2)])
    tell("ours of one seed, and of another", [(ours[a], ours[b]) for a, b in combinations(SEEDS, 2)])
    tell("datatrove, ours", [(dt[a], ours[b]) for a in SEEDS for b in SEEDS])


def tell(what: str, compared: Sequence[tuple[Pairs, Pairs]]) -> None:
    shares = [len(one & other) / max(1, len(one | other)) for one, other in compared]
    counts = f"{len(compared[0][0])} and {len(compared[0][1])} pairs"
    print(f"{np.mean(shares):.4f} ({min(shares):.4f} to {max(shares):.4f}, {len(shares)}): {what}; {counts}")


def run(folder: Path, code: str) -> None:
    """Run a script of datatrove's side."""
    (folder / "side.py").write_text(textwrap.dedent(code))
    python = PEERS / "datatrove" / "bin" / "python"
    subprocess.run([python, folder / "side.py", folder], check=True, capture_output=True)


def their_signature(runs: np.ndarray, seed: int) -> np.ndarray:
    """What `MinhashDedupSignature.get_signature` makes of uint64 [run] hashes: uint64 [place]; overflow included."""
    random = np.random.RandomState(seed)
    a, b = (random.randint(low, MERSENNE, dtype=np.uint64, size=(1, N_BANDS * ROWS)) for low in (1, 0))
    return np.asarray(((runs[:, None] * a + b) % MERSENNE).min(axis=0))


def our_signature(runs: np.ndarray, seed: int) -> np.ndarray:
    return min_hashes(runs, N_BANDS * ROWS, seed=seed)


def our_runs(text: str) -> np.ndarray:
    """Our hashes of runs of our words: uint64 [run]."""
    codes = word_codes(text)
    return np.asarray(hash_spans(codes, *word_grams(codes, WORDS, WORDS)))


def our_words_their_hash(text: str) -> np.ndarray:
    """Its hash (XXH64) of runs of our words: uint64 [run]."""
    codes = word_codes(text)
    words = "".join(map(chr, codes)).split()
    spans = [" ".join(words[at : at + WORDS]) for at in range(len(words) - WORDS + 1)]
    return np.array([xxhash.xxh64_intdigest(span.encode()) for span in spans], np.uint64)


def clustered(signatures: list[np.ndarray]) -> Pairs:
    """The pairs of documents in one cluster, by our bands."""
    whole = np.stack(signatures)
    if whole.dtype == np.uint64:  # 61 bits: both halves of a place are places
        whole = whole.view(np.uint32).reshape(len(whole), -1)
    clusters, rows = Clusters(len(whole)), np.arange(len(whole))
    for keys in bands(whole, N_BANDS, whole.shape[1] // N_BANDS):
        clusters.join_equal(keys, rows)
    labels: dict[object, list[str]] = defaultdict(list)
    for row, label in enumerate(clusters.labels().tolist()):
        labels[label].append(f"d{row:06d}")
    return pairs(labels)


def of_pipeline(folder: Path) -> Pairs:
    """The pairs of datatrove's own clusters."""
    labels: dict[object, list[str]] = defaultdict(list)
    for path in (folder / "out-dt").rglob("*.jsonl"):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if (label := record["metadata"].get("minhash_cluster_id", -1)) >= 0:
                labels[label].append(record["id"])
    return pairs({label: names for label, names in labels.items() if len(names) > 1})


if __name__ == "__main__":
    main()
