"""Mend, cut, judge or drop texts."""

from __future__ import annotations

from mmdata.clean.text.characters import KeepLetters, RemoveCharacters, RemoveHidden, ReplacePattern
from mmdata.clean.text.length import KeepLength, KeepLines
from mmdata.clean.text.mend import NormalizeText
from mmdata.clean.text.private import RedactPrivate
from mmdata.clean.text.quality import KeepC4Lines, KeepFineWebQuality, KeepGopherQuality, KeepGopherRepetition

__all__ = [
    "KeepC4Lines",
    "KeepFineWebQuality",
    "KeepGopherQuality",
    "KeepGopherRepetition",
    "KeepLength",
    "KeepLetters",
    "KeepLines",
    "NormalizeText",
    "RedactPrivate",
    "RemoveCharacters",
    "RemoveHidden",
    "ReplacePattern",
]
