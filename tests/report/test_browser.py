"""The page in Debian's Chromium, driven by Playwright: it runs, asks for nothing, and is used without a mouse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from mmdata.report.page import report
from mmdata.store import Store
from mmdata.testing.browser import complaints, new_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(hostile: Store, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report(hostile), "utf-8")
    return path.as_uri()


@pytest.fixture
def page(browser: Browser, url: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The report of hostile texts; it must not complain, ask anyone for anything, or say anything."""
    with browser.new_context(**getattr(request, "param", {})) as context:
        opened = new_page(context)
        said = complaints(opened, url, "data:")
        opened.goto(url)
        yield opened
        assert opened.title() == "<b>store: report of a store"
        assert said == []


def test_pictures_are_seen_and_sounds_are_heard(page: Page) -> None:
    found = page.evaluate("""Promise.all([...document.images].map(one => {
        one.loading = "eager";
        return one.decode().then(() => one.naturalWidth > 0);
    }))""")
    assert len(found) > 4
    assert all(found)
    heard = """Promise.all([...document.querySelectorAll("audio")].map(one => new Promise((done, fail) => {
        one.onloadedmetadata = () => done(one.duration); one.onerror = () => fail(one.error.message);
        one.preload = "metadata";
        one.load();
    })))"""
    assert page.evaluate(heard) == pytest.approx([1.0] * page.locator("audio").count(), abs=0.3)


BROKEN = """[...document.querySelectorAll("th, td")].flatMap(cell => {
    const found = [], walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), range = document.createRange();
    while (walk.nextNode()) {
        range.selectNodeContents(walk.currentNode);
        const word = /^[\\w.]{2,22}$/.test(walk.currentNode.data.trim());
        if (word && range.getClientRects().length > 1) found.push(walk.currentNode.data);
    }
    return found;
})"""


@pytest.mark.parametrize("page", [{"viewport": {"width": 720, "height": 800}}], indirect=True, ids=["720"])
def test_no_short_name_breaks_in_a_table_and_no_blank_stands_above_a_picture(page: Page) -> None:
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate(BROKEN) == []
    above = """[...document.querySelectorAll(".still")].map(one =>
        one.getBoundingClientRect().top - one.closest(".frame-still").getBoundingClientRect().top)"""
    assert max(page.evaluate(above)) < 4


def test_a_map_is_walked_by_keys(page: Page) -> None:
    told = page.locator(".met")
    chart = page.locator("svg.map")
    assert told.locator(".key").count() == 0
    chart.focus()
    first = told.locator(".key").inner_text()
    found = {first}
    for key in ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"] * 3:
        chart.press(key)
        found.add(told.locator(".key").inner_text())
    assert len(found) > 1
    assert page.locator("circle.on").count() == 1
    chart.hover(position={"x": 20, "y": 20})
    assert told.locator(".key").inner_text().startswith("toy/")


def test_the_first_key_leads_past_the_sections(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the contents"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize(
    "page", [{"viewport": {"width": 390, "height": 800}, "color_scheme": "dark"}], indirect=True, ids=["phone"]
)
def test_a_phone_in_the_dark_shows_it_without_scrolling_aside(page: Page) -> None:
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 24)"


CONTRAST = """() => {
  const channel = (v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const found = rgb(getComputedStyle(one).backgroundColor);
      if (found.length === 3) return found;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const one of document.querySelectorAll("body *")) {
    const text = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!text || one.closest("script, svg title")) continue;
    const style = getComputedStyle(one), svg = one instanceof SVGElement;
    const [a, b] = [light(rgb(svg ? style.fill : style.color)), light(ground(one))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${one.tagName} ${one.className.baseVal ?? one.className} ${ratio.toFixed(2)}`);
  }
  return low;
}"""


@pytest.mark.parametrize(
    "page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"]
)
def test_every_text_stands_out_from_its_ground(page: Page) -> None:
    """WCAG 2.2, success criterion 1.4.3: 4.5 to 1."""
    assert page.evaluate(CONTRAST) == []
