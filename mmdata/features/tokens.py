"""Tokens for language models: SentencePiece models trained on texts, and the ids that they give."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from mmdata.core.arrays import ArraySpec
from mmdata.core.faults import file_of
from mmdata.core.sample import Text
from mmdata.core.step import Extract
from mmdata.kernels.text.pieces import piece_model, pieces_digest


def fit_tokenizer(
    texts: Iterable[str],
    path: str | Path,
    *,
    vocabulary: int = 8000,
    kind: Literal["unigram", "bpe"] = "unigram",
    coverage: float = 0.9995,
    n_lines: int = 1_000_000,
) -> None:
    """Train a SentencePiece model (Kudo and Richardson 2018) on texts and write it to a file.

    Characters that it does not know are spelled as bytes, so that every text can be encoded and decoded again. The
    model is the same for the same texts in the same order: training has one thread and a fixed seed.

    Args:
        texts: such as those of a store; read once, a line at a time.
        path: the file; it is written whole or not at all.
        vocabulary: how many pieces, 256 bytes and 3 signs included; fewer where the texts give no more.
        kind: unigram language model, or byte pair encoding.
        coverage: the share of characters that get pieces of their own; 1 for small alphabets.
        n_lines: how many lines are trained on, drawn evenly.

    Raises:
        ValueError: there is nothing to learn from, or too little for so many pieces; says what sentencepiece says.
    """
    import sentencepiece

    lines = (
        line for text in texts for line in text.encode("utf-8", "replace").decode("utf-8").splitlines() if line.strip()
    )
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=lines,
            model_writer=model,
            vocab_size=vocabulary,
            hard_vocab_limit=False,
            model_type=kind,
            character_coverage=coverage,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=False,
            input_sentence_size=n_lines,
            shuffle_input_sentence=True,
            max_sentence_length=1 << 16,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ValueError(f"no tokenizer of {vocabulary} pieces can be trained on these texts: {error}") from error
    target = Path(path)
    part = target.with_name(f".{target.name}.part")
    part.write_bytes(model.getvalue())
    part.replace(target)


@dataclass(frozen=True, kw_only=True)
class TokenIds(Extract[Text]):
    """A text as a language model reads it: int32 ids [token] of a SentencePiece model.

    The digest of the model's file is part of the fingerprint: another model makes the family anew.

    Args:
        model: the file, of `fit_tokenizer` or of anyone.
        begin: put the sign of beginning before.
        end: put the sign of ending behind.
        max_tokens: keep the first so many; None keeps all.

    Reference:
        Kudo and Richardson, "SentencePiece" (EMNLP 2018); the ids are those of the package sentencepiece.
    """

    extra: ClassVar[str | None] = "text"

    on: str = "text"
    into: str = "text.tokens"
    model: str = ""
    begin: bool = False
    end: bool = False
    max_tokens: Annotated[int, Ge(1)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model:
            raise ValueError("model is missing: name the file of a SentencePiece model")

    def settings(self) -> dict[str, Any]:
        with file_of("model", self.model):
            return {**super().settings(), "model": pieces_digest(self.model)}

    def fitted(self) -> Mapping[str, str]:
        return {"model": self.model}

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("token",), dtype="int32")

    def extract(self, text: Text) -> np.ndarray:
        with file_of("model", self.model):
            model = piece_model(self.model)
        sound = text.text.encode("utf-8", "replace").decode("utf-8")
        ids = model.encode(sound, add_bos=self.begin, add_eos=self.end)
        return np.array(ids[: self.max_tokens], np.int32)


@dataclass(frozen=True, kw_only=True)
class TokenCount(Extract[Text]):
    """How many tokens of a SentencePiece model a text has: an int32 scalar.

    Args:
        model: the file.

    Reference:
        Kudo and Richardson, "SentencePiece" (EMNLP 2018).
    """

    extra: ClassVar[str | None] = "text"

    on: str = "text"
    into: str = "text.token_count"
    model: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        TokenIds(model=self.model)

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "model": TokenIds(model=self.model).settings()["model"]}

    def spec(self) -> ArraySpec:
        return ArraySpec(dtype="int32")

    def extract(self, text: Text) -> np.ndarray:
        return np.asarray(len(TokenIds(model=self.model).extract(text)), np.int32)
