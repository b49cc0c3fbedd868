"""Debian's Chromium for tests and benchmarks, driven by Playwright, and all that a page complains of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Error, Page, Request, Response

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
)
HANGS_MS = 120_000
_GIVEN_UP = "net::ERR_ABORTED"  # by the browser itself, as it is with a film that is sought in or left


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser while the block lasts. Playwright keeps an event loop in this thread as long."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=HANGS_MS)
        try:
            yield launched
        finally:
            launched.close()


def new_page(context: BrowserContext) -> Page:
    """A page whose waiting ends only where something hangs."""
    page = context.new_page()
    page.set_default_timeout(HANGS_MS)
    return page


def complaints(page: Page, *home: str) -> list[str]:
    """A list that grows by what a page complains of from now on.

    What is said on the console, errors, dialogs (which are dismissed), requests that fail or are answered by 400 or
    more, and those to anyone else.

    Args:
        page: which.
        home: beginnings of the URLs that it may ask for.
    """
    said: list[str] = []

    def written(message: ConsoleMessage) -> None:
        said.append(f"{message.type}: {message.text}")

    def raised(error: Error) -> None:
        said.append(f"error: {error}")

    def asked(dialog: Dialog) -> None:
        said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def sent(request: Request) -> None:
        if not request.url.startswith(home):
            said.append(f"asks {request.url}")

    def failed(request: Request) -> None:
        if request.failure != _GIVEN_UP:
            said.append(f"{request.failure}: {request.url}")

    def answered(response: Response) -> None:
        if response.status >= 400:
            said.append(f"{response.status}: {response.url}")

    page.on("console", written)
    page.on("pageerror", raised)
    page.on("dialog", asked)
    page.on("request", sent)
    page.on("requestfailed", failed)
    page.on("response", answered)
    return said
