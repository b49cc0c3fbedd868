"""Mend, cut, judge or drop texts."""

from __future__ import annotations

from mmdata.clean.text.characters import KeepLetters, RemoveCharacters, RemoveHidden, ReplacePattern
from mmdata.clean.text.language import KeepLanguage, TellLanguage
from mmdata.clean.text.length import KeepLength, KeepLines, KeepWordCount, SplitText
from mmdata.clean.text.lists import DropListedWords, RemoveWords
from mmdata.clean.text.markup import HtmlToText, MarkdownToText
from mmdata.clean.text.mend import NormalizeText
from mmdata.clean.text.perplexity import KeepPerplexity
from mmdata.clean.text.private import RedactPrivate
from mmdata.clean.text.quality import KeepC4Lines, KeepFineWebQuality, KeepGopherQuality, KeepGopherRepetition
from mmdata.clean.text.repeats import RemoveRepeatedLines, RemoveRepeatedRuns

__all__ = [
    "DropListedWords",
    "HtmlToText",
    "KeepC4Lines",
    "KeepFineWebQuality",
    "KeepGopherQuality",
    "KeepGopherRepetition",
    "KeepLanguage",
    "KeepLength",
    "KeepLetters",
    "KeepLines",
    "KeepPerplexity",
    "KeepWordCount",
    "MarkdownToText",
    "NormalizeText",
    "RedactPrivate",
    "RemoveCharacters",
    "RemoveHidden",
    "RemoveRepeatedLines",
    "RemoveRepeatedRuns",
    "RemoveWords",
    "ReplacePattern",
    "SplitText",
    "TellLanguage",
]
