"""Translation into another language and back, by models of yours."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from mmdata.augment.text.shares import Share
from mmdata.core.sample import Text
from mmdata.core.step import Drop, RandomMap
from mmdata.errors import ConfigError
from mmdata.features.embed.pretrained import config_in, first_line, loaded, quiet
from mmdata.features.embed.weights import digest_of_folder, located, unusable
from mmdata.kernels.text.sentences import cut_places

Pair = tuple[str, str]
_ONE_AT_A_TIME = threading.Lock()  # the models of a process, whose drawing has one generator


@dataclass(frozen=True, kw_only=True)
class BackTranslate(RandomMap[Text, Text]):
    """Say a text in other words: translate it into another language and back, by sequence models of `transformers`.

    For Marian (OPUS-MT), T5, M2M100, NLLB, mBART and others that `AutoModelForSeq2SeqLM` loads; only safetensors are
    read, no code of a model's is run, and nothing is fetched (see `features.embed.weights`). Texts are cut into pieces
    after sentences, which go through a model together; blanks between them stay. A piece that has more tokens than a
    model takes, on either way, stays as it is. The models run on the CPU of the worker.

    Args:
        there: the model that translates into the other language: a folder, `package:NAME/path`, or a name of the hub
            that lies in its local cache.
        back: the model that translates from it; None is the same one, for models of several languages.
        p: the share of texts that are translated.
        languages: of the texts and the other, for models that want to be told, in their own codes: ("en", "de").
        prefixes: what such models as T5 want before each piece, there and back: ("translate English to German: ", ...).
        n_beams: hypotheses that are followed; of drawn ones it is one.
        temperature: draw words, more boldly where it is higher; None takes the likeliest.
        max_chars: the longest piece.
        longest: texts of more characters stay as they are.
        group: pieces that go through a model together.

    Raises:
        ConfigError: a model is not there, or can't be used.

    Reference:
        Sennrich et al., "Improving Neural Machine Translation Models with Monolingual Data" (ACL 2016); drawing instead
        of the likeliest: Edunov et al., "Understanding Back-Translation at Scale" (EMNLP 2018).
    """

    extra: ClassVar[str | None] = "models"

    on: str = "text"
    there: str
    back: str | None = None
    p: Share = 0.5
    languages: Pair | None = None
    prefixes: Pair = ("", "")
    n_beams: Annotated[int, Ge(1)] = 4
    temperature: Annotated[float, Gt(0)] | None = None
    max_chars: Annotated[int, Ge(1)] = 400
    longest: Annotated[int, Ge(1)] = 20_000
    group: Annotated[int, Ge(1)] = 16

    def settings(self) -> dict[str, Any]:
        digests = {"there": _digest(self.there), "back": _digest(self.back or self.there)}
        return {**super().settings(), **digests}

    def map(self, text: Text, rng: np.random.Generator) -> Text | Drop:
        if rng.random() >= self.p or len(text.text) > self.longest:
            return text
        seed = int(rng.integers(1 << 62))
        pieces = list(_pieces(text.text, self.max_chars))
        said = {place: piece for place, piece in enumerate(pieces) if piece.strip()}
        codes = self.languages or ("", "")
        with _ONE_AT_A_TIME, _drawing(seed):
            ways = ((self.there, codes, self.prefixes[0]), (self.back or self.there, codes[::-1], self.prefixes[1]))
            for model, pair, prefix in ways:
                said = self._translated(_translator(model, _digest(model), pair), prefix, said)
        for place, piece in said.items():
            pieces[place] = piece
        return text.changed("".join(pieces))

    def _translated(self, translator: _Translator, prefix: str, pieces: dict[int, str]) -> dict[int, str]:
        """Pieces in the other language, by their places, those of like length together; without what can't be said."""
        found: dict[int, str] = {}
        order = sorted(pieces, key=lambda place: (len(pieces[place]), place))
        for start in range(0, len(order), self.group):
            places = order[start : start + self.group]
            asked: dict[str, Any] = {
                "num_beams": 1 if self.temperature else self.n_beams,
                "do_sample": self.temperature is not None,
            }
            asked |= {"temperature": self.temperature, "top_k": 0} if self.temperature else {}
            said = translator([prefix + pieces[place] for place in places], asked)
            found |= {place: text for place, text in zip(places, said, strict=True) if text}
        return found


