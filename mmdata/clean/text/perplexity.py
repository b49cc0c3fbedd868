"""Choose texts by how surprised a language model is by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge

from mmdata.core.faults import file_of
from mmdata.core.sample import Text
from mmdata.core.step import Drop, Filter
from mmdata.kernels.text.ngram_model import model_digest, ngram_model
from mmdata.kernels.text.pieces import pieces_digest, word_lines


@dataclass(frozen=True, kw_only=True)
class KeepPerplexity(Filter[Text]):
    """Drop a text by whose words an n-gram model of yours is surprised too much, or too little.

    What `features.text.Perplexity` says of some hundred texts tells where to set the bounds; they have no default, as
    they hang on the model. A text without words is dropped.

    Args:
        file: an ARPA file, such as KenLM's `lmplz` or SRILM write. What it holds is part of the fingerprint.
        tokenizer: the file of the SentencePiece model by which its texts were cut; None takes what stands between
            blanks for words.
        lower: look words up in lower case.
        min_perplexity, max_perplexity: both bounds are kept; None is no bound.

    Reference:
        Wenzek et al., "CCNet" (LREC 2020), 3.3, who take the thirds of each language.
    """

    extra: ClassVar[str | None] = "text"

    on: str = "text"
    file: str
    tokenizer: str | None = None
    lower: bool = False
    min_perplexity: Annotated[float, Ge(0)] | None = None
    max_perplexity: Annotated[float, Ge(0)] | None = None

    def __post_init__(self) -> None:
        if self.min_perplexity is None and self.max_perplexity is None:
            raise ValueError("there is no bound: give min_perplexity or max_perplexity")

    def settings(self) -> dict[str, Any]:
        with file_of("file", self.file):
            digests = {"file": model_digest(self.file)}
        with file_of("tokenizer", self.tokenizer or ""):
            digests |= {"tokenizer": pieces_digest(self.tokenizer)} if self.tokenizer else {}
        return {**super().settings(), **digests}

    def keep(self, text: Text) -> Literal[True] | Drop:
        with file_of("tokenizer", self.tokenizer or ""):
            lines = word_lines(text.text, lower=self.lower, tokenizer=self.tokenizer)
        with file_of("file", self.file):
            perplexity, _ = ngram_model(self.file).perplexity(lines)
        if not perplexity:
            return Drop("no_words")
        if self.max_perplexity is not None and perplexity > self.max_perplexity:
            return Drop("high_perplexity")
        return Drop("low_perplexity") if perplexity < (self.min_perplexity or 0) else True
