from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmdata.augment.text import BackTranslate
from mmdata.augment.text.translation import _pieces
from mmdata.core.rng import rng_for
from mmdata.core.sample import Text
from mmdata.errors import ConfigError
from mmdata.testing.contracts.steps import Case, StepContract

WORDS = ["<pad>", "</s>", "<unk>", "en", "de", "a", "cat", "dog", "sat", "on", "the", "mat", ".", "red", "say", ":"]
TEXT = Text("the cat sat on the mat. A red dog sat.\n\n  the cat \n")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small only wait for each other's threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Folders of two translators of random weights, as their owners save them."""
    import torch
    import transformers
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    plain = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    plain.pre_tokenizer = Whitespace()
    plain.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    marks = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=plain, model_max_length=64, **marks)
    sizes: dict[str, Any] = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    ids: dict[str, Any] = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
    folders = []
    for seed in (0, 1):
        folder = tmp_path_factory.mktemp(f"model{seed}")
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = transformers.T5ForConditionalGeneration(
                transformers.T5Config(vocab_size=len(WORDS), **sizes, **ids)
            )
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        folders.append(str(folder))
    return folders[0], folders[1]


class TestBackTranslate(StepContract):
    @pytest.fixture
    def case(self, models: tuple[str, str]) -> Case:
        there, back = models
        others: dict[str, object] = {"there": back, "back": there, "languages": ("en", "de"), "prefixes": ("say: ", "")}
        step = BackTranslate(there=there, back=back, p=1, n_beams=2)
        return Case(step, TEXT, unchanged=Text(" \n"), others=others | {"temperature": 1.0})


def translated(step: BackTranslate, text: str, seed: int = 0) -> str:
    result = step.map(Text(text), rng_for(seed, "translate"))
    assert isinstance(result, Text)
    return result.text


def by_hand(folder: str, text: str, **asked: Any) -> str:
    """What transformers gives where a model is called as its documentation says."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    given = tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        ids = model.generate(**given, max_new_tokens=min(2 * given["input_ids"].shape[1] + 16, 64), **asked)
    said: str = tokenizer.batch_decode(ids, skip_special_tokens=True)[0]
    return said.strip()


def test_a_text_goes_there_and_back(models: tuple[str, str]) -> None:
    there, back = models
    step = BackTranslate(there=back, p=1, n_beams=2)
    wanted = by_hand(back, by_hand(back, "the cat sat", num_beams=2), num_beams=2)
    assert wanted not in ("", "the cat sat")
    assert translated(step, "the cat sat") == wanted
    assert by_hand(there, "the cat sat", num_beams=2) == ""  # nothing can be said: the text stays
    assert translated(BackTranslate(there=there, back=back, p=1, n_beams=2), "the cat sat") == "the cat sat"
    both = BackTranslate(there=back, p=1, n_beams=2, prefixes=("red ", "say : "))
    wanted = by_hand(back, "say : " + by_hand(back, "red the cat sat", num_beams=2), num_beams=2)
    assert wanted not in ("", by_hand(back, by_hand(back, "the cat sat", num_beams=2), num_beams=2))
    assert translated(both, "the cat sat") == wanted


def test_a_model_of_several_languages_is_told_which(models: tuple[str, str]) -> None:
    model = models[0]
    step = BackTranslate(there=model, p=1, n_beams=1, languages=("en", "de"))
    middle = by_hand(model, "the cat", num_beams=1, forced_bos_token_id=WORDS.index("de"))
    wanted = by_hand(model, middle, num_beams=1, forced_bos_token_id=WORDS.index("en"))
    assert wanted.startswith("en ")
    assert translated(step, "the cat") == wanted
    with pytest.raises(ConfigError, match="knows no language 'tlh'"):
        translated(BackTranslate(there=model, p=1, languages=("en", "tlh")), "the cat")


def test_what_is_drawn_hangs_on_the_seed_alone(models: tuple[str, str]) -> None:
    import torch

    step = BackTranslate(there=models[0], p=1, temperature=1.5)
    said = [translated(step, "the cat sat on the mat", seed) for seed in (0, 0, 1, 2, 3)]
    assert said[0] == said[1]
    assert len(set(said)) > 2
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    translated(step, "the cat")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_pieces_go_in_groups_and_blanks_stay(models: tuple[str, str]) -> None:
    lines = [" the cat.", "", "\ta red dog sat on the mat. ", "on", "the mat"]
    step = BackTranslate(there=models[1], p=1, n_beams=2)
    alone = [translated(step, line) if line.strip() else line for line in lines]
    assert alone[0] not in (" ", lines[0])
    for group in (1, 2, 16):
        whole = translated(BackTranslate(there=models[1], p=1, n_beams=2, group=group), "\n".join(lines))
        assert whole.split("\n") == alone


def test_what_a_model_can_not_take_stays_as_it_is(models: tuple[str, str]) -> None:
    step = BackTranslate(there=models[0], p=1, n_beams=1)
    long = " ".join(["cat"] * 64)  # and the sign of its end: one token more than the model takes
    assert translated(step, long) == long
    assert translated(BackTranslate(there=models[0], p=0), "the cat") == "the cat"
    assert translated(BackTranslate(there=models[1], p=1, n_beams=2, longest=6), "the cat") == "the cat"
    assert translated(BackTranslate(there=models[1], p=1, n_beams=2, longest=7), "the cat") != "the cat"
    assert isinstance(translated(step, "\ud800 \0 e\u0301 \u202e"), str)


def test_pieces_join_to_the_text() -> None:
    text = " One is here. Two is there.\r\n\n three\u2028 \n"
    for most in (3, 15, 99):
        pieces = list(_pieces(text, most))
        assert "".join(pieces) == text
        assert all(len(piece) <= most for piece in pieces)
    assert list(_pieces("", 9)) == []


def test_models_that_are_none_are_faults_of_the_configuration(models: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file or folder"):
        BackTranslate(there=str(tmp_path / "none")).fingerprint()
    with pytest.raises(ConfigError, match="has no weights"):
        BackTranslate(there=models[0], back=str(tmp_path)).fingerprint()
    import transformers

    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    transformers.BertModel(transformers.BertConfig(vocab_size=9, **sizes)).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="architecture 'bert', which does not turn one text into another"):
        translated(BackTranslate(there=str(tmp_path), p=1), "a")