@dataclass(frozen=True)
class _Translator:
    """A loaded model and its tokenizer.

    Args:
        begins: the token by which the other language is asked for; None where the model knows but one.
        longest: most tokens of a piece.
    """

    model: Any
    tokenizer: Any
    begins: int | None
    longest: int

    def __call__(self, pieces: Sequence[str], asked: dict[str, Any]) -> list[str | None]:
        """Translations; None for a piece that is too long."""
        import torch

        rows = self.tokenizer(list(pieces), truncation=True, max_length=self.longest + 1)["input_ids"]
        fits = [place for place, row in enumerate(rows) if 0 < len(row) <= self.longest]
        found: list[str | None] = [None] * len(pieces)
        if not fits:
            return found
        batch = self.tokenizer([pieces[place] for place in fits], padding=True, return_tensors="pt")
        if self.begins is not None:
            asked = {**asked, "forced_bos_token_id": self.begins}
        with torch.inference_mode():
            most = min(2 * batch["input_ids"].shape[1] + 16, self.longest)
            ids = self.model.generate(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], max_new_tokens=most, **asked
            )
        said = self.tokenizer.batch_decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        for place, text in zip(fits, said, strict=True):
            found[place] = text.strip()
        return found


def _pieces(text: str, max_chars: int) -> Iterator[str]:
    """A text cut at line ends and after sentences, blanks in pieces of their own."""
    for line in text.encode("utf-8", "replace").decode("utf-8").splitlines(keepends=True):
        start = 0
        for end in cut_places(line, max_chars):
            core = line[start:end].strip()
            first = start + line[start:end].find(core)
            yield from (line[start:first], core, line[first + len(core) : end])
            start = end


@contextmanager
def _drawing(seed: int) -> Iterator[None]:
    """Torch's generator set for what is drawn within, and as it was behind it."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _digest(model: str) -> str:
    return digest_of_folder(model)


@lru_cache(maxsize=4)
def _translator(model: str, _digest: str, languages: Pair) -> _Translator:
    folder = located(model)
    config = config_in(folder, model)
    if not getattr(config, "is_encoder_decoder", False):
        raise unusable(model, f"is of architecture {config.model_type!r}, which does not turn one text into another")
    tokenizer = _tokenizer(folder, model)
    begins = None
    if any(languages):
        begins = _begins(model, tokenizer, languages)
    longest = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length
    longest = min(int(longest), int(tokenizer.model_max_length), MOST_TOKENS)
    return _Translator(_loaded(folder, model), tokenizer, begins, longest)


MOST_TOKENS = 1024


def _begins(model: str, tokenizer: Any, languages: Pair) -> int:
    """The token of the other language, and the tokenizer told of the text's own."""
    unknown = tokenizer.unk_token_id
    codes = getattr(tokenizer, "lang_code_to_token", {})
    for code in languages:
        if tokenizer.convert_tokens_to_ids(codes.get(code, code)) in (None, unknown):
            raise ConfigError("languages", [f"languages: model {model!r} knows no language {code!r}"])
    tokenizer.src_lang = languages[0]
    return int(tokenizer.convert_tokens_to_ids(codes.get(languages[1], languages[1])))


def _tokenizer(folder: Path, model: str) -> Any:
    with quiet():
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # whatever stands in a stranger's files
            raise unusable(model, f"its tokenizer can't be used: {first_line(error)}") from error


def _loaded(folder: Path, model: str) -> Any:
    whole, missing = loaded(folder, model, "AutoModelForSeq2SeqLM")
    if lacking := sorted(missing):
        raise unusable(model, f"its weights lack {len(lacking)} of its architecture's, such as {lacking[0]}")
    return whole
