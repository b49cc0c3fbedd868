"""Mend or drop texts."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge

from mmdata.core.sample import Text
from mmdata.core.step import Drop, Filter, Map
from mmdata.kernels.text import first_lines, squeeze_blanks


@dataclass(frozen=True, kw_only=True)
class NormalizeText(Map[Text, Text]):
    """Mend broken encodings, bring Unicode to one form and blanks to single spaces.

    Mending is ftfy's (Speer 2019): mojibake ("schÃ¶n"), HTML escapes, terminal codes, control characters, odd line
    breaks and lone surrogates. Curly quotes, fullwidth forms and ligatures are a writer's choice and are kept, unless
    form is NFKC.

    Args:
        form: the Unicode normal form.
        mend: let ftfy mend the text.
        keep_lines: keep line breaks, as line feeds; they are blanks else.
    """

    extra: ClassVar[str | None] = "text"

    on: str = "text"
    form: Literal["NFC", "NFKC"] = "NFC"
    mend: bool = True
    keep_lines: bool = True

    def map(self, text: Text) -> Text | Drop:
        mended = _mend(text.text) if self.mend else text.text
        return text.changed(squeeze_blanks(unicodedata.normalize(self.form, mended), keep_lines=self.keep_lines))


def _mend(text: str) -> str:
    import ftfy

    settings = ftfy.TextFixerConfig(
        unescape_html=True,
        uncurl_quotes=False,
        fix_character_width=False,
        fix_latin_ligatures=False,
        normalization=None,
        explain=False,
    )
    mended: str = ftfy.fix_text(text, settings)
    return mended


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
