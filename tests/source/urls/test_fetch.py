"""Fetching from a server that misbehaves in every way that the web does."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from mmdata.codec.sniff import Modality
from mmdata.source.urls.answer import Wanted
from mmdata.source.urls.fetch import Fetcher, _Ample
from mmdata.source.urls.manners import Manners, NotFetched
from tests.source.urls.web import PNG, Web, serving

PATIENCE: dict[str, dict[str, Any]] = {"hang": {"timeout_s": 0.5}, "drip": {"max_s": 1.0}}  # with what never ends


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


def fetcher(**manners: Any) -> Fetcher:
    usual = {"allow_private": True, "timeout_s": 10.0, "retries": 1, "requests_per_s": 1000.0, "max_bytes": 1 << 20}
    return Fetcher(Manners(**{**usual, **manners}))


def fetch(url: str, expected: Modality | None = "image", digest: str = "", **manners: Any) -> bytes:
    return fetcher(**manners).fetch(Wanted(url, expected, digest), _Ample())


@pytest.mark.parametrize("page", ["ok", "once", "unnamed", "others", "to/ok", "to/4", "resumed", "ok?a=%20b"])
def test_a_picture_comes_whole(web: Web, page: str) -> None:
    assert fetch(f"{web.url}/{page}", retries=3)[: len(PNG)] == PNG


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("nothing", "http_404"),
        ("status/403", "http_403"),
        ("status/410", "http_410"),
        ("status/418", "http_other"),
        ("status/204", "http_other"),
        ("status/500", "http_500"),
        ("later", "http_503"),
        ("html", "wrong_type"),
        ("liar", "wrong_type"),
        ("json", "wrong_type"),
        ("sound", "wrong_type"),
        ("hang", "timed_out"),
        ("drip", "timed_out"),
        ("broken", "cut_off"),
        ("huge", "too_large"),
        ("promises", "too_large"),
        ("bomb", "too_large"),
        ("to/loop", "redirects"),
        ("to/5", "redirects"),
        ("to/file", "bad_url"),
        ("to/ftp", "bad_url"),
        ("noai", "opted_out"),
    ],
)
def test_what_can_not_be_had_has_a_kind(web: Web, page: str, kind: str) -> None:
    with pytest.raises(NotFetched, match=r"http|file:|ftp:") as caught:
        fetch(f"{web.url}/{page}", **PATIENCE.get(page, {}))
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("page", "times"), [("status/500", 3), ("hang", 3), ("broken", 3), ("nothing", 1), ("later", 1)]
)
def test_only_what_may_pass_is_tried_again(web: Web, page: str, times: int) -> None:
    with pytest.raises(NotFetched):
        fetch(f"{web.url}/{page}", retries=2, **PATIENCE.get(page, {}))
    assert web.times(f"/{page}") == times


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(web: Web) -> None:
    started = monotonic()
    assert fetch(f"{web.url}/once") == PNG
    assert monotonic() - started > 0.9


def test_what_broke_off_is_taken_up_where_it_broke(web: Web) -> None:
    assert fetch(f"{web.url}/resumed", retries=3) == PNG
    ranges = [headers.get("Range") for path, headers in web.asked if path == "/resumed"]
    assert ranges == [None, "bytes=4000-", "bytes=8000-"]


def test_two_states_of_a_file_are_never_mixed(web: Web) -> None:
    assert fetch(f"{web.url}/changing") == PNG
    assert [headers.get("If-Range") for path, headers in web.asked if path == "/changing"] == [None, '"v1"']


def test_no_more_is_read_than_the_header_promised(web: Web) -> None:
    assert fetch(f"{web.url}/short") == PNG[:16]


def test_a_digest_is_compared(web: Web) -> None:
    for algorithm in ("md5", "sha1", "sha256"):
        right = hashlib.new(algorithm, PNG + b"/ok").hexdigest()
        assert fetch(f"{web.url}/ok", digest=f"{algorithm}:{right}")
    with pytest.raises(NotFetched) as caught:
        fetch(f"{web.url}/ok", digest="sha256:" + "0" * 64)
    assert caught.value.kind == "wrong_digest"


@pytest.mark.parametrize(
    ("page", "expected", "fits"),
    [
        ("html", "text", True),
        ("html", None, False),
        ("sound", "audio", True),
        ("sound", "video", False),
        ("ok", None, True),
        ("ok", "text", False),
        ("json", "text", True),
    ],
)
def test_what_is_expected_decides_what_fits(web: Web, page: str, expected: Modality | None, fits: bool) -> None:
    if fits:
        assert fetch(f"{web.url}/{page}", expected)
        return
    with pytest.raises(NotFetched) as caught:
        fetch(f"{web.url}/{page}", expected)
    assert caught.value.kind == "wrong_type"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://a/b",
        "//a/b",
        "a.png",
        "",
        "http://",
        "http://a:b@c/d",
        "http://a/\nb",
        "http://[::1",
    ],
)
def test_only_plain_http_urls_are_fetched(url: str) -> None:
    with pytest.raises(NotFetched) as caught:
        fetch(url)
    assert caught.value.kind == "bad_url"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"])
def test_private_addresses_are_refused_unless_they_are_meant(web: Web, host: str) -> None:
    port = web.url.rpartition(":")[2]
    with pytest.raises(NotFetched) as caught:
        fetch(f"http://{host}:{port}/ok", allow_private=False)
    assert caught.value.kind == "private_address"
    assert web.asked == []


@pytest.mark.parametrize(
    ("status", "text", "allowed"),
    [
        (200, b"User-agent: *\nDisallow: /ok", False),
        (200, b"User-agent: *\nDisallow: /\nAllow: /ok$", True),
        (200, b"User-agent: *\nDisallow: /*k$", False),
        (200, b"User-agent: other\nDisallow: /", True),
        (200, b"User-agent: mmdata\nDisallow: /\n\nUser-agent: *\nAllow: /", False),
        (200, b"\xff\xfe\0garbage", True),
        (404, b"", True),
        (403, b"", True),
        (503, b"", False),
    ],
)
def test_robots_txt_is_heeded(web: Web, status: int, text: bytes, allowed: bool) -> None:
    web.robots = status, text
    assert fetch(f"{web.url}/ok", robots=False)
    if allowed:
        assert fetch(f"{web.url}/ok")
        return
    with pytest.raises(NotFetched) as caught:
        fetch(f"{web.url}/ok")
    assert caught.value.kind == "robots"
    assert web.times("/ok") == 1


def test_robots_txt_is_asked_for_once_and_of_redirects_too(web: Web) -> None:
    web.robots = 200, b"User-agent: *\nDisallow: /hidden"
    one = fetcher()
    assert one.fetch(Wanted(f"{web.url}/ok", "image"), _Ample())
    with pytest.raises(NotFetched) as caught:
        one.fetch(Wanted(f"{web.url}/to/hidden", "image"), _Ample())
    assert caught.value.kind == "robots"
    assert web.times("/robots.txt") == 1


def test_directives_are_let_pass_only_when_that_is_said(web: Web) -> None:
    assert fetch(f"{web.url}/noai", robots=False) == PNG


def test_servers_are_told_who_asks(web: Web) -> None:
    fetch(f"{web.url}/ok", contact="https://example.org/crawl")
    agent = web.asked[-1][1]["User-Agent"]
    assert agent.startswith("mmdata/")
    assert agent.endswith("(+https://example.org/crawl)")


def test_a_host_is_asked_by_so_many_at_once_and_so_often(web: Web) -> None:
    one = fetcher(per_host=2, requests_per_s=50.0, robots=False)
    started = monotonic()
    wanted = Wanted(f"{web.url}/slow", "image")
    threads = [threading.Thread(target=one.fetch, args=(wanted, _Ample())) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert web.times("/slow") == 12
    assert web.most_at_once == 2
    assert monotonic() - started > 11 / 50


def test_a_crawl_delay_slows_the_requests(web: Web) -> None:
    web.robots = 200, b"User-agent: *\nCrawl-delay: 0.3"
    one, started = fetcher(), monotonic()
    for _ in range(3):
        one.fetch(Wanted(f"{web.url}/ok", "image"), _Ample())
    assert monotonic() - started > 0.55


def test_nobody_there_is_no_fault_of_the_network(web: Web) -> None:
    with serving() as other:
        gone = other.url
    one = fetcher()
    with pytest.raises(NotFetched, match="refused") as caught:
        one.fetch(Wanted(f"{gone}/ok", "image"), _Ample())
    assert (caught.value.kind, caught.value.lost) == ("unreachable", False)
    assert not one.network_is_down([f"{gone}/ok"])


def test_a_host_that_can_not_be_reached_is_not_tried_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    one, asked = fetcher(), []

    def silent(address: Any, *_: Any, **__: Any) -> None:
        asked.append(address)
        raise TimeoutError("timed out")

    monkeypatch.setattr("urllib3.util.connection.create_connection", silent)
    for _ in range(3):
        with pytest.raises(NotFetched) as caught:
            one.fetch(Wanted("http://127.0.0.1:9/a", "image"), _Ample())
        assert (caught.value.kind, caught.value.lost) == ("unreachable", True)
    assert len(asked) == 2


def test_an_unsafe_certificate_is_refused(tmp_path: Path) -> None:
    import ssl
    import subprocess
    from http.server import HTTPServer

    from tests.source.urls.web import Handler

    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, "-days", "2", *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = HTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"web": Web()}))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        with pytest.raises(NotFetched) as caught:
            fetch(f"https://127.0.0.1:{server.server_address[1]}/ok")
    finally:
        server.shutdown()
        server.server_close()
    assert caught.value.kind == "tls"
