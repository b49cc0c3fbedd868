"""Texts as pieces: what a SentencePiece model cuts them into, and lines of words for a language model."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from mmdata.kernels.text.vocabulary import file_digest


def piece_model(model: str) -> Any:
    """The processor of a SentencePiece model (Kudo and Richardson 2018); kept until the file changes.

    Raises:
        OSError: the file can't be read.
        ValueError: it is no such model.
    """
    return _processor(model, file_digest(model))


def pieces_digest(model: str) -> str:
    """The digest of a SentencePiece model's contents. Raises as `piece_model` does."""
    piece_model(model)
    return file_digest(model)


@lru_cache(maxsize=4)
def _processor(model: str, _digest: str) -> Any:
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_file=model)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"is no SentencePiece model: {error}") from error


def word_lines(text: str, *, lower: bool = False, tokenizer: str | None = None) -> list[list[str]]:
    """The words of each line, as a language model reads them: what stands between blanks, or a tokenizer's pieces.

    Args:
        text: any text; lines without words are left out.
        lower: in lower case.
        tokenizer: the file of a SentencePiece model.
    """
    sound = (text.lower() if lower else text).encode("utf-8", "replace").decode("utf-8")
    lines = [line for line in sound.splitlines() if line and not line.isspace()]
    if tokenizer is None:
        return [line.split() for line in lines]
    pieces = piece_model(tokenizer).encode(lines, out_type=str)
    return [line for line in pieces if line]
