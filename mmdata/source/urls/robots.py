"""What sites say of being read by machines: robots.txt (RFC 9309) and X-Robots-Tag."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mmdata.source.urls.manners import AGENT, OPT_OUTS

MAX_BYTES = 512 << 10  # RFC 9309, 2.5: at least 500 KiB are to be parsed
LONGEST_DELAY_S = 30.0


class Rules:
    """One site's robots.txt: what may be asked of it, and how often.

    Args:
        text: of the file; None where the site could not say, and so nothing may be asked (RFC 9309, 2.3.1.4).
    """

    def __init__(self, text: str | None) -> None:
        from protego import Protego

        self._rules: Any = None if text is None else Protego.parse(text)

    def allow(self, url: str) -> bool:
        """Whether a URL of the site may be asked for."""
        return self._rules is not None and bool(self._rules.can_fetch(url, AGENT))

    @property
    def delay_s(self) -> float:
        """Seconds that the site wants between requests (Crawl-delay); 30 at most."""
        delay = self._rules.crawl_delay(AGENT) if self._rules is not None else None
        return min(float(delay or 0), LONGEST_DELAY_S)


def opt_out(tags: Iterable[str]) -> str | None:
    """The directive by which the values of X-Robots-Tag keep a resource out of collections; None without one.

    A value that begins with another agent's name and a colon is not for us.

    >>> opt_out(["noarchive, noai"]), opt_out(["otherbot: noindex"]), opt_out(["mmdata: noindex, nofollow"])
    ('noai', None, 'noindex')
    """
    for tag in tags:
        agent, colon, rest = tag.partition(":")
        named = bool(colon) and "," not in agent and agent.strip().lower() != "unavailable_after"
        if named and agent.strip().lower() != AGENT:
            continue
        directives = {word.strip().lower() for word in (rest if named else tag).split(",")}
        found = [word for word in OPT_OUTS if word in directives]
        if found:
            return found[0]
    return None
