"""Keep texts, or their beginnings, by length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from mmdata.core.sample import Text
from mmdata.core.step import Drop, Filter, Map
from mmdata.kernels.text.blanks import first_lines


@dataclass(frozen=True, kw_only=True)
class KeepLength(Filter[Text]):
    """Drop a text with too few or too many characters (code points); both bounds are kept."""

    on: str = "text"
    min_chars: Annotated[int, Ge(0)] = 1
    max_chars: Annotated[int, Ge(0)] | None = None

    def __post_init__(self) -> None:
        if self.max_chars is not None and self.max_chars < self.min_chars:
            raise ValueError(f"max_chars ({self.max_chars}) is below min_chars ({self.min_chars})")

    def keep(self, text: Text) -> Literal[True] | Drop:
        if len(text.text) < self.min_chars:
            return Drop("too_short")
        if self.max_chars is not None and len(text.text) > self.max_chars:
            return Drop("too_long")
        return True


@dataclass(frozen=True, kw_only=True)
class KeepLines(Map[Text, Text]):
    """Keep the first lines of a text, such as a caption above its translations."""

    on: str = "text"
    first: Annotated[int, Ge(1)] = 1

    def map(self, text: Text) -> Text | Drop:
        return text.changed(first_lines(text.text, self.first))
