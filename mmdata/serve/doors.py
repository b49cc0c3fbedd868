"""Who may ask, and what an answer may do in a browser."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "mmdata_token"  # and the port, as all servers of a machine share its cookies
PAGE_POLICY = (
    "default-src 'none'; img-src 'self'; media-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
ALWAYS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": PAGE_POLICY,
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether an address or a name is this machine's own, and nobody else reaches it."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


@dataclass(frozen=True)
class Doors:
    """Lets in GET and HEAD, from a browser that asks for this server by name, with the token where one is needed.

    A page of another site may send a browser's requests here under a name of its own, which it makes stand for
    127.0.0.1 (DNS rebinding): so on loopback the Host must be loopback's. Elsewhere the token is what they lack.

    Args:
        app: what is behind. token: None on loopback, where whoever reaches the port may read.
    """

    app: ASGIApp
    token: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refused = self._refused(scope)
        await (refused or self.app)(scope, receive, _with_headers(send))

    def _refused(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("only reading is possible here", 405, {"Allow": "GET, HEAD"})
        if self.token is None and not is_loopback(_host(headers.get("host", ""))):
            return PlainTextResponse("this server is for this machine: ask for http://127.0.0.1 or localhost", 421)
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            return PlainTextResponse("no other site may ask", 403)
        return None if self.token is None else self._unknown(Request(scope), self.token)

    def _unknown(self, request: Request, token: str) -> Response | None:
        """What one without the token gets; one with it in the URL gets a cookie, and the URL without it."""
        cookie = f"{COOKIE}_{(request.scope.get('server') or ('', 0))[1]}"
        given = [value for name, value in parse_qsl(request.url.query) if name == "token"]
        if given and _same(given[0], token):
            rest = [(name, value) for name, value in parse_qsl(request.url.query) if name != "token"]
            path = "/" + request.url.path.lstrip("/")  # two would lead to another server
            answer = RedirectResponse(path + (f"?{urlencode(rest)}" if rest else ""), 303)
            answer.set_cookie(cookie, token, httponly=True, samesite="lax")
            return answer
        bearer = request.headers.get("authorization", "")
        kind, _, told = bearer.partition(" ")
        if _same(request.cookies.get(cookie, ""), token) or (kind.lower() == "bearer" and _same(told, token)):
            return None
        return PlainTextResponse("open the URL that `mmdata serve` printed: it ends in ?token=...", 401)


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _host(value: str) -> str:
    """The host of a Host header, without its port."""
    return value[: value.find("]") + 1] if value.startswith("[") else value.partition(":")[0]


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in ALWAYS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
