"""Markup to plain text: what a reader of the page would see, a line for each block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

# Elements that no browser shows; what stands in them is no text of the page.
UNSEEN = frozenset(
    (
        "script",
        "style",
        "head",
        "title",
        "template",
        "noscript",
        "iframe",
        "object",
        "embed",
        "svg",
        "math",
        "canvas",
        "audio",
        "video",
        "select",
        "datalist",
    )
)
# Two line breaks around them, and one: HTML's rendering section, as innerText has it.
PARAGRAPHS = frozenset(
    (
        "p",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "pre",
        "ul",
        "ol",
        "dl",
        "table",
        "figure",
        "hr",
    )
)
BLOCKS = PARAGRAPHS | frozenset(
    (
        "address",
        "article",
        "aside",
        "body",
        "caption",
        "center",
        "dd",
        "details",
        "dialog",
        "div",
        "dt",
        "fieldset",
        "figcaption",
        "footer",
        "form",
        "header",
        "hgroup",
        "html",
        "legend",
        "li",
        "main",
        "menu",
        "nav",
        "optgroup",
        "option",
        "search",
        "section",
        "summary",
        "tbody",
        "tfoot",
        "thead",
        "tr",
    )
)
CELLS = frozenset(("td", "th"))


class _Page:
    """Text as it grows: runs of blanks are one, line breaks are put where the next word comes."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.breaks, self.gap = 0, ""

    def block(self, n_breaks: int) -> None:
        self.breaks = max(self.breaks, n_breaks) if self.pieces else 0
        self.gap = ""

    def words(self, text: str) -> None:
        """Text whose blanks count as one space each run."""
        words = text.split()
        if not words:
            self.gap = self.gap or (" " if text and not self.breaks else "")
            return
        self._write(" ".join(words), leads=text[0].isspace())
        self.gap = " " if text[-1].isspace() else ""

    def verbatim(self, text: str) -> None:
        """Text whose blanks stay as they are."""
        if text:
            self._write(text, leads=False)

    def _write(self, text: str, *, leads: bool) -> None:
        gap = self.gap or (" " if leads and self.pieces and not self.breaks else "")
        self.pieces.append("\n" * self.breaks if self.breaks else gap if self.pieces else "")
        self.pieces.append(text)
        self.breaks, self.gap = 0, ""


def html_text(html: str, *, skip: Sequence[str] = ()) -> str:
    r"""What a page says, read by a browser's parser (Lexbor, of selectolax): broken markup is mended as browsers do.

    Blocks stand on lines of their own, paragraphs have an empty line between them, cells of a row a tab. Blanks are
    one, but for `pre`. Scripts, styles, pictures and whatever else is no shown text are left out.

    Args:
        html: a page or a piece of one.
        skip: elements to leave out with all that stands in them, by name, such as "nav".

    >>> html_text("<p>One&nbsp;&amp; <b>two</b><br>three<ul><li>a<li>b</ul>")
    'One & two\nthree\n\na\nb'
    """
    from selectolax.lexbor import LexborHTMLParser

    page, unseen = _Page(), UNSEEN.union(skip)
    root = LexborHTMLParser(html.encode("utf-8", "replace").decode("utf-8")).root
    n_pre = 0
    for node, opens in _walk(root, unseen):
        tag = node.tag
        if tag == "-text":
            (page.verbatim if n_pre else page.words)(node.text_content or "")
        elif tag == "br":
            page.breaks, page.gap = page.breaks + opens, ""
        elif tag in BLOCKS:
            n_pre += (1 if opens else -1) * (tag == "pre")
            page.block(2 if tag in PARAGRAPHS else 1)
        elif tag in CELLS and opens and node.prev is not None:
            page.gap = "\t"
    return "".join(page.pieces).strip()


def _walk(root: Any, unseen: frozenset[str]) -> Iterator[tuple[Any, bool]]:
    """Nodes in order, elements when they open and when they close. No recursion: pages nest as deep as they like."""
    node, opens, last = root, True, root.mem_id if root is not None else 0
    while node is not None:
        if opens and node.tag in unseen:
            opens = False
        else:
            yield node, opens
        below = node.child if opens else None
        if below is not None:
            node = below
            continue
        if opens and node.tag != "-text":
            yield node, False
        if node.mem_id == last:  # nodes are compared by their whole contents otherwise
            return
        node, opens = (node.next, True) if node.next is not None else (node.parent, False)


def markdown_text(markdown: str) -> str:
    r"""What Markdown says without its signs, read by markdown-it-py: CommonMark with tables and strike-through.

    Blocks have an empty line between them, items and rows a line each, cells a tab. Code stays as it is; of a link its
    text is kept, of a picture its description; HTML inside of it becomes text by `html_text`.

    >>> markdown_text("# Title\n\nSome *words* and [a link](http://x.org).\n\n- one\n- two")
    'Title\n\nSome words and a link.\n\none\ntwo'
    """
    page = _Page()
    depth = 0  # of lists and tables, whose blocks stand close to each other
    for token in _parser().parse(markdown):
        if token.type in ("bullet_list_open", "ordered_list_open", "table_open"):
            page.block(1 if depth else 2)
            depth += 1
        elif token.type in ("bullet_list_close", "ordered_list_close", "table_close"):
            depth -= 1
            page.block(1 if depth else 2)
        elif token.type in ("td_open", "th_open"):
            page.gap = "\t" if not page.breaks else ""
        elif token.type == "inline":
            _inline(token.children or (), page)
        elif token.type in ("fence", "code_block"):
            page.block(2)
            page.verbatim(token.content.rstrip("\n"))
            page.block(2)
        elif token.type == "html_block":
            page.block(2)
            page.verbatim(html_text(token.content))
        elif token.block and token.type not in ("td_close", "th_close"):
            page.block(1 if depth else 2)
    return "".join(page.pieces).strip()


def _inline(tokens: Sequence[Any], page: _Page) -> None:
    for token in tokens:
        if token.type in ("text", "code_inline", "image"):
            page.verbatim(token.content)
        elif token.type == "softbreak":
            page.gap = " "
        elif token.type == "hardbreak":
            page.block(1)


@cache
def _parser() -> Any:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable(["table", "strikethrough"])
