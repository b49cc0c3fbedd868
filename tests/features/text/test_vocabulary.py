from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.core.sample import Text
from mmdata.errors import ConfigError
from mmdata.features.text import BagOfWords, TfIdf, WordVectors, fit_vocabulary
from mmdata.kernels.text.vectors import word_table
from mmdata.kernels.text.vocabulary import vocabulary_of
from mmdata.testing.build import caption
from mmdata.testing.contracts.steps import Case, StepContract

TEXTS = [caption(seed).text for seed in range(60)]
TABLE = "the 1 2 3\ncat 0.5 0 -1\nred 1e-1 .25 0\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fitted")
    fit_vocabulary(TEXTS, made / "words.json")
    fit_vocabulary(TEXTS[:9], made / "other.json", min_texts=1)
    (made / "glove.txt").write_text(TABLE, "utf-8")
    (made / "word2vec.txt").write_text(f"3 3\n{TABLE}", "utf-8")
    rows = [line.split() for line in TABLE.splitlines()]
    binary = [word.encode() + b" " + np.array(numbers, "<f4").tobytes() + b"\n" for word, *numbers in rows]
    (made / "word2vec.bin").write_bytes(b"3 3\n" + b"".join(binary))
    (made / "more.txt").write_text(f"{TABLE}disc 3 2 1\n", "utf-8")
    return made


class TestFitted(StepContract):
    @pytest.fixture(params=["bag", "tfidf", "mean", "sequence", "none"])
    def case(self, request: pytest.FixtureRequest, folder: Path) -> Case:
        words, glove = str(folder / "words.json"), str(folder / "glove.txt")
        other, more = {"file": str(folder / "other.json")}, {"file": str(folder / "more.txt"), "max_words": 2}
        return {
            "bag": Case(BagOfWords(file=words), caption(1), others=other),
            "tfidf": Case(TfIdf(file=words), caption(1), others=other),
            "mean": Case(WordVectors(file=glove), Text("The cat"), others=more),
            "sequence": Case(WordVectors(file=glove, form="sequence"), Text("The cat"), others=more),
            "none": Case(WordVectors(file=glove, form="sequence"), Text(""), others=more),
        }[str(request.param)]


def test_tfidf_is_that_of_scikit_learn(folder: Path) -> None:
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    for sublinear in (False, True):
        theirs = TfidfVectorizer(min_df=2, token_pattern=r"\w+", sublinear_tf=sublinear).fit(TEXTS)
        step = TfIdf(file=str(folder / "words.json"), sublinear=sublinear)
        assert list(theirs.get_feature_names_out()) == list(vocabulary_of(step.file).places)
        for text in (*TEXTS[:20], "a a a red disc, unknown"):
            np.testing.assert_allclose(step.extract(Text(text)), theirs.transform([text]).toarray()[0], atol=1e-6)
    counts = CountVectorizer(vocabulary=theirs.vocabulary_, token_pattern=r"\w+").transform(["red, red disc"]).toarray()
    assert (BagOfWords(file=str(folder / "words.json")).extract(Text("Red, red disc")) == counts[0]).all()


@given(st.permutations(range(12)))
def test_a_vocabulary_does_not_depend_on_the_order_of_texts(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    fit_vocabulary([TEXTS[index] for index in order], folder / "a.json", max_terms=7)
    fit_vocabulary(TEXTS[:12], folder / "b.json", max_terms=7)
    assert (folder / "a.json").read_bytes() == (folder / "b.json").read_bytes()
    assert len(json.loads((folder / "a.json").read_bytes())["terms"]) == 7


@pytest.mark.parametrize(
    ("settings", "terms"),
    [
        ({"min_texts": 1}, ["a", "b", "c"]),
        ({"min_texts": 2}, ["a", "b"]),
        ({"min_texts": 3}, ["a"]),
        ({"min_texts": 1, "max_share": 0.5}, ["c"]),
        ({"min_texts": 1, "max_share": 0.67}, ["b", "c"]),
        ({"min_texts": 1, "max_terms": 2}, ["a", "b"]),
    ],
)
def test_terms_are_chosen_by_how_many_texts_have_them(
    settings: dict[str, float], terms: list[str], tmp_path: Path
) -> None:
    fit_vocabulary(["a b c c", "a A b", "a"], tmp_path / "v.json", **settings)  # type: ignore[arg-type]
    assert list(vocabulary_of(str(tmp_path / "v.json")).places) == terms


def test_nothing_to_learn_from_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no word stands in 2 to 100% of 1 texts"):
        fit_vocabulary(["a b"], tmp_path / "v.json")
    assert list(tmp_path.iterdir()) == []


def test_only_contents_count_for_the_fingerprint(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "moved.json").write_bytes((folder / "words.json").read_bytes())
    assert (
        TfIdf(file=str(tmp_path / "moved.json")).fingerprint() == TfIdf(file=str(folder / "words.json")).fingerprint()
    )


@pytest.mark.parametrize("name", ["glove.txt", "word2vec.txt", "word2vec.bin"])
def test_vectors_are_looked_up_in_every_form(folder: Path, name: str) -> None:
    step = WordVectors(file=str(folder / name))
    np.testing.assert_allclose(step.extract(Text("The CAT, the dog")), [2.5 / 3, 4 / 3, 5 / 3], rtol=1e-6)
    rows = WordVectors(file=str(folder / name), form="sequence").extract(Text("red dog the"))
    np.testing.assert_allclose(rows, np.array([[0.1, 0.25, 0], [1, 2, 3]]), rtol=1e-6)
    assert not step.extract(Text("dog")).any()
    assert WordVectors(file=str(folder / name), lower=False).extract(Text("The")).tolist() == [0, 0, 0]
    assert len(word_table(str(folder / name)).places) == 3
    assert word_table(str(folder / name), max_words=2).words == ("the", "cat")
    assert not WordVectors(file=str(folder / name), max_words=2).extract(Text("red")).any()


@pytest.mark.parametrize(
    ("step", "content", "message"),
    [
        (TfIdf, b"", "is no vocabulary: JSONDecodeError"),
        (TfIdf, b"{}", "is no vocabulary: KeyError: 'terms'"),
        (TfIdf, b'{"format": "other", "terms": [], "n_texts_with": [], "n_texts": 0}', "is no vocabulary of the form"),
        (WordVectors, b"", "is no table of word vectors"),
        (WordVectors, b"word\n", "is no table of word vectors"),
    ],
)
def test_a_file_that_is_none_is_a_fault_of_the_configuration(
    step: type[TfIdf | WordVectors], content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    with pytest.raises(ConfigError, match="can't be read: No such file"):
        step(file=str(path)).fingerprint()
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        step(file=str(path)).spec()
    with pytest.raises(ValueError, match="file is missing"):
        step()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a 1 2\nb 1\n", r"line 2: expected a word and 2 numbers, found 'b 1"),
        ("a 1 2\nb 1 x\n", "line 2: could not convert"),
    ],
)
def test_a_damaged_table_names_the_line(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(content)
    with pytest.raises(ConfigError, match=message):
        WordVectors(file=str(tmp_path / "t.txt")).extract(Text("a"))
