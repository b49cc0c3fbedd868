"""CTC models of `transformers` as voices: wav2vec 2.0, HuBERT, WavLM and their like, with a head of letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mmdata.align.speech.voice import LONGEST_WORD, NOTHING, Heard
from mmdata.errors import MissingExtra
from mmdata.features.embed.weights import digest_of_folder, located, unusable, weight_files
from mmdata.kernels.align.ctc import label_chain
from mmdata.kernels.align.paths import best_path
from mmdata.kernels.align.spoken import plain, readings

LEAST_SCORE = -0.5  # a frame; a guess, as no such model comes in a package: set `min_score` by transcripts that fit
PUNCTUATION = '"“”„«»()[],;:!?….¿¡'


class CtcVoice:
    """A model with a head of letters.

    Args:
        model, revision: as `features.embed` names models: a folder, `package:NAME/path`, or a name of the hub.

    Raises:
        ConfigError: the model is not there, has no safe weights, or no vocabulary of letters.
    """

    least_score = LEAST_SCORE
    breadth = 1.0

    def __init__(self, model: str, revision: str | None = None) -> None:
        folder = located(model, revision)
        weight_files(model, folder)
        self._network, self._extractor, tokenizer = _parts(folder, model)
        config = self._network.config
        self.rate_hz = int(self._extractor.sampling_rate)
        hop = int(np.prod(config.conv_stride))
        self._sees = _receptive(config.conv_kernel, config.conv_stride)
        self.hop_s, self.lead_s = hop / self.rate_hz, max(0, self._sees - hop) / 2 / self.rate_hz
        self._letters: Mapping[str, int] = tokenizer.get_vocab()
        self._blank = int(tokenizer.pad_token_id)
        between = getattr(tokenizer, "word_delimiter_token", None) or " "
        self._between = self._letters.get(between)
        special = {*tokenizer.all_special_tokens, between}
        plain_letters = [letter for letter in self._letters if letter not in special and len(letter) == 1]
        if not plain_letters or max(self._letters.values()) >= config.vocab_size:
            raise unusable(model, f"its vocabulary has no letters, or more than the {config.vocab_size} of its head")
        self._known = {letter: self._letters[letter] for letter in plain_letters}
        self._names = {place: letter for letter, place in self._known.items()}

    def spelled(self, word: str) -> list[int] | None:
        """Its letters; as they are written where the model knows them all, else as they are read in English."""
        bare = word.strip(PUNCTUATION) if len(word) <= LONGEST_WORD else ""
        for text in (bare, plain(bare), "".join(word for way in readings(bare)[:1] for word in way)):
            for cased in (text, text.upper(), text.lower()):
                found = [self._known.get(letter) for letter in cased if letter not in "-–"]
                if found and None not in found:
                    return [place for place in found if place is not None]
        return None

    def hear(self, wave: np.ndarray, words: Sequence[list[int]], *, open_end: bool) -> Heard:
        if len(wave) < self._sees:
            return NOTHING
        scores = self._log_probabilities(wave)
        labels: list[int] = []
        owner: list[int] = []
        ends = [0]
        for number, word in enumerate(words):
            if number and self._between is not None:
                labels.append(self._between)
                owner.append(-1)
            labels += word
            owner += [number] * len(word)
            ends.append(len(labels))
        graph = label_chain(labels, blank=self._blank, ends=ends if open_end else None)
        path, gains = best_path(scores, graph)
        if not len(path):
            return NOTHING
        free = scores.max(axis=1)
        label = np.where(path % 2 == 1, path // 2, -1)
        word_of = np.array([*owner, -1])[label]
        between = path % 2 == 0  # blanks within a word are the word's
        sides = np.array([-1, *owner, -1])
        inner = np.where(sides[path // 2] == sides[path // 2 + 1], sides[path // 2], -1)
        names = {2 * place + 1: self._names.get(each, "") for place, each in enumerate(labels) if owner[place] >= 0}
        return Heard(
            np.where(between, inner, word_of).astype(np.int32), path, names, gains, free.astype(np.float64),
            np.where(between, 0, gains - free).astype(np.float32),
        )  # fmt: skip

    def _log_probabilities(self, wave: np.ndarray) -> np.ndarray:
        """float32 [time, letter]."""
        import torch

        inputs = self._extractor(wave, sampling_rate=self.rate_hz, return_tensors="pt")
        with torch.inference_mode():
            logits = self._network(next(iter(inputs.values()))).logits[0].float()
        scores: np.ndarray = torch.log_softmax(logits, dim=-1).numpy()
        return scores


def digest(model: str, revision: str | None) -> str:
    """A digest of the model's files."""
    return digest_of_folder(model, revision)


@lru_cache(maxsize=4)
def ctc_voice(model: str, revision: str | None, _digest: str) -> CtcVoice:
    """The model, loaded once a process for as long as its files stay as they are."""
    return CtcVoice(model, revision)


def _receptive(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """How many samples the first frame is made of."""
    size = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        size = (size - 1) * stride + kernel
    return size


def _parts(folder: Path, model: str) -> tuple[Any, Any, Any]:
    try:
        from transformers import AutoFeatureExtractor, AutoModelForCTC, AutoTokenizer
    except ImportError as error:
        raise MissingExtra("model", [f"model {model!r}: needs transformers: pip install 'mmdata[models]'"]) from error
    given = {"local_files_only": True, "trust_remote_code": False}
    try:
        network = AutoModelForCTC.from_pretrained(folder, use_safetensors=True, **given)
        parts = network.eval(), AutoFeatureExtractor.from_pretrained(folder, **given)
        tokenizer = AutoTokenizer.from_pretrained(folder, **given)
    except Exception as error:  # whatever stands in a stranger's files
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise unusable(model, f"can't be used as a CTC model: {first[:300]}") from error
    if tokenizer.pad_token_id is None or not hasattr(network.config, "conv_stride"):
        raise unusable(model, "is no CTC model of waveforms with letters, such as Wav2Vec2ForCTC")
    return *parts, tokenizer
