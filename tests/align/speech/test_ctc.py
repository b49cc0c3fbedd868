"""CTC models of `transformers`, tiny and random: their letters, their paths, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmdata.align.speech import AlignSpeech
from mmdata.align.speech.ctc import CtcVoice
from mmdata.core.packages import missing_packages
from mmdata.core.sample import Audio, Sample, Text
from mmdata.core.step import Drop
from mmdata.errors import ConfigError
from mmdata.testing.contracts.steps import Case, StepContract

pytestmark = pytest.mark.skipif(bool(missing_packages("models")), reason="needs the extra models")
LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ", "Ж"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Wav2Vec2ForCTC of two small layers, as `save_pretrained` leaves it."""
    import torch
    import transformers as t

    folder = tmp_path_factory.mktemp("ctc")
    torch.manual_seed(3)
    config = t.Wav2Vec2Config(
        vocab_size=len(LETTERS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        conv_dim=(16, 16, 16), conv_stride=(5, 8, 8), conv_kernel=(10, 8, 8),
                num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, feat_extract_norm="layer", pad_token_id=0,
    )  # fmt: skip
    t.Wav2Vec2ForCTC(config).save_pretrained(folder)
    t.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({letter: place for place, letter in enumerate(LETTERS)}))
    t.Wav2Vec2CTCTokenizer(str(vocabulary)).save_pretrained(folder)
    return folder


def clip(seconds: float = 2.0) -> Audio:
    return Audio(np.random.default_rng(1).normal(0, 0.1, (1, round(16_000 * seconds))).astype(np.float32), 16_000)


def sample(text: str, seconds: float = 2.0) -> Sample:
    return Sample("k", {"audio": clip(seconds), "text": Text(text)})


class TestAlignSpeech(StepContract):
    @pytest.fixture
    def case(self, model: Path) -> Case:
        return Case(AlignSpeech(model=str(model), min_score=-1000.0, phones=True), sample("hello there"))

    def test_every_setting_changes_the_fingerprint(self, case: Case) -> None:
        """Of the step itself two stand for all, see test_steps.py; of the model its files count: below."""
        assert isinstance(case.step, AlignSpeech)
        found = {
            step.fingerprint()
            for step in (case.step, replace(case.step, min_score=-999.0), replace(case.step, phones=False))
        }
        assert len(found) == 3

    def test_of_the_model_its_files_count_and_not_where_they_lie(self, case: Case, model: Path, tmp_path: Path) -> None:
        moved = Path(shutil.copytree(model, tmp_path / "moved"))
        there = replace(case.step, model=str(moved))  # type: ignore[call-arg]
        assert there.fingerprint() == case.step.fingerprint()
        with (moved / "model.safetensors").open("r+b") as weights:
            weights.seek(-1, 2)
            weights.write(b"\x11")
        assert there.fingerprint() != case.step.fingerprint()


def test_words_come_in_order_with_their_letters_and_within_the_sound(model: Path) -> None:
    found = AlignSpeech(model=str(model), min_score=-1000.0, phones=True).map(sample("Hello there, World 21"))
    assert isinstance(found, Sample)
    words = found.meta["words"]
    assert [word["text"] for word in words] == ["Hello", "there,", "World", "21"]
    assert ["".join(name for name, _, _ in word["phones"]) for word in words] == [
        "HELLO",
        "THERE",
        "WORLD",
        "TWENTYONE",
    ]
    edges = [edge for word in words for edge in (word["start_s"], word["end_s"])]
    assert edges == sorted(edges)
    assert 0 <= edges[0] < edges[-1] <= 2.0
    assert all(0 < word["confidence"] <= 1 for word in words)
    assert found.meta["words_score"] <= 0


def test_windows_give_the_words_of_one_look_as_long_as_the_model_hears_the_same(model: Path) -> None:
    voice = CtcVoice(str(model))
    assert voice.rate_hz == 16_000
    assert voice.hop_s == 0.02
    heard = voice.hear(clip().samples[0], [voice.spelled("ab") or []], open_end=True)
    assert len(heard.words) == len(heard.gains) == len(heard.free)
    assert (heard.gains <= heard.free + 1e-6).all()


@pytest.mark.parametrize(
    ("word", "letters"),
    [
        ("Hello,", "HELLO"), ("don’t", "DON'T"), ("café", "CAFE"), ("7", "SEVEN"), ("Dr.", "DR"), ("жж", "ЖЖ"),
        ("e-mail", "EMAIL"),
    ],
)  # fmt: skip
def test_words_are_spelled_in_the_letters_that_the_model_knows(model: Path, word: str, letters: str) -> None:
    assert CtcVoice(str(model)).spelled(word) == [LETTERS.index(letter) for letter in letters]


@pytest.mark.parametrize(
    ("text", "reason"), [("日本", "unpronounceable"), ("hello " * 15, "too_short"), ("a" * 9999, "unpronounceable")]
)
def test_what_can_not_be_said_or_has_no_room_is_dropped(model: Path, text: str, reason: str) -> None:
    assert AlignSpeech(model=str(model), min_score=-1000.0).map(sample(text)) == Drop(reason)


def test_a_clip_shorter_than_a_frame_is_too_short(model: Path) -> None:
    assert AlignSpeech(model=str(model)).map(sample("hi", seconds=0.01)) == Drop("too_short")


def test_pickled_weights_and_models_without_letters_are_refused(model: Path, tmp_path: Path) -> None:
    pickled = Path(shutil.copytree(model, tmp_path / "pickled"))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="unpickling runs code"):
        AlignSpeech(model=str(pickled)).fingerprint()
    wordless = Path(shutil.copytree(model, tmp_path / "wordless"))
    (wordless / "vocab.json").unlink()
    with pytest.raises(ConfigError, match="model"):
        CtcVoice(str(wordless))
