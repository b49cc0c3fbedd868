"""What a person with a browser sees: Debian's Chromium, driven by Playwright, at a few samples and at thousands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np
import pytest

from mmdata.testing.browser import HANGS_MS, complaints, new_page
from mmdata.testing.shelf import CAPTION

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Shown = Any
MOST_SCROLLED = 600
pytestmark = pytest.mark.browser
BOTH = ["shown", pytest.param("many", marks=[pytest.mark.long, pytest.mark.corpus, pytest.mark.timeout(3600)])]


def until(page: Page, fact: str) -> None:
    """Wait for a fact of the page; its policy forbids Playwright's own way, which compiles texts there."""
    deadline = time.monotonic() + HANGS_MS / 1000
    while not page.evaluate(fact):
        assert time.monotonic() < deadline, fact
        page.wait_for_timeout(50)


@pytest.fixture(scope="module", params=BOTH)
def seen(request: pytest.FixtureRequest) -> Shown:
    """A store that is looked at."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def place(seen: Shown, request: pytest.FixtureRequest) -> str:
    """Where it is served."""
    found: str = request.getfixturevalue("url" if seen is request.getfixturevalue("shown") else "many_url")
    return found


@pytest.fixture
def page(browser: Browser, place: str) -> Iterator[Page]:
    """A page that must not complain, nor ask for anything elsewhere."""
    with browser.new_context(base_url=place) as context:
        opened = new_page(context)
        said = complaints(opened, place)
        yield opened
        assert [each for each in said if not ("400" in each and ("nonsense" in each or "status" in each))] == []


def test_samples_are_opened_scrolled_and_filtered(page: Page, seen: Shown) -> None:
    page.goto("./")
    page.get_by_role("link", name="Samples", exact=True).click()
    page.wait_for_url("**/samples")
    cards = page.locator("#cards > li")
    assert cards.count() == 60
    until(page, "document.querySelector('#cards img').naturalWidth > 0")
    while cards.count() < min(seen.n, MOST_SCROLLED):
        before = cards.count()
        page.locator("#pager").scroll_into_view_if_needed()
        until(page, f"document.querySelectorAll('#cards > li').length > {before}")
    keys = cards.evaluate_all("all => all.map(each => each.dataset.key)")
    assert keys == seen.open().keys()[: len(keys)]
    condition = f"label = '{seen.label}' and image.sharpness > 10"
    page.get_by_label("Condition in SQL").fill(condition)
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/samples?where=*")
    found = seen.open().table(["key"], where=condition).num_rows
    assert page.get_by_role("status").inner_text().startswith(f"{found:,} of {seen.n:,} samples")
    page.get_by_label("Condition in SQL").fill("nonsense (")
    with page.expect_response("**/samples?where=nonsense*") as answered:
        page.keyboard.press("Enter")
    assert answered.value.status == 400
    assert "syntax error" in page.get_by_role("alert").inner_text()


def test_a_sample_is_found_by_text_and_its_film_and_sound_play(page: Page, seen: Shown) -> None:
    page.goto("./")
    page.get_by_role("searchbox", name="Words in texts, keys or labels").fill("lone zebra")
    page.keyboard.press("Enter")
    page.get_by_role("link", name=seen.film).click()
    page.wait_for_url("**/sample?*")
    until(page, "document.querySelector('video').readyState >= 1")
    page.evaluate("document.querySelector('video').play()")
    until(page, "document.querySelector('video').currentTime > 0.2")
    assert page.evaluate("document.querySelector('video').videoWidth") == seen.film_px
    page.evaluate("document.querySelector('video').currentTime = 3")  # sought by a range
    until(page, "document.querySelector('video').currentTime >= 3 && !document.querySelector('video').seeking")
    page.evaluate("document.querySelector('video').textTracks[0].mode = 'showing'")
    until(page, "document.querySelector('video').textTracks[0].cues?.[0]?.text.startsWith('an okapi')")
    for key in (seen.spoken, seen.heard):  # Ogg Vorbis and WAV
        page.goto("sample?" + urlencode({"key": key}))
        page.evaluate("document.querySelector('audio').play()")
        until(page, "document.querySelector('audio').currentTime > 0.1")


def test_a_sample_s_steps_features_and_likes_are_shown_within_its_page(page: Page, seen: Shown) -> None:
    page.goto("sample?" + urlencode({"key": seen.spoken}))
    page.get_by_role("link", name="Do its steps again").click()
    steps = page.locator("#steps li")
    steps.first.wait_for()
    assert "clean.text.KeepLines" in page.locator("#steps").inner_text()
    page.locator("img.map").scroll_into_view_if_needed()
    until(page, "document.querySelector('img.map').naturalWidth > 0")
    page.locator("[data-cards]").scroll_into_view_if_needed()
    alike = page.locator("[data-cards] > li")
    alike.first.wait_for()
    assert alike.count() == 12
    alike_keys = alike.evaluate_all("all => all.map(each => each.dataset.key)")
    hashes = dict(zip(alike_keys, seen.open().arrays("image.phash", alike_keys), strict=True))
    (own,) = seen.open().arrays("image.phash", [seen.spoken])
    assert np.array_equal(hashes[alike_keys[0]], own)  # there are others of its picture


def test_hostile_names_and_captions_stay_text(page: Page, seen: Shown) -> None:
    for path in ("samples?q=quoted", "sample?" + urlencode({"key": seen.hostile})):
        page.goto(path)
        assert seen.hostile in page.locator("main").inner_text()
        assert CAPTION in page.locator("main").inner_text()
        assert page.locator("main script, main img[src=x]").count() == 0
        assert "taken" not in page.title().replace(seen.hostile, "")


def test_a_page_of_a_sample_is_saved_and_never_opened(browser: Browser, place: str, seen: Shown) -> None:
    with browser.new_context(base_url=place, accept_downloads=True) as context:
        opened = new_page(context)
        opened.goto("sample?" + urlencode({"key": seen.page}))
        with opened.expect_download() as saved:
            opened.get_by_role("link", name="html file").click()
        assert Path(saved.value.path()).read_bytes().startswith(b"<!doctype html>")
        assert "sample" in opened.url


def test_why_a_file_is_missing_is_told_by_its_name(page: Page) -> None:
    page.goto("lost")
    page.get_by_label("Part of a key or of a file's name").fill("short.txt")
    page.get_by_role("button", name="Why is it missing?").click()
    page.wait_for_url("**/lost?q=*")
    page.get_by_role("link", name="media/disc/short").click()
    page.wait_for_url("**/sample?*")
    assert "Dropped by clean.text.KeepLength: too_short" in page.locator("main").inner_text()


def test_the_keyboard_is_enough_and_no_page_is_wider_than_a_phone(browser: Browser, place: str, seen: Shown) -> None:
    with browser.new_context(base_url=place, viewport={"width": 360, "height": 740}, color_scheme="dark") as context:
        opened = new_page(context)
        for path in ("./", "samples", "sample?" + urlencode({"key": seen.spoken}), "lost", "steps?key=nothing"):
            opened.goto(path)
            assert opened.evaluate("document.documentElement.scrollWidth") <= 360, path
        opened.goto("samples")
        opened.keyboard.press("Tab")
        assert opened.evaluate("document.activeElement.textContent") == "Skip to the content"
        opened.keyboard.press("Enter")
        opened.keyboard.press("Tab")
        assert opened.evaluate("document.activeElement.id") == "where"
        unnamed = "[...document.querySelectorAll('img:not([alt]), input:not([type=hidden]), select, audio, video')]"
        named = "each.alt !== undefined || each.labels?.length || each.ariaLabel"
        assert opened.evaluate(f"{unnamed}.filter(each => !({named})).length") == 0


def test_the_basics_work_without_scripts(browser: Browser, place: str, seen: Shown) -> None:
    with browser.new_context(base_url=place, java_script_enabled=False) as context:
        opened = new_page(context)
        opened.goto("samples")
        opened.get_by_role("link", name="Next").click()
        opened.wait_for_url("**/samples?page=1")
        assert opened.locator("#cards > li").count() == 60
        opened.goto("sample?" + urlencode({"key": seen.spoken}))
        opened.get_by_role("link", name="Do its steps again").click()
        opened.wait_for_url("**/steps?key=*")
        assert "clean.text.KeepLines" in opened.locator("#steps").inner_text()
