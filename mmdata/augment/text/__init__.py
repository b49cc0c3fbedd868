"""Change texts at random: words, characters, or all of it by a translation there and back.

Most have a setting `share`: of so many words or characters they change that share, each drawn on its own.
"""

from __future__ import annotations

from mmdata.augment.text.characters import AddMisreadings, AddTypos, ChangeCase
from mmdata.augment.text.translation import BackTranslate
from mmdata.augment.text.words import DeleteWords, InsertWords, ReplaceByVectors, ReplaceWords, SwapWords

__all__ = [
    "AddMisreadings",
    "AddTypos",
    "BackTranslate",
    "ChangeCase",
    "DeleteWords",
    "InsertWords",
    "ReplaceByVectors",
    "ReplaceWords",
    "SwapWords",
]
