from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.core.sample import Text
from mmdata.errors import ConfigError
from mmdata.features.tokens import TokenCount, TokenIds, fit_tokenizer
from mmdata.testing.build import caption
from mmdata.testing.contracts.steps import Case, StepContract

TEXTS = [caption(seed).text for seed in range(200)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tokens")
    fit_tokenizer(TEXTS, made / "a.model", vocabulary=400)
    fit_tokenizer(TEXTS, made / "b.model", vocabulary=350, kind="bpe")
    return made


class TestTokens(StepContract):
    @pytest.fixture(params=["ids", "signs", "count", "empty"])
    def case(self, request: pytest.FixtureRequest, folder: Path) -> Case:
        model, others = str(folder / "a.model"), {"model": str(folder / "b.model"), "max_tokens": 2}
        return {
            "ids": Case(TokenIds(model=model), caption(3), others=others),
            "signs": Case(TokenIds(model=model, begin=True, end=True), caption(3), others=others),
            "count": Case(TokenCount(model=model), caption(3), others=others),
            "empty": Case(TokenIds(model=model), Text(""), others=others),
        }[str(request.param)]


@given(st.text(max_size=40))
def test_every_text_can_be_read_back(folder: Path, text: str) -> None:
    import sentencepiece

    theirs = sentencepiece.SentencePieceProcessor(model_file=str(folder / "a.model"))
    sound = text.encode("utf-8", "replace").decode("utf-8")
    ids = TokenIds(model=str(folder / "a.model")).extract(Text(text)).tolist()
    assert ids == theirs.encode(sound)
    if "\0" not in text and "\u2581" not in text:  # sentencepiece writes blanks as U+2581
        assert theirs.decode(ids) == sound


def test_signs_length_and_count(folder: Path) -> None:
    model = str(folder / "a.model")
    plain = TokenIds(model=model).extract(caption(1)).tolist()
    assert TokenIds(model=model, begin=True, end=True).extract(caption(1)).tolist() == [1, *plain, 2]
    assert TokenIds(model=model, max_tokens=2).extract(caption(1)).tolist() == plain[:2]
    assert int(TokenCount(model=model).extract(caption(1))) == len(plain)
    assert len(plain) < len(caption(1).text) * 0.75


def test_training_twice_gives_the_same_model(folder: Path, tmp_path: Path) -> None:
    fit_tokenizer(TEXTS, tmp_path / "again.model", vocabulary=400)
    assert (
        TokenIds(model=str(tmp_path / "again.model")).fingerprint()
        == TokenIds(model=str(folder / "a.model")).fingerprint()
    )


def test_nothing_to_learn_from_leaves_no_file(tmp_path: Path) -> None:
    for texts in ([], [""], ["\n \n"]):
        with pytest.raises(ValueError, match="no tokenizer of 400 pieces can be trained"):
            fit_tokenizer(texts, tmp_path / "m.model", vocabulary=400)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", [TokenIds, TokenCount])
def test_a_model_that_is_none_is_a_fault_of_the_configuration(
    step: type[TokenIds | TokenCount], tmp_path: Path
) -> None:
    path = tmp_path / "m.model"
    with pytest.raises(ConfigError, match="can't be read: No such file"):
        step(model=str(path)).fingerprint()
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ConfigError, match="is no SentencePiece model"):
        step(model=str(path)).extract(Text("a"))
    with pytest.raises(ValueError, match="model is missing"):
        step()
