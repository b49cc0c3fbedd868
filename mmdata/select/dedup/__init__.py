"""Rules of duplicates, by the names that pipeline files use: `select.dedup.NearText`."""

from __future__ import annotations

from mmdata.select.dedup.audio import NearAudio
from mmdata.select.dedup.exact import Exact
from mmdata.select.dedup.image import NearBits, NearImage
from mmdata.select.dedup.rule import Against, Rule
from mmdata.select.dedup.semantic import Semantic
from mmdata.select.dedup.text import NearText
from mmdata.select.dedup.video import NearVideo
from mmdata.select.dedup.views import NearView

__all__ = [
    "Against",
    "Exact",
    "NearAudio",
    "NearBits",
    "NearImage",
    "NearText",
    "NearVideo",
    "NearView",
    "Rule",
    "Semantic",
]

RULES: dict[str, type[Rule]] = {
    cls.__name__: cls for cls in (Exact, NearAudio, NearBits, NearImage, NearText, NearVideo, NearView, Semantic)
}
