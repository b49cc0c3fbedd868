"""Getting one URL: redirects, retries, ranges, limits; every failure has a kind."""

from __future__ import annotations

import errno
import random
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from time import monotonic
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

from mmdata.source.urls.answer import Got, Wanted, check, wait_s
from mmdata.source.urls.hosts import Host, answers, origin_of
from mmdata.source.urls.manners import Manners, NotFetched, of_status
from mmdata.source.urls.robots import MAX_BYTES, Rules, opt_out

BACK_OFF_S, LONGEST_WAIT_S = 0.5, 120.0
_LASTING = ("private_address", "bad_url", "tls")  # trying again is of no use
ALIVE_FOR_S = 30.0  # a network that answered is taken to be up for so long
PROBED = 6  # hosts that are asked before the network is said to be down
CHUNK_BYTES = 64 << 10
_REDIRECTS = (301, 302, 303, 307, 308)
OK, PARTIAL, NOT_THAT_RANGE, TOO_MANY = 200, 206, 416, 429
_PASSING = (408, 425, TOO_MANY, 500, 502, 503, 504)


class Room(Protocol):
    """Where bytes are held until they are read."""

    def take(self, n_bytes: int) -> bool:
        """Whether so many more may be held now."""

    def give_back(self) -> None:
        """What was taken is not held any more."""

    def wait(self) -> None:
        """Return when nothing else is waited for: then there is room, whatever it takes."""

    def pause(self, seconds: float) -> None:
        """Let time pass."""


class _Again(Exception):
    """A failure that may pass; with what is said when it does not, and the time that the server asks for.

    Args:
        no_host: the host, where none was reached.
    """

    def __init__(self, why: NotFetched, after_s: float | None = None, *, no_host: Host | None = None) -> None:
        super().__init__(str(why))
        self.why, self.after_s, self.no_host = why, after_s, no_host


class _NoRoom(Exception):
    """Too much is held already by what is read later."""


class _Ample:
    """Room for what is small."""

    def take(self, n_bytes: int) -> bool:  # noqa: ARG002  a room's form
        return True

    def give_back(self) -> None: ...

    def wait(self) -> None: ...

    def pause(self, seconds: float) -> None:
        threading.Event().wait(seconds)


@lru_cache(maxsize=8)
def fetcher_of(manners: Manners) -> Fetcher:
    """The process's one fetcher of these manners: what it knows of hosts lasts over shards."""
    return Fetcher(manners)


