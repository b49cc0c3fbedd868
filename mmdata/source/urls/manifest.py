"""Samples whose parts the web serves: a table of URLs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any, ClassVar
from urllib.parse import urldefrag, urlsplit

from mmdata.codec.sniff import Modality, modality_of_name
from mmdata.core.ports import Entry, Member, Scan
from mmdata.core.sample import Blob, Pointer, Sample
from mmdata.errors import RunStopped, Unreadable
from mmdata.source.names import unquoted
from mmdata.source.place import storage_field
from mmdata.source.rows.cells import Cells, part_blob, windows
from mmdata.source.rows.form import NoTable, Row, Rows
from mmdata.source.rows.open import rows_of
from mmdata.source.table import BadRow, Table, TableListing
from mmdata.source.urls.ahead import Ahead
from mmdata.source.urls.answer import DIGESTS, Wanted
from mmdata.source.urls.fetch import checked, fetcher_of
from mmdata.source.urls.manners import Manners, NotFetched

PROBED_ROWS = 1000  # of the manifest, for other hosts when one can't be reached
_MODALITIES: tuple[Modality, ...] = ("image", "audio", "video", "text")


@dataclass(frozen=True)
class Urls:
    """The rows of manifests (JSON Lines, CSV, Parquet) that name http and https URLs.

    Each URL is fetched when its sample is read, ahead of the reader and in its order. What is not answered, is too
    large, is an error page, or may not be had is a reject of that sample, with a kind of its own; `rejects --replay`
    tries it again. A network that is down altogether stops the run. URLs into private networks are refused, wherever
    a name or a redirect leads. Certificates are verified. Answers that break off are taken up where they broke.

    Limits a host hold in each worker process: with N workers a host sees up to N times as much.

    Args:
        path: a manifest, a folder of manifests, or a glob of them; or a URL of these in object storage.
        name: the first part of every key; the manifest's (or the folder's) name when it is empty.
        parts: by part's name, the column of its URL, or of its text for parts named by `inline`.
        key: the column that names samples; None numbers them by row, from 000000000.
        inline: parts whose column is the text itself.
        label: the column that is metadata `label`. meta: the columns that are metadata; None is all the rest.
        expect: by part, what it should be: image, audio, video or text. Where it is not said, the part's name tells
            ("image", "image_left"), or else the URL's extension.
        digests: by part, the column of the md5, sha1, sha256 or sha512 that its bytes must have, in hex.
        max_bytes: of one answer, unpacked. max_s: for all of it. timeout_s: to connect, and between two reads.
        retries: after the first attempt, ever later, or when the server says. redirects: followed at most.
        connections: at once. per_host: at once to one host. requests_per_s: to one host; its Crawl-delay may ask less.
        ahead_bytes: held of what is read later.
        robots: whether robots.txt is heeded, and noai, noimageai, noindex and noimageindex of X-Robots-Tag.
        contact: a URL or an e-mail address for the user agent, so that a site can turn to you.
        allow_private: whether private and loopback addresses may be asked: a server of your own.
        storage_options: credentials and endpoint of the manifest's object storage; not in a pipeline file.
    """

    extra: ClassVar[str] = "urls"
    fetches: ClassVar[bool] = True  # what is read comes from servers of others: nothing is tried unasked

    path: str
    _: KW_ONLY
    parts: Mapping[str, str]
    name: str = ""
    key: str | None = None
    inline: tuple[str, ...] = ("text",)
    label: str | None = None
    meta: tuple[str, ...] | None = None
    expect: Mapping[str, Modality] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    max_bytes: int = 256 << 20
    max_s: float = 600.0
    timeout_s: float = 30.0
    retries: int = 3
    redirects: int = 5
    connections: int = 16
    per_host: int = 4
    requests_per_s: float = 10.0
    ahead_bytes: int = 64 << 20
    robots: bool = True
    contact: str = ""
    allow_private: bool = False
    storage_options: Mapping[str, str] = storage_field()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self._table.name)
        if unknown := sorted((set(self.expect) | set(self.digests)) - set(self.parts)):
            raise ValueError(f"expect and digests name parts, and {', '.join(unknown)} is none")
        limits = ("max_bytes", "max_s", "timeout_s", "connections", "per_host", "requests_per_s")
        if bad := [name for name in limits if getattr(self, name) <= 0]:
            raise ValueError(f"{', '.join(bad)}: must be above 0")

    def scan(self) -> Scan:
        """Read every row of the manifests; nothing is fetched.

        Raises:
            ConfigError: there is no such manifest, it lacks a column that is asked for, or no row of it is a sample.
        """
        return _UrlListing(self, self._table).scan()

    def read(self, entries: Sequence[Entry]) -> Iterator[Sample]:
        """The entries' samples, their bytes fetched.

        Raises:
            RunStopped: no host at all can be reached.
        """
        tables, opened = self._table.where(), dict[str, Rows]()
        wanted = [self._wanted(member) for entry in entries for member in entry.members if not _is_cell(member)]
        with Ahead(fetcher_of(self._manners), wanted, max_bytes=self.ahead_bytes) as ahead:
            for window in windows(entries):
                cells = Cells(tables, opened, window)
                for entry in window:
                    parts = {
                        member.part: part_blob(tables, cells, member)
                        if _is_cell(member)
                        else self._blob(member, ahead.next(), wanted)
                        for member in entry.members
                    }
                    yield Sample(entry.key, parts, entry.meta)

    @property
    def _table(self) -> Table:
        return Table(
            self.path, name=self.name, parts=self.parts, key=self.key, inline=self.inline,
            label=self.label, storage_options=self.storage_options,
            meta=None if self.meta is None else (*self.meta, *self.digests.values()),
        )  # fmt: skip

    @property
    def _manners(self) -> Manners:
        return Manners(
            max_bytes=self.max_bytes, max_s=self.max_s, timeout_s=self.timeout_s, retries=self.retries,
            redirects=self.redirects, connections=self.connections, per_host=self.per_host,
            requests_per_s=self.requests_per_s, robots=self.robots, contact=self.contact,
            allow_private=self.allow_private,
        )  # fmt: skip

    def _wanted(self, member: Member) -> Wanted:
        digest = member.signature if member.signature.partition(":")[0] in DIGESTS.values() else ""
        return Wanted(Pointer.parse(member.pointer).uri, self.expected(member), digest)

    def expected(self, member: Member) -> Modality | None:
        """What a part should be, as far as that is told."""
        told = self.expect.get(member.part)
        named = (kind for kind in _MODALITIES if member.part == kind or member.part.startswith(f"{kind}_"))
        return told or next(named, None) or modality_of_name(urlsplit(member.pointer).path)

    def _blob(self, member: Member, result: bytes | NotFetched, wanted: Sequence[Wanted]) -> Blob:
        pointer = Pointer.parse(member.pointer)
        name = urlsplit(pointer.uri).path.rpartition("/")[2]
        if isinstance(result, NotFetched):
            if result.lost and fetcher_of(self._manners).network_is_down(self._others(wanted)):
                raise RunStopped(
                    f"{result}; nor can any other host be reached: the network is down. "
                    "What is committed stays; the same command goes on from there"
                )
            return Blob(pointer, member.size, partial(_raise, result.kind, str(result)), name)
        blob = Blob(pointer, len(result), lambda: result, name)
        blob.data()
        return blob

    def _others(self, wanted: Sequence[Wanted]) -> Iterator[str]:
        """URLs on other hosts, from the manifest: what is read here may all lie on one."""
        yield from (each.url for each in wanted)
        where = self._table.where()
        with suppress(NoTable, Unreadable):
            for table in self._table.tables()[0]:
                for number, row in enumerate(rows_of(where, table.path).rows(set(self.parts.values()))):
                    values = (row.values.get(column) for part, column in self.parts.items() if part not in self.inline)
                    yield from (value for value in values if isinstance(value, str) and value.startswith("http"))
                    if number >= PROBED_ROWS:
                        return


class _UrlListing(TableListing):
    """The listing of manifests in the making."""

    def __init__(self, source: Urls, table: Table) -> None:
        super().__init__(table)
        self._urls = source

    def member(self, at: str, row: Row, part: str, column: str, value: object) -> Member:
        if part in self.source.inline:
            return super().member(at, row, part, column, value)
        shown = f"{unquoted(at)}: row {row.number}: {column}"
        if not isinstance(value, str):
            raise BadRow("bad_value", f"{shown} holds no URL")
        url = urldefrag(value.strip())[0]
        try:
            checked(url)
        except NotFetched as error:
            raise BadRow("bad_url", f"{shown}: {error}") from None
        return Member(part, url, 0, self._signature(shown, row, part))

    def _signature(self, shown: str, row: Row, part: str) -> str:
        """What its bytes must be, where the manifest says so: what a URL serves can change unseen."""
        value: Any = row.values.get(self._urls.digests.get(part, ""))
        if value is None:
            return "url"
        digits = str(value).strip().lower()
        algorithm = DIGESTS.get(len(digits))
        if algorithm is None or set(digits) - set("0123456789abcdef"):
            raise BadRow("bad_value", f"{shown}: {str(value)[:80]!r} is no md5, sha1, sha256 or sha512 in hex")
        return f"{algorithm}:{digits}"


def _is_cell(member: Member) -> bool:
    return "#row=" in member.pointer


def _raise(kind: str, error: str) -> bytes:
    raise NotFetched(kind, error)
