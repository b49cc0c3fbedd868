"""A hub on loopback: as much of its interface as its own client asks for to read one public dataset."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Handler(BaseHTTPRequestHandler):
    """Serves the files of `folder` as the dataset owner/pets."""

    protocol_version = "HTTP/1.1"
    folder: Path
    asked: list[str]

    def log_message(self, *_: object) -> None: ...

    def answer(self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def listed(self, below: str = "", *, recursive: bool = True) -> list[dict[str, Any]]:
        paths = sorted((self.folder / below).rglob("*") if recursive else (self.folder / below).glob("*"))
        return [
            {
                "type": "file" if path.is_file() else "directory",
                "path": path.relative_to(self.folder).as_posix(),
                "size": path.stat().st_size,
                "oid": f"{index:040x}",
            }
            for index, path in enumerate(paths)
        ]

    def do_GET(self) -> None:  # the library's name
        self.asked.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".strip())
        path = self.path.partition("?")[0]
        if path.startswith("/api/datasets/owner/pets/tree/"):
            below = path.removeprefix("/api/datasets/owner/pets/tree/").partition("/")[2].replace("%2F", "/")
            self.answer(self.listed(below, recursive="recursive=true" in self.path.lower()))
        elif path in (
            "/api/datasets/owner/pets",
            *(f"/api/datasets/owner/pets/revision/{of}" for of in ("main", COMMIT)),
        ):
            siblings = [{"rfilename": each["path"]} for each in self.listed()]
            self.answer({"id": "owner/pets", "sha": COMMIT, "siblings": siblings, "tags": [], "private": False})
        elif path.startswith(f"/datasets/owner/pets/resolve/{COMMIT}/"):
            self.file(self.folder / path.removeprefix(f"/datasets/owner/pets/resolve/{COMMIT}/").replace("%2F", "/"))
        else:
            self.answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET  # noqa: N815  the library's name

    def do_POST(self) -> None:  # the library's name
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append(f"POST {self.path}")
        wanted = json.loads(body)["paths"] if body.startswith(b"{") else []
        self.answer([each for each in self.listed() if each["path"] in wanted])

    def file(self, path: Path) -> None:
        if not path.is_file():
            return self.answer(b"", 404, {"X-Error-Code": "EntryNotFound"})
        data = path.read_bytes()
        headers = {"ETag": f'"{len(data)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        first, dash, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if not dash:
            return self.answer(data, 200, headers)
        begin, end = int(first), min(int(last or len(data)) + 1, len(data))
        return self.answer(data[begin:end], 206, {**headers, "Content-Range": f"bytes {begin}-{end - 1}/{len(data)}"})


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The hub's address, and what it was asked for."""
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"folder": folder, "asked": asked}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
