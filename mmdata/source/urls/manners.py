"""How servers are treated, and what is taken from them; and the reject that says why something was not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmdata import __version__
from mmdata.errors import Unreadable

AGENT = "mmdata"  # the name that robots.txt addresses
OPT_OUTS = ("noai", "noimageai", "noindex", "noimageindex")  # directives of X-Robots-Tag, as img2dataset heeds them
HTTP_KINDS = (400, 401, 403, 404, 410, 429, 451, 500, 502, 503, 504)  # statuses that are kinds of their own

Kind = Literal[
    "bad_url", "cut_off", "opted_out", "private_address", "redirects", "robots", "timed_out", "tls", "too_large",
    "unreachable", "wrong_digest", "wrong_type",
]  # fmt: skip


class NotFetched(Unreadable):
    """A URL whose bytes could not be had, or are not what was asked for.

    Args:
        kind: of the reject. error: what a person is told. lost: whether the network itself may be down. status: of the
            server's answer, where there was one that says no.
    """

    def __init__(self, kind: str, error: str, *, lost: bool = False, status: int = 0) -> None:
        super().__init__(error)
        self.kind, self.lost, self.status = kind, lost, status

    def __reduce__(self) -> tuple[type[NotFetched], tuple[str, str]]:
        return type(self), (self.kind, str(self))


def of_status(status: int, url: str) -> NotFetched:
    """The reject of an answer's status."""
    kind = f"http_{status}" if status in HTTP_KINDS else "http_other"
    return NotFetched(kind, f"{url}: the server answered {status}", status=status)


@dataclass(frozen=True, kw_only=True)
class Manners:
    """How one process fetches. The limits a host hold in each worker process, so that N workers have N times as much.

    Args:
        max_bytes: of one answer, unpacked. max_s: for all of it. timeout_s: to connect, and between two reads.
        retries: after the first attempt. redirects: followed at most.
        connections: at once in all. per_host: at once to one host. requests_per_s: to one host.
        robots: whether robots.txt and the directives of X-Robots-Tag are heeded.
        contact: a URL or an address that servers are told. allow_private: whether private addresses may be asked.
    """

    max_bytes: int = 256 << 20
    max_s: float = 600.0
    timeout_s: float = 30.0
    retries: int = 3
    redirects: int = 5
    connections: int = 16
    per_host: int = 4
    requests_per_s: float = 10.0
    robots: bool = True
    contact: str = ""
    allow_private: bool = False

    @property
    def agent(self) -> str:
        """What servers are told: who asks, and whom they may turn to."""
        return f"{AGENT}/{__version__}" + (f" (+{self.contact})" if self.contact else "")
