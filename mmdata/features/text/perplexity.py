"""How surprised a language model is by a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.faults import file_of
from mmdata.core.sample import Text
from mmdata.core.step import Extract
from mmdata.kernels.text.ngram_model import model_digest, ngram_model
from mmdata.kernels.text.pieces import pieces_digest, word_lines


@dataclass(frozen=True, kw_only=True)
class Perplexity(Extract[Text]):
    """A text's perplexity by an n-gram model of yours, and `unknown`, the share of words it lacks: float32 scalars.

    Every line begins anew and has an end, which counts as a word; a text without words has 0 and 0. Low is what the
    model was made of, high is what it never saw; what that means hangs on the model. `clean.text.KeepPerplexity` drops
    by it.

    Args:
        file: an ARPA file, such as KenLM's `lmplz` or SRILM write.
        tokenizer: the file of the SentencePiece model by which its texts were cut; None takes what stands between
            blanks for words.
        lower: look words up in lower case.

    Reference:
        Katz, "Estimation of probabilities from sparse data" (1987); as a measure of quality, Wenzek et al., "CCNet"
        (LREC 2020), 3.3. The numbers are those of KenLM (Heafield 2011).
    """

    extra: ClassVar[str | None] = "text"

    on: str = "text"
    into: str = "text.perplexity"
    file: str
    tokenizer: str | None = None
    lower: bool = False

    def settings(self) -> dict[str, Any]:
        with file_of("file", self.file):
            digests = {"file": model_digest(self.file)}
        with file_of("tokenizer", self.tokenizer or ""):
            digests |= {"tokenizer": pieces_digest(self.tokenizer)} if self.tokenizer else {}
        return {**super().settings(), **digests}

    def spec(self) -> dict[str, ArraySpec]:
        return {"": ArraySpec(), "unknown": ArraySpec()}

    def extract(self, text: Text) -> dict[str, np.ndarray]:
        with file_of("tokenizer", self.tokenizer or ""):
            lines = word_lines(text.text, lower=self.lower, tokenizer=self.tokenizer)
        with file_of("file", self.file):
            perplexity, unknown = ngram_model(self.file).perplexity(lines)
        return {"": np.asarray(perplexity, np.float32), "unknown": np.asarray(unknown, np.float32)}
