"""An S3 server for tests: moto's, as a process of its own, on loopback; or one that the environment names.

moto keeps conditional puts and multipart uploads as S3 does, and takes any credentials. To run the same tests against
another server, set MMDATA_TEST_S3 to its URL, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to what it takes;
tests/store/rgw.sh starts Ceph's.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ANOTHER = "MMDATA_TEST_S3"
_STARTS_WITHIN_S = 60.0
_REQUEST = re.compile(r'"(?:\x1b\[[0-9;]*m)*([A-Z]+) (\S+) HTTP')


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Args:
        endpoint: its URL. options: storage options for it.
        log: where it writes a line a request; None where that is not known.
    """

    endpoint: str
    options: Mapping[str, str] = field(repr=False)
    log: Path | None = None

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    def bucket(self) -> str:
        """Make a bucket, and return its URL."""
        from mmdata.core.storage import open_place

        name = f"mmdata-{uuid.uuid4().hex[:12]}"
        open_place("s3://", self.options)[0].call_s3("create_bucket", Bucket=name)
        return f"s3://{name}"

    def requests(self) -> Counter[str]:
        """How often each method was asked for so far; "LIST" for listings."""
        text = self.log.read_text("utf-8", "replace") if self.log is not None else ""
        return Counter("LIST" if "list-type=" in path else method for method, path in _REQUEST.findall(text))


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server, ended with the block; the one that the environment names is left running."""
    if endpoint := os.environ.get(ANOTHER):
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        yield S3Server(endpoint, {"AWS_ENDPOINT_URL": endpoint, **{name: os.environ[name] for name in names}})
        return
    with tempfile.TemporaryDirectory(prefix="mmdata-s3-") as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        log = Path(folder, "log")
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
            try:
                _wait(process, port, log)
                endpoint = f"http://127.0.0.1:{port}"
                keys = {"AWS_ACCESS_KEY_ID": "mmdata", "AWS_SECRET_ACCESS_KEY": "not-shown"}
                yield S3Server(endpoint, {"AWS_ENDPOINT_URL": endpoint, **keys}, log)
            finally:
                process.kill()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return once the server takes connections. Raises RuntimeError when it ends, or takes too long."""
    until = time.monotonic() + _STARTS_WITHIN_S
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the S3 server did not start: {log.read_text('utf-8', 'replace')[-500:]}")


class Wire:
    """A TCP connection to a server that can be cut: clients connect to `endpoint`, bytes pass until they may not.

    Args:
        port: the server's, on this machine.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self.endpoint = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.left_bytes: int | None = None  # that may still pass to the server; None is any number
        self.cuts_left: int | None = None  # how often it is cut at 0 before it is whole again; None is for good
        self.n_cuts = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *error: object) -> None:
        self._listening.close()

    def cut_after(self, n_bytes: int, *, times: int | None = None) -> None:
        """Cut whatever passes once so many more bytes have gone to the server: so many times, or for good."""
        with self._lock:
            self.left_bytes, self.cuts_left = n_bytes, times

    def mend(self) -> None:
        """Let everything pass."""
        with self._lock:
            self.left_bytes = None

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, giver: socket.socket, taker: socket.socket, is_upload: bool) -> None:
        try:
            while data := giver.recv(1 << 14):
                if is_upload and not self._may_pass(len(data)):
                    taker.sendall(data[: len(data) // 2])
                    break
                taker.sendall(data)
        except OSError:
            pass
        finally:
            for end in (giver, taker):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _may_pass(self, n_bytes: int) -> bool:
        with self._lock:
            if self.left_bytes is None:
                return True
            self.left_bytes = max(0, self.left_bytes - n_bytes)
            if self.left_bytes:
                return True
            self.n_cuts += 1
            if self.cuts_left is not None:
                self.cuts_left -= 1
                if not self.cuts_left:
                    self.left_bytes = None
            return False