class Fetcher:
    """Fetches URLs, from any number of threads."""

    def __init__(self, manners: Manners) -> None:
        self.manners = manners
        self._hosts: dict[str, Host] = {}
        self._answered: dict[str, None] = {}
        self._lock = threading.Lock()
        self._alive_until_s = 0.0

    @cached_property
    def _pools(self) -> Any:
        from mmdata.source.urls.connect import connections

        return connections(self.manners)

    def fetch(self, wanted: Wanted, room: Room) -> bytes:
        """The bytes of a URL.

        Raises:
            NotFetched: they can't be had, may not be, or are not what is wanted.
        """
        got = Got()
        self._persist(wanted.url, got, room, self.manners.max_bytes, robots=self.manners.robots)
        data = b"".join(got.chunks)
        check(wanted, data, got.type)
        return data

    def network_is_down(self, others: Iterable[str]) -> bool:
        """Whether none of the hosts that answered before, nor of the origins of `others`, can be reached."""
        with self._lock:
            if monotonic() < self._alive_until_s:
                return False
            asked = list(dict.fromkeys([*reversed(self._answered), *map(origin_of, others)]))[:PROBED]
            if any(answers(origin) for origin in asked):
                self._alive_until_s = monotonic() + ALIVE_FOR_S
                return False
            return True

    def _host(self, url: str) -> Host:
        origin = origin_of(url)
        with self._lock:
            if origin not in self._hosts:
                self._hosts[origin] = Host(origin, self.manners)
            return self._hosts[origin]

    def _persist(self, url: str, got: Got, room: Room, max_bytes: int, *, robots: bool) -> None:
        """Fetch a URL into `got`, as often as it takes."""
        until_s, attempt = monotonic() + self.manners.max_s, 0
        while True:
            try:
                return self._follow(url, got, room, max_bytes, until_s, robots=robots)
            except _NoRoom:
                _start_over_unless_resumable(got, room)
                room.wait()
                until_s = monotonic() + self.manners.max_s
            except _Again as again:
                _start_over_unless_resumable(got, room)
                wait = BACK_OFF_S * 2**attempt * random.uniform(0.5, 1.5) if again.after_s is None else again.after_s
                attempt += 1
                if attempt > self.manners.retries or wait > LONGEST_WAIT_S:
                    if again.no_host is not None:
                        again.no_host.give_up(again.why)
                    raise again.why from None
                room.pause(wait)

    def _follow(self, url: str, got: Got, room: Room, max_bytes: int, until_s: float, *, robots: bool) -> None:
        """One attempt, through all redirects."""
        seen = [url]
        while True:
            checked(url)
            if robots and not self._rules(url).allow(url):
                raise NotFetched("robots", f"{url}: the site's robots.txt asks machines to leave it alone")
            with self._asked(url, got.headers()) as answer:
                to = answer.headers.get("Location") if answer.status in _REDIRECTS else None
                if to is None:
                    self._take(url, answer, got, room, max_bytes, until_s, robots=robots)
                    return
            url = urljoin(url, to)
            if url in seen or len(seen) > self.manners.redirects:
                raise NotFetched("redirects", f"{seen[0]}: redirected {len(seen)} times, at last to {url}")
            seen.append(url)

    def _rules(self, url: str) -> Rules:
        host = self._host(url)

        def read() -> Rules:
            got = Got()
            try:
                self._persist(f"{host.origin}/robots.txt", got, _Ample(), MAX_BYTES, robots=False)
            except NotFetched as error:
                if error.status:  # RFC 9309, 2.3.1: none is there, or the site can't say
                    return Rules(None if error.status >= 500 or error.status == TOO_MANY else "")
                if error.kind not in ("too_large", "redirects"):
                    raise
            return Rules(b"".join(got.chunks).decode("utf-8", "replace"))

        return host.rules(read)

    @contextmanager
    def _asked(self, url: str, headers: dict[str, str]) -> Iterator[Any]:
        """The answer to a request, its body not yet read."""
        from urllib3.exceptions import HTTPError
        from urllib3.util import Timeout

        manners, host = self.manners, self._host(url)
        host.check()
        answer: Any = None
        with host.turn():
            try:
                answer = self._pools.urlopen(
                    "GET",
                    url,
                    headers={"User-Agent": manners.agent, "Accept-Encoding": "identity", **headers},
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    timeout=Timeout(connect=manners.timeout_s, read=manners.timeout_s),
                )
                with self._lock:
                    self._answered[host.origin] = self._answered.pop(host.origin, None)
                yield answer
            except (HTTPError, OSError, UnicodeError) as error:
                why = _failure(url, error)
                if why.kind in _LASTING:
                    raise why from error
                raise _Again(why, no_host=host if why.kind == "unreachable" else None) from error
            finally:
                if answer is not None:
                    answer.close()  # what is not read to its end is of no use to another request

    def _take(
        self, url: str, answer: Any, got: Got, room: Room, max_bytes: int, until_s: float, *, robots: bool
    ) -> None:
        """Read an answer's body, after all that its headers say against it."""
        self._judge(url, answer, got, room)
        if robots and (said := opt_out(answer.headers.getlist("X-Robots-Tag"))):
            raise NotFetched("opted_out", f"{url}: X-Robots-Tag says {said}")
        got.learn(answer.headers)
        too_large = NotFetched("too_large", f"{url}: it has more than {max_bytes:,} bytes, which is max_bytes")
        if got.size + int(answer.length_remaining or 0) > max_bytes:
            raise too_large
        while chunk := answer.read1(CHUNK_BYTES):  # what there is: nothing that came is lost when it breaks off
            if monotonic() > until_s:
                raise NotFetched("timed_out", f"{url}: it took more than {self.manners.max_s:g} s, which is max_s")
            if got.size + len(chunk) > max_bytes:
                raise too_large
            if not room.take(len(chunk)):
                raise _NoRoom
            got.add(chunk)

    def _judge(self, url: str, answer: Any, got: Got, room: Room) -> None:
        """Raise unless the answer holds the bytes, or those that are still missing."""
        headers = answer.headers
        if answer.status in _PASSING:
            after_s = wait_s(headers.get("Retry-After"))
            if after_s is not None and after_s <= LONGEST_WAIT_S:
                self._host(url).rest(after_s)
            raise _Again(of_status(answer.status, url), after_s)
        rest = headers.get("Content-Range", "").startswith(f"bytes {got.size}-")
        if answer.status == NOT_THAT_RANGE or (answer.status == PARTIAL and not (rest and got.size)):
            got.clear()
            raise _Again(NotFetched("cut_off", f"{url}: the server has other bytes than before"))
        if answer.status not in (OK, PARTIAL):
            raise of_status(answer.status, url)
        if answer.status == OK and got.size:
            got.clear()
            room.give_back()


def checked(url: str) -> None:
    """Refuse what is no plain http(s) URL.

    Raises:
        NotFetched: a file, a password in it, no host.
    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not url.isprintable() or " " in url:
        raise NotFetched("bad_url", f"{url[:200]!r} is no http or https URL")
    if parts.username or parts.password:
        raise NotFetched("bad_url", f"{parts.scheme}://…@{parts.hostname}: a URL with a password is not fetched")


def _start_over_unless_resumable(got: Got, room: Room) -> None:
    if not got.is_resumable:
        got.clear()
        room.give_back()


def _failure(url: str, error: Exception) -> NotFetched:
    """What a failed request is called."""
    from urllib3 import exceptions as of

    from mmdata.source.urls.connect import PrivateAddress

    if isinstance(error, PrivateAddress):
        hint = "; say allow_private: true where that is meant"
        return NotFetched("private_address", f"{url}: {error}{hint}")
    if isinstance(error, of.LocationValueError | UnicodeError):
        return NotFetched("bad_url", f"{url[:200]!r} is no http or https URL")
    if isinstance(error, of.NewConnectionError | of.ConnectTimeoutError):
        says, lost = _unreachable(error)
        return NotFetched("unreachable", f"{url}: no connection: {says}", lost=lost)
    if isinstance(error, of.TimeoutError | TimeoutError):
        return NotFetched("timed_out", f"{url}: the server fell silent")
    if isinstance(error, of.SSLError):
        return NotFetched("tls", f"{url}: no safe connection: {error}")
    return NotFetched("cut_off", f"{url}: the answer broke off, or is none: {type(error).__name__}")


def _unreachable(error: Exception) -> tuple[str, bool]:
    """Why there is no connection, and whether that may be the network's fault: a refusal and "no such name" are not."""
    cause = error.__cause__
    if isinstance(cause, socket.gaierror):
        known = cause.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
        return ("there is no such host" if known else "its name can't be resolved"), not known
    if isinstance(cause, OSError) and cause.errno is not None:
        return cause.strerror or errno.errorcode.get(cause.errno, "?"), cause.errno != errno.ECONNREFUSED
    return "it timed out", True
