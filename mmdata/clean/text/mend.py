"""Mend encodings, Unicode and blanks."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import ClassVar, Literal

from mmdata.core.sample import Text
from mmdata.core.step import Drop, Map
from mmdata.kernels.text.blanks import squeeze_blanks
from mmdata.kernels.text.mending import mend


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

    Reference:
        Speer, "ftfy" (2019); UAX #15 for normal forms.
    """

    extra: ClassVar[str | None] = "text"

    on: str = "text"
    form: Literal["NFC", "NFKC"] = "NFC"
    mend: bool = True
    keep_lines: bool = True

    def map(self, text: Text) -> Text | Drop:
        mended = mend(text.text) if self.mend else text.text
        return text.changed(squeeze_blanks(unicodedata.normalize(self.form, mended), keep_lines=self.keep_lines))
