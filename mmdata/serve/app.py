"""The server: which function answers which path, and how it runs."""

from __future__ import annotations

import ipaddress
import logging
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from threading import Thread

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from mmdata.codec.captions import vtt_bytes
from mmdata.codec.sniff import extension
from mmdata.core.sample import Captions, Pointer
from mmdata.errors import ConfigError, DataError, Incomplete, MMDataError
from mmdata.report.facts.parts import kind_shown
from mmdata.serve.captions import cues
from mmdata.serve.catalog import Catalog, Shelf
from mmdata.serve.doors import Doors, is_loopback
from mmdata.serve.media import MEDIA_POLICY, Held, Read, answer
from mmdata.serve.pages import HERE, Pages
from mmdata.serve.pictures import Kept, heat_map, is_picture, strip, thumbnail
from mmdata.serve.replay import Recorded, Replay
from mmdata.store.read import StoredBlob
from mmdata.store.store import Store

log = logging.getLogger(__name__)

PATHS = ("/", "/samples", "/sample", "/steps", "/lost")
NO_PICTURE = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 20" width="320" height="200">'
    b'<path d="M0 0h32v20H0z" fill="#888" opacity=".25"/><path d="M12 6l8 8m0-8l-8 8" stroke="#888"/></svg>'
)


class Bytes:
    """Answers that are no pages: media, small pictures, features as pictures, files of the source.

    Args:
        shelf: the store's newest catalog. replay: its samples' steps and source.
    """

    def __init__(self, shelf: Shelf, replay: Replay) -> None:
        self._shelf, self._replay, self._kept = shelf, replay, Kept()

    def media(self, request: Request) -> Response:
        """A stored part."""
        return answer(request, self._held(request))

    def _held(self, request: Request) -> Held:
        catalog, _, key, part, blob = self._asked(request)
        if blob.encoding == "reference":
            return self._replay.member(key, part)
        place = blob.pointer
        length = place.length if place.length is not None else blob.size

        def read(offset: int, n: int) -> bytes:
            return catalog.files.read_range(place.uri, place.offset + offset, n)

        return Held(read, length, _identity(catalog, place), blob.name)

    def _asked(self, request: Request) -> tuple[Catalog, int, str, str, StoredBlob]:
        catalog = self._shelf.now()
        key, part = (request.query_params.get(name, "") for name in ("key", "part"))
        number = catalog.number(key)
        blob = catalog.blob(number, part) if number is not None else None
        if number is None or blob is None:
            raise HTTPException(404, f"no stored sample {key!r} with a part {part!r}")
        return catalog, number, key, part, blob

    def thumb(self, request: Request) -> Response:
        """A small picture of a part; of one that can't be shown, a cross."""
        catalog, _, _, _, blob = self._asked(request)
        identity = _identity(catalog, blob.pointer)

        def make() -> bytes:
            try:
                return thumbnail(blob, kind_shown(blob.kind, extension(blob.name)))
            except DataError as error:
                log.info("thumb=%s error=%s", blob.name, error)
                return NO_PICTURE

        return _picture(request, self._kept.get(f"thumb {identity}", make), f"thumb {identity}")

    def captions(self, request: Request) -> Response:
        """Captions of any format as WebVTT, which players read."""
        _, _, key, part, blob = self._asked(request)
        if kind_shown(blob.kind, extension(blob.name)) != "captions":
            raise HTTPException(404, f"part {part!r} of {key!r} is no captions")
        data = vtt_bytes(Captions(cues(blob)))
        return answer(request, Held(_slices(data), len(data), f"captions {blob.pointer} {hash(data)}", "captions.vtt"))

    def feature(self, request: Request) -> Response:
        """A feature of a sample as a map of colours, or as the pictures that it holds."""
        catalog = self._shelf.now()
        key, column = (request.query_params.get(name, "") for name in ("key", "column"))
        number = catalog.number(key)
        array = catalog.array(number, column) if number is not None else None
        if array is None or array.ndim < 2 or not array.size:
            raise HTTPException(404, f"no feature {column!r} of {key!r} to draw")
        return _picture(request, strip(array) if is_picture(array) else heat_map(array), f"feature {key} {column}")

    def source(self, request: Request) -> Response:
        """A file of a sample in its source."""
        return answer(request, self._replay.member(*(request.query_params.get(name, "") for name in ("key", "part"))))

    def shown(self, request: Request) -> Response:
        """The picture or sound before or after a step that was done again."""
        key, at, side, told = (request.query_params.get(name, "") for name in ("key", "at", "side", "told"))
        steps = self._replay.as_told(key, told).steps
        step = dict(enumerate(steps)).get(int(at) if at.isascii() and at.isdigit() and len(at) < 9 else -1)
        found = None if step is None else step.before if side == "before" else step.after
        data = b"" if found is None else found.picture or found.sound
        if not data:
            raise HTTPException(404, f"no picture or sound {side} step {at} of {key!r}")
        return answer(request, Held(_slices(data), len(data), f"{key} {at} {side} {hash(data)}", "part"))


