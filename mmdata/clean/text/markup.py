"""Markup to plain text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge

from mmdata.core.sample import Text
from mmdata.core.step import Drop, Map
from mmdata.kernels.text.markup import html_text, markdown_text


@dataclass(frozen=True, kw_only=True)
class HtmlToText(Map[Text, Text]):
    """A page's text, as a browser's parser reads it; see `kernels.text.markup.html_text`.

    Args:
        skip: elements to leave out with all that stands in them: ("nav", "header", "footer", "aside", "form").
        max_chars: longer pages are dropped; one that nests 100,000 elements deep takes minutes.

    Reference:
        WHATWG, HTML standard: parsing, and what is rendered; parsed by Lexbor.
    """

    extra: ClassVar[str | None] = "text"

    on: str = "text"
    skip: tuple[str, ...] = ()
    max_chars: Annotated[int, Ge(1)] = 20_000_000

    def map(self, text: Text) -> Text | Drop:
        if len(text.text) > self.max_chars:
            return Drop("too_long")
        return text.changed(html_text(text.text, skip=self.skip))


@dataclass(frozen=True, kw_only=True)
class MarkdownToText(Map[Text, Text]):
    """What Markdown says without its signs; see `kernels.text.markup.markdown_text`.

    Args:
        max_chars: longer texts are dropped, as some of them take time that grows faster than they do.

    Reference:
        CommonMark with tables and strike-through, read by markdown-it-py.
    """

    extra: ClassVar[str | None] = "text"

    on: str = "text"
    max_chars: Annotated[int, Ge(1)] = 1_000_000

    def map(self, text: Text) -> Text | Drop:
        if len(text.text) > self.max_chars:
            return Drop("too_long")
        return text.changed(markdown_text(text.text))
