"""Tell and choose languages."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from mmdata.core.sample import Sample, Text
from mmdata.core.step import Drop, Filter, Map
from mmdata.kernels.text.language import language


@dataclass(frozen=True, kw_only=True)
class KeepLanguage(Filter[Text]):
    """Drop a text that is not in one of some languages, or not surely so; see `kernels.text.language`.

    Args:
        languages: their codes, such as ("en", "de"); empty takes any that is told surely enough.
        min_confidence: how sure it must be; FineWeb takes 0.65 for English.

    Reference:
        Joulin et al., "Bag of Tricks for Efficient Text Classification" (EACL 2017): fastText's lid.176; the bound is
        that of Penedo et al., "The FineWeb Datasets" (2024).
    """

    extra: ClassVar[str | None] = "text"

    on: str = "text"
    languages: tuple[str, ...] = ()
    min_confidence: Annotated[float, Ge(0), Le(1)] = 0.65

    def keep(self, text: Text) -> Literal[True] | Drop:
        code, confidence = language(text.text)
        if self.languages and code not in self.languages:
            return Drop("other_language")
        return True if confidence >= self.min_confidence else Drop("unsure_language")


@dataclass(frozen=True, kw_only=True)
class TellLanguage(Map[Sample, Sample]):
    """Write a text's language and how sure it is into the sample's metadata: `language`, `language_confidence`.

    Args:
        part: the text. A sample without it is left as it is.

    Reference:
        Joulin et al., "Bag of Tricks for Efficient Text Classification" (EACL 2017): fastText's lid.176.
    """

    extra: ClassVar[str | None] = "text"

    part: str = "text"

    def needs(self, parts: Collection[str] | None) -> Mapping[str, type]:  # noqa: ARG002  it needs one in any case
        return {self.part: Text}

    def map(self, sample: Sample) -> Sample | Drop:
        text = sample.parts.get(self.part)
        if text is None:
            return sample
        if not isinstance(text, Text):
            raise TypeError(f"part {self.part!r} is {type(text).__name__}, expected Text")
        code, confidence = language(text.text)
        return sample.with_meta(language=code, language_confidence=round(confidence, 4))
