"""SVG as text. Whatever is put in is escaped, once, here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

from mmdata.report.draw.wording import prose

_NAME = re.compile(r"[a-zA-Z][\w.-]*")


class Svg(str):
    """Markup that is escaped already; templates put it in as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def tag(element: str, *children: object, **attributes: object) -> Svg:
    """An element; texts among its children are escaped, None attributes left out. `class_` is class, `_` is `-`.

    >>> tag("text", "<b>", x=1.50, class_="a", aria_label='"')
    '<text x="1.5" class="a" aria-label="&quot;">&lt;b&gt;</text>'
    """
    if not _NAME.fullmatch(element):
        raise ValueError(f"no element can be called {element!r}")
    made = "".join(f' {_attribute(name)}="{_text(value)}"' for name, value in attributes.items() if value is not None)
    inner = "".join(child if isinstance(child, Svg) else escape(prose(str(child))) for child in children)
    return Svg(f"<{element}{made}>{inner}</{element}>")


def _attribute(name: str) -> str:
    plain = name.rstrip("_")
    return plain if plain in ("viewBox", "preserveAspectRatio") else plain.replace("_", "-")


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return escape(prose(str(value)), quote=True)


def picture(*children: object, width: float, height: float, label: str, fit: bool = True, **attributes: object) -> Svg:
    """A whole drawing, named for who can't see it; `fit` keeps its proportions, else it is stretched."""
    known: Mapping[str, object] = {"role": "img", "aria_label": label, **attributes}
    ratio = None if fit else "none"
    return tag("svg", *children, viewBox=f"0 0 {width:g} {height:g}", preserveAspectRatio=ratio, **known)
