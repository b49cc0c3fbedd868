"""Vectors of texts by models of `transformers`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Text
from mmdata.errors import DataError
from mmdata.features.embed.pretrained import SHARED, Pretrained, Tower, first_line, masked_mean, quiet
from mmdata.features.embed.weights import unusable

MOST_TOKENS = 1_000_000  # tokenizers that know no limit say 1e30
COUNT_FROM_PADDING = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer")
_TOKENIZING = threading.Lock()  # a tokenizer sets its limits before each call, and panics when two threads do at once
Tokens = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class TextEmbedding(Pretrained[Text]):
    """A vector of a text, or one of each token: float32 [feature], or [token, feature].

    For encoders such as BERT, RoBERTa, MPNet, E5, BGE, T5's, and the text towers of CLIP and SigLIP. Texts that are
    longer than the model takes are cut. An empty text is what the model makes of its own marks of beginning and end.

    Args:
        pooling: "mean" of the tokens, "cls" the first one, "last" the last one, "pooler" the model's own head, "shared"
            the space that a model of pictures and texts has in common, "none" every token by itself. "auto" is
            "shared" where there is such a space, and "mean" elsewhere.
        max_tokens: cut texts there, marks included; None is as many as the model takes.
        prefix: put before each text, as models of the E5 family want: "query: ", "passage: ".

    Reference:
        The model's own, by `transformers`. Pooling by mean or cls: Reimers and Gurevych, "Sentence-BERT" (EMNLP 2019).
    """

    tower: ClassVar[str] = "text_model"

    on: str = "text"
    into: str = "text.embedding"
    pooling: Literal["auto", "mean", "cls", "last", "pooler", "shared", "none"] = "auto"
    max_tokens: Annotated[int, Ge(1)] | None = None
    prefix: str = ""

    def spec(self) -> ArraySpec:
        config, how = self.own_config(), self.how()
        self.check_layer(config)
        if how == SHARED:
            return self.vector(shared_size(self.config(), config))
        size = _width(config)
        if how == "none":
            return ArraySpec(dims=("token", "feature"), sizes={"feature": size}, dtype=self.dtype)
        return self.vector(size)

    def how(self) -> str:
        """The pooling, "auto" resolved. Raises ConfigError when the model has no such thing."""
        return resolved(self, self.pooling, "mean")

    def may_lack(self, weight: str) -> bool:
        return super().may_lack(weight) or (self.how() != "pooler" and "pooler." in weight)

    def load(self, device: str) -> Tower:
        self._tokenizer()  # what is wrong with it is found now, not at the first text
        return super().load(device)

    def prepare(self, value: Text) -> Tokens:
        tokenizer = self._tokenizer()
        fixed = self.config().model_type in ("siglip", "siglip2")  # trained on padded texts, and pooled at their end
        with _TOKENIZING:
            found = tokenizer(
                self.prefix + value.text,
                truncation=True,
                max_length=self._limit(tokenizer),
                padding="max_length" if fixed else False,
                return_attention_mask=not fixed,
            )
        tokens = {name: np.asarray(numbers, np.int64) for name, numbers in found.items()}
        if not tokens["input_ids"].size:
            raise DataError("the text has no tokens")
        return tokens

    def cost(self, prepared: Tokens) -> int:
        return len(prepared["input_ids"])

    def extract(self, model: Tower, prepared: Sequence[Tokens]) -> Sequence[np.ndarray]:
        if not prepared:
            return []
        padding = self._tokenizer().pad_token_id
        batch = {
            name: model.tensor(_padded([tokens[name] for tokens in prepared], padding if name == "input_ids" else 0))
            for name in prepared[0]
        }
        how = self.how()
        if how == SHARED:
            return list(self.finished(model.whole.get_text_features(**batch).pooler_output))
        output = model.part(**batch, **self.asks)
        lengths = [len(tokens["input_ids"]) for tokens in prepared]
        if how == "none":
            states = self.states(output)
            return [self.finished(states[row, :length]) for row, length in enumerate(lengths)]
        if how == "pooler":
            return list(self.finished(output.pooler_output))
        return list(self.finished(_pooled(self.states(output), lengths, how)))

    def _tokenizer(self) -> Any:
        return _tokenizer_at(self.folder, self.model)

    def _limit(self, tokenizer: Any) -> int:
        """How many tokens the model takes, or fewer where that is asked for."""
        config = self.own_config()
        places = getattr(config, "max_position_embeddings", None) or MOST_TOKENS
        if config.model_type in COUNT_FROM_PADDING:  # their places begin behind that of the padding
            places -= config.pad_token_id + 1
        return min(int(tokenizer.model_max_length), places, self.max_tokens or MOST_TOKENS)


def _width(config: Any) -> int:
    return int(getattr(config, "hidden_size", None) or config.d_model)


def shared_size(config: Any, own: Any) -> int:
    """The size of the space that pictures and texts share: CLIP's by its projection, SigLIP's by its tower."""
    for owner, name in ((config, "projection_dim"), (own, "projection_size"), (own, "hidden_size")):
        if size := getattr(owner, name, None):
            return int(size)
    return _width(own)


def resolved(step: Pretrained[Any], pooling: str, usual: str) -> str:
    """A pooling with "auto" made plain. Raises ConfigError where a space is asked for that the model lacks."""
    config = step.config()
    has_space = hasattr(config, "vision_config") and hasattr(config, "text_config")
    if pooling == "auto":
        return SHARED if has_space and step.layer is None else usual
    if pooling == SHARED and not has_space:
        raise unusable(step.model, f"is of architecture {config.model_type!r}, which has no space of two towers")
    if pooling in (SHARED, "pooler") and step.layer is not None:
        raise unusable(step.model, f"pooling {pooling!r} is the end of the model: it takes no layer")
    return pooling


def _pooled(states: Any, lengths: Sequence[int], how: str) -> Any:
    import torch

    length = torch.tensor(lengths, device=states.device)
    if how == "cls":
        return states[:, 0]
    if how == "last":
        return states[torch.arange(len(lengths), device=states.device), length - 1]
    return masked_mean(states, torch.arange(states.shape[1], device=states.device) < length[:, None])


def _padded(rows: Sequence[np.ndarray], value: int) -> np.ndarray:
    """Rows of different length as one array, filled up at their ends."""
    out = np.full((len(rows), max(len(row) for row in rows)), value, np.int64)
    for place, row in enumerate(rows):
        out[place, : len(row)] = row
    return out


@lru_cache(maxsize=16)
def _tokenizer_at(folder: Path, model: str) -> Any:
    with quiet():
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # whatever stands in a stranger's files
            raise unusable(model, f"its tokenizer can't be used: {first_line(error)}") from error
    files = sorted({"tokenizer.json", *tokenizer.vocab_files_names.values()})
    if not any((folder / name).is_file() for name in files):  # transformers makes one up that knows no words
        raise unusable(model, f"its tokenizer can't be used: there is none of {', '.join(files)}")
    return tokenizer
