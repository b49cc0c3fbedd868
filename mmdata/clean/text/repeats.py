"""Take out what a text says twice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from mmdata.core.sample import Text
from mmdata.core.step import Drop, Map
from mmdata.kernels.text.repeats import repeated_runs


@dataclass(frozen=True, kw_only=True)
class RemoveRepeatedLines(Map[Text, Text]):
    """Take out lines that stood in the text before; the first of each stays.

    Args:
        min_chars: shorter lines may come again, blanks at their ends not counted.

    Reference:
        Rae et al., "Scaling Language Models" (2021), A.1.1, whose rules drop whole texts by such lines.
    """

    on: str = "text"
    min_chars: Annotated[int, Ge(1)] = 10

    def map(self, text: Text) -> Text | Drop:
        seen: set[str] = set()
        kept = []
        for line in text.text.split("\n"):
            core = line.strip()
            if len(core) < self.min_chars or core not in seen:
                kept.append(line)
                seen.add(core)
        return text.changed("\n".join(kept))


@dataclass(frozen=True, kw_only=True)
class RemoveRepeatedRuns(Map[Text, Text]):
    """Take out runs of words that stood in the text before, across lines, too; the first of each stays.

    Words are what stands between blanks, without regard to case; they go with the blank before them, and lines of
    which no word is left go whole. Scripts without blanks have few words: use `RemoveRepeatedLines`.

    Args:
        n_words: words a run; longer ones are found as several.

    Reference:
        The runs of Rae et al., "Scaling Language Models" (2021), table A1, which drops whole texts by them
        (`KeepGopherRepetition`); taken out as Lee et al., "Deduplicating Training Data Makes Language Models Better"
        (ACL 2022), do across texts.
    """

    on: str = "text"
    n_words: Annotated[int, Ge(2)] = 10

    def map(self, text: Text) -> Text | Drop:
        goes = repeated_runs([word.casefold() for word in text.text.split()], self.n_words)
        if not goes.any():
            return text
        left = iter(goes.tolist())
        lines = []
        for line in text.text.splitlines(keepends=True):
            kept = WORD.sub(lambda found: "" if next(left) else found[0], line)
            if kept.strip() or not line.strip():
                lines.append(kept if kept == line else kept.lstrip(" \t"))
        return text.changed("".join(lines))


WORD = re.compile(r"[ \t]?\S+")
