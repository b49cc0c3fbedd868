"""Strings: blanks and lines, words, tokens, repetition, and what should not stand in them."""

from __future__ import annotations

from mmdata.kernels.text.blanks import first_lines, squeeze_blanks
from mmdata.kernels.text.words import char_grams, split_words, word_grams

__all__ = ["char_grams", "first_lines", "split_words", "squeeze_blanks", "word_grams"]
