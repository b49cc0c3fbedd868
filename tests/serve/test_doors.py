"""Who may ask."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from mmdata.serve.app import serving
from mmdata.serve.doors import is_loopback

Shown = Any  # the fixtures' classes; conftest can't be imported
Ask = Any


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_only_reading_is_possible(ask: Ask, method: str) -> None:
    got = ask("", method=method)
    assert (got.status, got.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.1.2", ""]
)
def test_on_loopback_other_names_are_refused(ask: Ask, host: str) -> None:
    assert ask("", headers={"Host": host}).status == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:9999", "[::1]:80", "127.0.0.2"])
def test_its_own_names_are_not(ask: Ask, host: str) -> None:
    assert ask("static/icon.svg", headers={"Host": host}).status == 200


def test_other_sites_may_link_here_and_not_embed(ask: Ask) -> None:
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert ask("", headers=cross | {"Sec-Fetch-Mode": "no-cors"}).status == 403
    assert ask("static/icon.svg", headers=cross | {"Sec-Fetch-Mode": "cors"}).status == 403
    assert ask("static/icon.svg", headers=cross | {"Sec-Fetch-Mode": "navigate"}).status == 200


def test_elsewhere_nothing_is_there_without_the_token(shown: Shown, ask_at: Any) -> None:
    with serving(shown.open(), host="0.0.0.0") as url:
        assert f"//{socket.gethostname()}:" in url  # as nobody can open 0.0.0.0
        port = urlsplit(url).port
        ask, token = ask_at(f"http://127.0.0.1:{port}"), url.partition("token=")[2]
        assert len(token) >= 32
        for path in ("", "samples", "static/serve.css", "media"):
            assert ask(path).status == 401
            assert ask(path, token="x").status == 401
            assert ask(path, headers={"Cookie": f"mmdata_token_{port}=x", "Authorization": "Bearer é"}).status == 401
        let_in = ask("samples", token=token, q="a b")
        assert (let_in.status, let_in.headers["location"]) == (303, "/samples?q=a+b")
        cookie = let_in.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert cookie.startswith(f"mmdata_token_{port}=")
        assert "samesite=lax" in cookie.lower()  # a link from elsewhere may lead here
        assert ask("/evil.example/x", token=token).headers["location"] == "/evil.example/x"
        assert ask("samples", headers={"Cookie": cookie.partition(";")[0]}).status == 200
        assert ask("samples", headers={"Authorization": f"Bearer {token}"}).status == 200
        assert ask("static/icon.svg", headers={"Authorization": f"Bearer {token}", "Host": "a.name"}).status == 200


def test_loopback_is_known_by_address_and_name() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.8.0.1", "::1", "[::1]", "localhost", "LOCALHOST."]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "example.org", "", "127.0.0.1.example.org"]))