def _identity(catalog: Catalog, place: Pointer) -> str:
    return f"{catalog.files.url} {place}"


def _picture(request: Request, data: bytes, identity: str) -> Response:
    if data is NO_PICTURE:
        policy = {"Content-Security-Policy": MEDIA_POLICY, "Cache-Control": "no-store"}
        return Response(data, 200, policy, "image/svg+xml")  # of our own, with nothing of a sample in it
    return answer(request, Held(_slices(data), len(data), f"{identity} {len(data)}", "picture"))


def _slices(data: bytes) -> Read:
    return lambda offset, n: data[offset : offset + n]


def application(store: Store, *, recorded: Recorded | None = None, token: str | None = None) -> ASGIApp:
    """The whole as ASGI.

    Args:
        store: open.
        recorded: gives the pipeline, with its source, that samples are traced back by; None: the source is not read.
        token: what everyone must have; None where only this machine can ask.
    """
    shelf = Shelf(store)
    replay = Replay(Store.open(store.url, storage_options=store.storage_options), recorded)
    pages, data = Pages(shelf, replay), Bytes(shelf, replay)
    named: dict[str, Callable[[Request], Response]] = {
        "/media": data.media, "/thumb": data.thumb, "/feature": data.feature, "/source": data.source,
        "/shown": data.shown, "/captions": data.captions, **{path: pages.on(path) for path in PATHS},
    }  # fmt: skip

    def twice(function: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def answered(request: Request) -> Response:
            try:
                return function(request)
            except (Incomplete, FileNotFoundError):  # forgotten, or replaced by a run, since the store was looked at
                shelf.expire()
                return function(request)

        return answered

    def explained(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            title = "Not found" if error.status_code == 404 else "Not possible"
            is_told = error.detail != HTTPStatus.NOT_FOUND.phrase
            return pages.error(
                error.status_code, title, error.detail if is_told else f"there is no page {request.url.path!r}"
            )
        if isinstance(error, MMDataError | OSError):
            return pages.error(502 if isinstance(error, OSError) else 400, "Not possible", str(error))
        log.error("path=%s", request.url.path, exc_info=error)
        return pages.error(500, "Something is wrong with mmdata", f"{type(error).__name__}: see the server's terminal")

    made = Starlette(
        routes=[
            *(Route(path, twice(function), methods=["GET"]) for path, function in named.items()),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        exception_handlers={HTTPException: explained, MMDataError: explained, OSError: explained, Exception: explained},
    )
    return Doors(made, token)


def new_token() -> str:
    return secrets.token_urlsafe(24)


def listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections; port 0 is any that is free.

    Raises:
        ConfigError: the port is taken, or the address is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            "serve", [f"can't listen at {host} port {port}: {error}; --port 0 takes any that is free"]
        ) from None


def url_of(taken: socket.socket, host: str, token: str | None) -> str:
    """What a browser is to open."""
    shown = socket.gethostname() if _is_any(host) else f"[{host.strip('[]')}]" if ":" in host else host
    return f"http://{shown}:{taken.getsockname()[1]}/" + (f"?token={token}" if token else "")


def _is_any(host: str) -> bool:
    """Whether it is all of a machine's addresses, which is none to ask for."""
    try:
        return not host or ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False


def server(app: ASGIApp) -> uvicorn.Server:
    """A server of one process, whose threads answer."""
    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, lifespan="off", ws="none", http="h11",
        timeout_graceful_shutdown=2, timeout_keep_alive=30,
    )  # fmt: skip
    return uvicorn.Server(settings)


@contextmanager
def serving(
    store: Store, *, host: str = "127.0.0.1", recorded: Recorded | None = None, token: str | None = None
) -> Iterator[str]:
    """Serve at a free port while the block lasts; gives the URL."""
    token = token or (None if is_loopback(host) else new_token())
    with listening(host, 0) as taken:
        running = server(application(store, recorded=recorded, token=token))
        thread = Thread(target=running.run, kwargs={"sockets": [taken]}, daemon=True)
        thread.start()
        try:
            yield url_of(taken, host, token)
        finally:
            running.should_exit = True
            thread.join()
