"""A web server on loopback whose pages misbehave in every way that the web does."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
PAGE = b"<!DOCTYPE html><html><body>Not here</body></html>"


@dataclass
class Web:
    """The server's address, and what it was asked for."""

    url: str = ""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    is_mended: bool = False
    robots: tuple[int, bytes] = (404, b"")
    most_at_once: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    let_go: threading.Event = field(default_factory=threading.Event)

    def times(self, path: str) -> int:
        return Counter(name for name, _ in self.asked)[path]

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1


class Handler(BaseHTTPRequestHandler):
    """A page a method; `/name/...` is served by the method `name`."""

    protocol_version = "HTTP/1.1"
    web: Web

    def do_GET(self) -> None:  # the library's name
        self.web.asked.append((self.path, dict(self.headers)))
        name = self.path.strip("/").partition("/")[0].partition(".")[0].partition("?")[0] or "ok"
        page: Callable[[], None] = getattr(self, f"page_{name}", self.page_missing)
        with self.web.counted():
            page()

    def log_message(self, *_: object) -> None: ...

    def send(self, data: bytes, *, status: int = 200, kind: str = "image/png", **headers: str) -> None:
        self.send_response(status)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **given}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    @property
    def seen(self) -> int:
        """How often this page was asked for, this time included."""
        return self.web.times(self.path)

    def cut(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def page_robots(self) -> None:
        self.send(self.web.robots[1], status=self.web.robots[0], kind="text/plain")

    def page_ok(self) -> None:
        self.send(PNG + self.path.encode())

    def page_slow(self) -> None:
        time.sleep(0.05)
        self.send(PNG)

    def page_mended(self) -> None:
        self.page_ok() if self.web.is_mended else self.page_missing()

    def page_missing(self) -> None:
        self.send(PAGE, status=404, kind="text/html")

    def page_status(self) -> None:
        self.send(b"", status=int(self.path.rpartition("/")[2]))

    def page_once(self) -> None:
        """Busy at first."""
        if self.seen == 1:
            self.send(b"", status=429, Retry_After="1")
        else:
            self.send(PNG)

    def page_later(self) -> None:
        self.send(b"", status=503, Retry_After="86400")

    def page_html(self) -> None:
        self.send(PAGE, kind="text/html")

    def page_liar(self) -> None:
        """An error page that calls itself a picture."""
        self.send(PAGE, kind="image/png")

    def page_json(self) -> None:
        self.send(b'{"error": "no such picture"}', kind="image/png")

    def page_sound(self) -> None:
        self.send(b"RIFF\x24\0\0\0WAVEfmt " + bytes(60), kind="image/png")

    def page_unnamed(self) -> None:
        self.send(PNG, kind="application/octet-stream")

    def page_hang(self) -> None:
        self.web.let_go.wait(20)
        self.close_connection = True

    def page_drip(self) -> None:
        """Never silent for long, and never done."""
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while not self.web.let_go.wait(0.05):
            self.wfile.write(b"x")

    def page_broken(self) -> None:
        """Breaks off each time, and takes no ranges."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(PNG)))
        self.end_headers()
        self.wfile.write(PNG[:1000])
        self.cut()

    def page_resumed(self) -> None:
        """Breaks off after 4,000 bytes at most; goes on where it is told to."""
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        right = self.headers.get("If-Range", '"v1"') == '"v1"'
        begin = begin if right else 0
        self.send_response(206 if begin else 200)
        self.send_header("ETag", '"v1"')
        self.send_header("Content-Length", str(len(PNG) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(PNG) - 1}/{len(PNG)}")
        self.end_headers()
        self.wfile.write(PNG[begin : begin + 4000])
        if begin + 4000 < len(PNG):
            self.cut()

    def page_changing(self) -> None:
        """Breaks off, and is another file when it is asked for the rest."""
        if self.seen > 1:
            self.send(PNG[::-1] if "Range" not in self.headers else PNG, ETag='"v2"')
            return
        self.send_response(200)
        self.send_header("ETag", '"v1"')
        self.send_header("Content-Length", "9000")
        self.end_headers()
        self.wfile.write(b"old" * 100)
        self.cut()

    def page_huge(self) -> None:
        """More than its header says it is: none, in pieces."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        except OSError:
            self.close_connection = True

    def page_promises(self) -> None:
        """A header of a petabyte."""
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 50))
        self.end_headers()
        self.cut()

    def page_short(self) -> None:
        """Says 16 bytes, and sends more."""
        self.send_response(200)
        self.send_header("Content-Length", "16")
        self.end_headers()
        self.wfile.write(PNG)
        self.close_connection = True

    def page_bomb(self) -> None:
        """16 MB of nothing in 16 KB."""
        self.send(gzip.compress(bytes(16 << 20)), Content_Encoding="gzip")

    def page_to(self) -> None:
        """Redirects to what follows: /to/5 by five more, /to/ok to the picture, /to/file out of the web."""
        rest = self.path.removeprefix("/to/")
        if rest.isdigit():
            where = f"/to/{int(rest) - 1}" if int(rest) else "/ok"
        else:
            where = {"loop": "/to/loop", "file": "file:///etc/passwd", "ftp": "ftp://localhost/a"}.get(rest, f"/{rest}")
        self.send(b"", status=302, Location=where)

    def page_noai(self) -> None:
        self.send(PNG, X_Robots_Tag="noarchive, noai")

    def page_others(self) -> None:
        self.send(PNG, X_Robots_Tag="otherbot: noai")


@contextmanager
def serving() -> Iterator[Web]:
    """A server with a thread a request."""
    web = Web()
    handler = type("Bound", (Handler,), {"web": web})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False
    web.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield web
    finally:
        web.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()
