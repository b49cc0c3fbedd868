"""Mend, cut, judge or drop texts."""

from __future__ import annotations

from mmdata.clean.text.length import KeepLength, KeepLines
from mmdata.clean.text.mend import NormalizeText

__all__ = ["KeepLength", "KeepLines", "NormalizeText"]
