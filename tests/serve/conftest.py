"""One store for all that is shown: pictures, texts, speech, a film, hostile names, and what was lost."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from mmdata import api
from mmdata.serve.app import serving
from mmdata.store.store import Store
from mmdata.testing.build import corpus, moving_shapes, mp4_bytes, tone

HOSTILE = "<img src=x onerror=document.title='taken'>"
CAPTION = "<script>document.title='taken'</script> \"quoted\" & 'more' {{ 7*7 }}"
CUE = "b onclick=alert(1)"
N = 130
PIPELINE = """
source:
  use: source.files.Files
  parts: {image: "{stem}.png", text: "{stem}.txt", speech: "{stem}_desc_fr.ogg", film: "{stem}.mp4",
          page: "{stem}.html", said: "{stem}.vtt"}
  label: top
ingest:
  - {use: clean.text.KeepLines, first: 1}
  - {use: clean.text.KeepLength, min_chars: 3}
  - {use: codec.image.DecodeImage, max_px: 64}
  - {use: codec.captions.DecodeCaptions, on: said}
store: {image: auto, speech: copy, film: copy, page: copy, said: auto}
features:
  - features.image.PerceptualHash
  - features.image.Sharpness
  - features.image.ColorHistogram
  - {use: features.audio.LogMel, on: speech}
select: {name: v1, where: "image.sharpness > 5", split: {train: 0.8, test: 0.2}}
run: {max_rejects: 0.5}
"""


@dataclass(frozen=True)
class Shown:
    """The store, its source, and some keys of it."""

    store: Path
    source: Path
    hostile: str = f"media/disc/{HOSTILE}"
    film: str = "media/films/drift"
    spoken: str = "media/disc/disc_0000"
    page: str = "media/films/page"
    dropped: str = "media/disc/short"
    rejected: str = "media/disc/broken"

    def open(self) -> Store:
        return Store.open(self.store)


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("shown")
    made = Shown(folder / "store", folder / "media")
    corpus(made.source, n=N, seed=3)
    picture = next(iter(sorted((made.source / "disc").glob("*.png")))).read_bytes()
    for name, data, text in (
        (HOSTILE, picture, CAPTION),
        ("short", picture, "x"),
        ("broken", picture[:200], "a broken picture"),
    ):
        (made.source / "disc" / f"{name}.png").write_bytes(data)
        (made.source / "disc" / f"{name}.txt").write_text(text)
    films = made.source / "films"
    films.mkdir()
    film, _ = moving_shapes(n_frames=32)
    for name in ("drift", "page"):
        (films / f"{name}.png").write_bytes(picture)
    (films / "drift.mp4").write_bytes(mp4_bytes(film, 8, tone(seconds=4)))
    (films / "drift.txt").write_text("A shape that drifts, heard as a lone zebra")
    (films / "drift.vtt").write_text(f"WEBVTT\n\n00:01.500 --> 00:03.000\nan okapi says &lt;{CUE}&gt;\n")
    (films / "page.html").write_text("<!doctype html><html><script>alert(1)</script></html>")
    (films / "page.txt").write_text("a page that is a part")
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
    with serving(shown.open(), recorded=lambda: api.recorded(shown.store)[0].pipeline) as found:
        yield found


@pytest.fixture(scope="session")
def ask(url: str) -> Ask:
    return asking(url)


@pytest.fixture(scope="session")
def ask_at() -> Callable[[str], Ask]:
    """Ask a server of the test's own."""
    return asking
