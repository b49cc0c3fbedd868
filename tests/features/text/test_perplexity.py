from __future__ import annotations

from pathlib import Path

import pytest

from mmdata.clean.text import KeepPerplexity
from mmdata.core.sample import Text
from mmdata.core.step import Drop
from mmdata.errors import ConfigError
from mmdata.features.text import Perplexity
from mmdata.features.tokens import fit_tokenizer
from mmdata.testing.build import caption
from mmdata.testing.contracts.steps import Case, StepContract

ARPA = """\\data\\
ngram 1=5
ngram 2=2

\\1-grams:
-2 <unk>
-99 <s> -0.5
-1 </s>
-0.5 a -0.25
-1 b

\\2-grams:
-0.25 <s> a
-0.5 a b

\\end\\
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    (made / "a.arpa").write_text(ARPA)
    (made / "b.arpa").write_text(ARPA.replace("-0.25 <s>", "-0.75 <s>"))
    fit_tokenizer([caption(seed).text for seed in range(200)], made / "a.model", vocabulary=350)
    return made


class TestPerplexitySteps(StepContract):
    @pytest.fixture(params=["feature", "pieces", "filter"])
    def case(self, request: pytest.FixtureRequest, folder: Path) -> Case:
        model, others = str(folder / "a.arpa"), {"file": str(folder / "b.arpa"), "tokenizer": str(folder / "a.model")}
        pieces = others | {"tokenizer": None}
        return {
            "feature": Case(Perplexity(file=model), Text("a b\na"), others=others),
            "pieces": Case(Perplexity(file=model, tokenizer=str(folder / "a.model")), caption(0), others=pieces),
            "filter": Case(
                KeepPerplexity(file=model, max_perplexity=9),
                Text("a b"),
                others=others | {"min_perplexity": 1.0, "max_perplexity": 8.0},
            ),
        }[str(request.param)]


def test_a_perplexity_and_the_share_of_unknown_words(folder: Path) -> None:
    step = Perplexity(file=str(folder / "a.arpa"))
    # <s> a, a b, </s> behind b; the second line: A is unknown, the back-off of <s> and -2, then </s>
    found = step.extract(Text("a b\n\n A \n"))
    assert float(found[""]) == pytest.approx(10 ** ((0.25 + 0.5 + 1 + 2.5 + 1) / 5), rel=1e-6)
    assert float(found["unknown"]) == pytest.approx(1 / 3)
    assert float(Perplexity(file=step.file, lower=True).extract(Text("A"))[""]) == pytest.approx(10 ** (1.5 / 2))
    for empty in ("", "\n \n", "\u2028"):
        assert [float(value) for value in step.extract(Text(empty)).values()] == [0, 0]


def test_texts_are_cut_by_the_tokenizer_that_is_named(folder: Path) -> None:
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "a.model")).encode("a b", out_type=str)
    step = Perplexity(file=str(folder / "a.arpa"), tokenizer=str(folder / "a.model"))
    found = step.extract(Text("a b"))
    assert float(found["unknown"]) == pytest.approx(sum(piece not in ("a", "b") for piece in pieces) / len(pieces))


@pytest.mark.parametrize(
    ("bounds", "text", "reason"),
    [
        ({"max_perplexity": 10 ** (1.75 / 3) + 1e-5}, "a b", None),
        ({"max_perplexity": 10 ** (1.75 / 3) - 1e-5}, "a b", "high_perplexity"),
        ({"min_perplexity": 10 ** (1.75 / 3) - 1e-5}, "a b", None),
        ({"min_perplexity": 10 ** (1.75 / 3) + 1e-5}, "a b", "low_perplexity"),
        ({"min_perplexity": 0}, "", "no_words"),
    ],
)
def test_texts_are_kept_within_bounds(folder: Path, bounds: dict[str, float], text: str, reason: str | None) -> None:
    step = KeepPerplexity(file=str(folder / "a.arpa"), **bounds)  # type: ignore[arg-type]
    assert step.keep(Text(text)) == (True if reason is None else Drop(reason))


def test_faults_are_found_before_anything_runs(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "no.arpa").write_text("no model")
    with pytest.raises(ValueError, match="there is no bound"):
        KeepPerplexity(file="x")
    for file, message in (("missing", "can't be read: No such file"), ("no.arpa", "is no ARPA file")):
        with pytest.raises(ConfigError, match=message):
            Perplexity(file=str(tmp_path / file)).fingerprint()
        with pytest.raises(ConfigError, match=message):
            KeepPerplexity(file=str(tmp_path / file), max_perplexity=9).fingerprint()
    with pytest.raises(ConfigError, match="is no SentencePiece model"):
        Perplexity(file=str(folder / "a.arpa"), tokenizer=str(tmp_path / "no.arpa")).fingerprint()


def test_only_contents_count_for_the_fingerprint(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "moved.arpa").write_bytes((folder / "a.arpa").read_bytes())
    moved, here = Perplexity(file=str(tmp_path / "moved.arpa")), Perplexity(file=str(folder / "a.arpa"))
    assert moved.fingerprint() == here.fingerprint()
