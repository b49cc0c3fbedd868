"""One store for all that is shown: pictures, texts, speech, a film, hostile names, and what was lost."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from mmdata import api
from mmdata.errors import CorpusUnavailable
from mmdata.serve.app import serving
from mmdata.store.store import Store
from mmdata.testing.build import corpus, moving_shapes, mp4_bytes, tone, wav_bytes
from mmdata.testing.corpora import default_cache
from mmdata.testing.shelf import HOSTILE, PARTS, odd_ones, shelf

FILM = default_cache() / "corpora" / "big-buck-bunny" / "bbb.mp4"
N, MANY = 130, 5_000
PIPELINE = f"""
source:
  use: source.files.Files
  parts: {PARTS}
  label: top
ingest:
  - {{use: clean.text.KeepLines, first: 1}}
  - {{use: clean.text.KeepLength, min_chars: 3}}
  - {{use: codec.image.DecodeImage, max_px: 64}}
  - {{use: codec.captions.DecodeCaptions, on: said}}
store: {{image: auto, speech: copy, sound: copy, film: copy, page: copy, said: auto}}
features:
  - features.image.PerceptualHash
  - features.image.Sharpness
  - features.image.ColorHistogram
  - {{use: features.audio.LogMel, on: speech}}
select: {{name: v1, where: "image.sharpness > 5", split: {{train: 0.8, test: 0.2}}}}
run: {{max_rejects: 0.5}}
"""


@dataclass(frozen=True)
class Shown:
    """The store, its source, and some keys of it; `spoken` is also drawn, and told of in a text."""

    store: Path
    source: Path
    n: int
    label: str
    spoken: str
    film_px: int
    hostile: str = f"media/disc/{HOSTILE}"
    film: str = "media/films/drift"
    heard: str = "media/films/page"
    page: str = "media/films/page"
    dropped: str = "media/disc/short"
    rejected: str = "media/disc/broken"

    def open(self) -> Store:
        return Store.open(self.store)


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """A few generated samples and the odd ones."""
    folder = tmp_path_factory.mktemp("shown")
    made = Shown(folder / "store", folder / "media", N + 3, "ring", "media/disc/disc_0000", 160)
    corpus(made.source, n=N, seed=3)
    picture = next(iter(sorted((made.source / "disc").glob("*.png")))).read_bytes()
    film, _ = moving_shapes(n_frames=32)
    odd_ones(made.source, picture, mp4_bytes(film, 8, tone(seconds=4)), wav_bytes(tone(seconds=1)))
    return stored(made, folder)


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """Thousands of real samples, films among them, and the odd ones."""
    if not FILM.exists():
        pytest.skip("`python benchmarks/films.py` fetches the film")
    folder = tmp_path_factory.mktemp("many")
    made = Shown(folder / "store", folder / "media", MANY, "animals", "media/animals/00/marsupials/koala", 1280)
    try:
        shelf(made.source, MANY, FILM)
    except CorpusUnavailable as error:
        pytest.skip(str(error))
    return stored(made, folder)


def stored(made: Shown, folder: Path) -> Shown:
    (folder / "p.yaml").write_text(PIPELINE)
    api.run(folder / "p.yaml", store=made.store, source=made.source)
    return made


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return self.body.decode()


Ask = Callable[..., Answer]


def asking(url: str) -> Ask:
    """Ask a server: a path, what its query holds, headers."""
    host = urlsplit(url)

    def ask(path: str, *, method: str = "GET", headers: dict[str, str] | None = None, **query: str | bytes) -> Answer:
        connection = http.client.HTTPConnection(str(host.hostname), host.port, timeout=120)
        try:
            connection.request(method, f"/{path}" + (f"?{urlencode(query)}" if query else ""), headers=headers or {})
            got = connection.getresponse()
            return Answer(got.status, got.read(), {name.lower(): value for name, value in got.getheaders()})
        finally:
            connection.close()

    return ask


@pytest.fixture(scope="session")
def url(shown: Shown) -> Iterator[str]:
    with served(shown) as found:
        yield found


@pytest.fixture(scope="session")
def many_url(many: Shown) -> Iterator[str]:
    with served(many) as found:
        yield found


def served(shown: Shown) -> AbstractContextManager[str]:
    return serving(shown.open(), recorded=lambda: api.recorded(shown.store)[0].pipeline)


@pytest.fixture(scope="session")
def ask(url: str) -> Ask:
    return asking(url)


@pytest.fixture(scope="session")
def ask_at() -> Callable[[str], Ask]:
    """Ask a server of the test's own."""
    return asking
