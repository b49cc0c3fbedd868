"""One host as a guest sees it: how many may call at once, how often, what its robots.txt says, whether it answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from urllib.parse import urlsplit

from mmdata.source.urls.manners import Manners, NotFetched
from mmdata.source.urls.robots import Rules

DEAD_FOR_S = 60.0  # what can't be reached is not tried again for so long
PROBE_S = 5.0


def origin_of(url: str) -> str:
    """Scheme, host and port: what robots.txt holds for."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


class Host:
    """One origin, for all threads of a process."""

    def __init__(self, origin: str, manners: Manners) -> None:
        self.origin = origin
        self._gap_s = 1 / manners.requests_per_s
        self._slots = threading.BoundedSemaphore(manners.per_host)
        self._times, self._robots = threading.Lock(), threading.Lock()
        self._next_s = 0.0
        self._rules: Rules | None = None
        self._dead: tuple[float, NotFetched] | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A caller's turn: when a connection is free, and the time since the last request is long enough."""
        with self._slots:
            with self._times:
                starts_s = max(self._next_s, monotonic())
                self._next_s = starts_s + self._gap_s
            sleep(max(0.0, starts_s - monotonic()))
            yield

    def rest(self, seconds: float) -> None:
        """Let it be for a time, as it asked."""
        with self._times:
            self._next_s = max(self._next_s, monotonic() + seconds)

    def rules(self, read: Callable[[], Rules]) -> Rules:
        """Its robots.txt, read once."""
        with self._robots:
            if self._rules is None:
                self._rules = read()
                self._gap_s = max(self._gap_s, self._rules.delay_s)
            return self._rules

    def give_up(self, why: NotFetched) -> None:
        """Note that it can't be reached."""
        self._dead = monotonic() + DEAD_FOR_S, why

    def check(self) -> None:
        """Raise what was said when it could not be reached a moment ago."""
        if self._dead is not None and monotonic() < self._dead[0]:
            raise NotFetched(self._dead[1].kind, str(self._dead[1]), lost=self._dead[1].lost)


def answers(origin: str) -> bool:
    """Whether anything is there that takes or refuses a connection: either way the network is up."""
    parts = urlsplit(origin)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=PROBE_S).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True
