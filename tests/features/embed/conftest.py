"""Tiny models of random weights, made by transformers' own configurations and saved as their owners would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "a",
    "cat",
    "dog",
    "sat",
    "on",
    "the",
    "mat",
    "red",
    "blue",
    "small",
    "house",
]
TOWER: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
WAVES: dict[str, Any] = {
    **TOWER,
    "hidden_size": 16,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
Maker = Callable[[str], str]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small only wait for each other's threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """The folder of a tiny model by name, made when it is first asked for; the same in every run."""
    root = tmp_path_factory.mktemp("models")

    def made(name: str) -> str:
        folder = root / name
        if not folder.exists():
            _make(name, folder)
        return str(folder)

    return made


def _make(name: str, folder: Path) -> None:
    import torch
    import transformers

    with torch.random.fork_rng():
        torch.manual_seed(3)
        transformers.utils.logging.disable_progress_bar()
        parts = MAKERS[name]()
        with torch.no_grad():  # transformers begins so near to zero that all vectors look alike
            for weight in parts[0].parameters():
                weight.mul_(3.0) if weight.ndim > 1 else weight.add_(0.1 * torch.randn_like(weight))
        for part in parts:
            part.save_pretrained(folder)


def _tokenizer(longest: int) -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    plain = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    plain.pre_tokenizer = Whitespace()
    plain.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=plain, model_max_length=longest, **special)


def _bert() -> tuple[Any, ...]:
    import transformers as t

    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "vocab_size": len(WORDS),
        "max_position_embeddings": 24,
        "pad_token_id": 0,
    }
    return t.BertModel(t.BertConfig(**TOWER, **sizes)), _tokenizer(24)


def _clip() -> tuple[Any, ...]:
    import transformers as t

    marks = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    text = {**TOWER, **marks, "hidden_size": 16, "vocab_size": len(WORDS), "max_position_embeddings": 12}
    vision = {**TOWER, "hidden_size": 24, "image_size": 32, "patch_size": 8}
    config = t.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    processor = t.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return t.CLIPModel(config), processor, _tokenizer(12)


def _siglip() -> tuple[Any, ...]:
    import transformers as t

    text = {**TOWER, "hidden_size": 16, "vocab_size": len(WORDS), "max_position_embeddings": 10, "pad_token_id": 0}
    vision = {**TOWER, "hidden_size": 16, "image_size": 32, "patch_size": 8}
    config = t.SiglipConfig(text_config=text, vision_config=vision)
    return t.SiglipModel(config), t.SiglipImageProcessorPil(size={"height": 32, "width": 32}), _tokenizer(10)


def _vit() -> tuple[Any, ...]:
    import transformers as t

    config = t.ViTConfig(**TOWER, hidden_size=16, image_size=32, patch_size=8)
    return t.ViTModel(config), t.ViTImageProcessorPil(size={"height": 32, "width": 32})


def _dinov2() -> tuple[Any, ...]:
    import transformers as t

    config = t.Dinov2WithRegistersConfig(
        num_hidden_layers=2, num_attention_heads=2, hidden_size=16, image_size=28, patch_size=7, num_register_tokens=2
    )
    processor = t.BitImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 28, "width": 28})
    return t.Dinov2WithRegistersModel(config), processor


def _resnet() -> tuple[Any, ...]:
    import transformers as t

    config = t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    return t.ResNetModel(config), t.ConvNextImageProcessorPil(size={"shortest_edge": 32})


def _wav2vec2() -> tuple[Any, ...]:
    import transformers as t

    config = t.Wav2Vec2Config(**WAVES, feat_extract_norm="layer", do_stable_layer_norm=True)
    return t.Wav2Vec2Model(config), t.Wav2Vec2FeatureExtractor(return_attention_mask=True)


def _hubert() -> tuple[Any, ...]:
    """Of the kind whose first layer normalises over time, so that no padding is allowed."""
    import transformers as t

    return t.HubertModel(t.HubertConfig(**WAVES, feat_extract_norm="group")), t.Wav2Vec2FeatureExtractor()


def _whisper() -> tuple[Any, ...]:
    import transformers as t

    config = t.WhisperConfig(
        vocab_size=20,
        d_model=16,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_source_positions=100,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    return t.WhisperModel(config), t.WhisperFeatureExtractor(feature_size=80, chunk_length=2)


def _videomae() -> tuple[Any, ...]:
    import transformers as t

    config = t.VideoMAEConfig(**TOWER, hidden_size=16, image_size=32, patch_size=8, num_frames=4, tubelet_size=2)
    processor = t.VideoMAEImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return t.VideoMAEModel(config), processor


MAKERS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "bert": _bert,
    "clip": _clip,
    "siglip": _siglip,
    "vit": _vit,
    "dinov2": _dinov2,
    "resnet": _resnet,
    "wav2vec2": _wav2vec2,
    "hubert": _hubert,
    "whisper": _whisper,
    "videomae": _videomae,
}
