"""Fixtures for all tests: the real corpora, or a skip that says why there are none."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from mmdata.errors import CorpusUnavailable
from mmdata.testing.browser import CHROMIUM, chromium
from mmdata.testing.corpora import media
from mmdata.testing.servers import S3Server, s3_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

settings.register_profile(
    "busy",
    parent=settings(),
    deadline=None,
    max_examples=50,
    suppress_health_check=[*settings().suppress_health_check, HealthCheck.too_slow],
)
settings.load_profile("busy")  # how long an example takes says how busy the machine is


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spare the collector of garbage all modules and tests, which live as long as the process: a third of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long forms of tests, unless they are asked for; pages of documents first, which take longest."""
    items.sort(key=lambda item: item.path.name != "test_docs.py")  # or all would wait for them in the end
    if os.environ.get("MMDATA_LONG"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def _media_or_skip(name: str) -> Path:
    try:
        return media(name)
    except CorpusUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def stamps() -> Path:
    """The Tux Paint stamps: a folder a class, STEM.png with STEM.txt and STEM_desc_LANG.ogg."""
    return _media_or_skip("tuxpaint-stamps-default")


@pytest.fixture(scope="session")
def prompts() -> Path:
    """The asterisk prompts: en_US_f_Allison/**/*.wav, 8 kHz mono."""
    return _media_or_skip("asterisk-core-sounds-en-wav")


@pytest.fixture(scope="session")
def prompt_texts() -> Path:
    """The folder of core-sounds-en.txt.gz, lines of `key: text`."""
    return _media_or_skip("asterisk-core-sounds-en")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, or a skip that says how to have it; `mmdata.testing.browser` makes pages that tell what is wrong.

    Of a module: Playwright's loop is in this thread for as long, and no other can be.
    """
    if not CHROMIUM.exists() and not os.environ.get("CI"):
        pytest.skip("no Chromium: apt-get install chromium")
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server; which one, `mmdata.testing.servers` says."""
    with s3_server() as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a new bucket, whose server the environment names."""
    for name, value in s3.options.items():
        monkeypatch.setenv(name, value)
    return s3.bucket()
