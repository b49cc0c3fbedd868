"""What changes while it is shown: samples that are forgotten, files that are others than they were, newer runs."""

from __future__ import annotations

import html
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mmdata import api
from mmdata.serve import finding
from mmdata.serve.app import serving
from mmdata.store.store import Store
from mmdata.testing.build import corpus

PIPELINE = """
source: {use: source.files.Files, parts: {image: "{stem}.png", text: "{stem}.txt"}}
ingest: [{use: clean.text.KeepLines, first: 1}, {use: codec.image.DecodeImage, max_px: 48}]
store: {image: auto}
features: [features.image.PerceptualHash, features.image.Sharpness]
"""


@dataclass(frozen=True)
class Living:
    """A store of its own, its source, and a server at it."""

    folder: Path
    ask: Any
    keys: list[str]

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def file(self, key: str, extension: str) -> Path:
        return self.folder / f"{key}.{extension}"

    def run(self, pipeline: str = PIPELINE) -> None:
        (self.folder / "p.yaml").write_text(pipeline)
        api.run(self.folder / "p.yaml", store=self.store, source=self.folder / "media")


@pytest.fixture
def living(tmp_path: Path, ask_at: Any) -> Iterator[Living]:
    corpus(tmp_path / "media", n=4, seed=5)
    made = Living(tmp_path, None, [])
    for at, file in enumerate(sorted((tmp_path / "media").rglob("*.txt"))):
        file.write_text(f"caption number {at}\nand more")
    made.run()
    with serving(Store.open(made.store), recorded=lambda: api.recorded(made.store)[0].pipeline) as url:
        yield Living(tmp_path, ask_at(url), Store.open(made.store).keys())


def test_a_forgotten_sample_is_shown_no_more(living: Living) -> None:
    ask, (key, other, *_) = living.ask, living.keys
    caption = living.file(key, "txt").read_text().splitlines()[0]
    steps = ask("steps", key=key).text
    assert caption in steps
    (picture, *_) = map(html.unescape, re.findall(r'src="(shown\?.*?)"', steps))
    assert caption in ask("sample", key=key).text
    assert ask(picture).status == 200
    Store.open(living.store).forget(key)
    for path in ("steps", "sample", "samples"):
        page = ask(path, key=key)
        assert caption not in page.text
        assert "gone" not in page.text
    assert ask(picture).status == 400
    assert ask("sample", key=other).status == 200
    assert ask("media", key=other, part="image").status == 200
    assert ask("samples").text.count('class="card"') == len(living.keys) - 1


def test_a_file_that_changed_since_it_was_shown_is_not_shown_as_it_was(living: Living) -> None:
    ask, key = living.ask, living.keys[0]
    file = living.file(key, "txt")
    old = file.read_text().splitlines()[0]
    assert old in ask("steps", key=key).text
    file.write_text("it says something else\n")
    os.utime(file, ns=(1, 1))
    page = ask("steps", key=key).text
    assert old not in page
    assert "changed since" in page
    living.run()
    assert "it says something else" in ask("steps", key=key).text


class Counted:
    """A source that counts how often each part is read."""

    def __init__(self, source: Any) -> None:
        self.source, self.reads = source, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def read(self, entries: Any) -> Iterator[Any]:
        for sample in self.source.read(entries):
            parts = {name: replace(blob, load=partial(self.load, name, blob), open=None)
                     for name, blob in sample.parts.items()}  # fmt: skip
            yield replace(sample, parts=parts)

    def load(self, name: str, blob: Any) -> bytes:
        self.reads[name] += 1
        data: bytes = blob.load()
        return data


def test_a_source_is_read_once_for_a_page_of_steps_and_not_again_for_what_it_shows(living: Living, ask_at: Any) -> None:
    pipeline = api.recorded(living.store)[0].pipeline
    counted: Any = Counted(pipeline.source)
    with serving(Store.open(living.store), recorded=lambda: replace(pipeline, source=counted)) as url:
        ask = ask_at(url)
        page = ask("steps", key=living.keys[0])
        shown = [html.unescape(each) for each in re.findall(r'src="(shown\?.*?)"', page.text)]
        assert len(shown) == 1
        assert {ask(each).status for each in shown * 3} == {200}
        assert counted.reads == {"image": 1, "text": 1}
        assert ask(re.sub("told=[0-9a-f]+", "told=0", shown[0])).status == 200  # it looks anew
        assert counted.reads == {"image": 2, "text": 2}


def test_steps_are_those_of_the_newest_run(living: Living) -> None:
    ask, key = living.ask, living.keys[0]
    assert "clean.text.KeepLines" in ask("steps", key=key).text
    living.run(PIPELINE.replace("{use: clean.text.KeepLines, first: 1}, ", ""))
    assert "clean.text.KeepLines" not in ask("steps", key=key).text


def test_more_than_a_few_slow_questions_are_put_off(living: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "MOST_WAIT_S", 0.01)
    busy = finding._BUSY  # what two slow conditions hold
    assert busy.acquire(timeout=120)
    assert busy.acquire(timeout=120)
    try:
        got = living.ask("samples", where="label = 'x'")
        assert (got.status, "ask again" in got.text) == (503, True)
        assert living.ask("samples", q="caption").status == 200
    finally:
        busy.release(2)
    assert living.ask("samples", where="label = 'x'").status == 200


def test_a_file_whose_head_is_damaged_is_told_at_a_glance(living: Living, ask_at: Any) -> None:
    path = min((living.store / "features" / "image.phash").glob("*.parquet"))
    path.write_bytes(bytes(64) + path.read_bytes()[64:])
    with serving(Store.open(living.store)) as url:
        text = ask_at(url)("").text
    assert f"features/image.phash/{path.name}" in text
    assert "--drop-damaged" in text


def test_one_damaged_family_costs_itself_only(living: Living, ask_at: Any) -> None:
    for file in (living.store / "features" / "image.phash").glob("*.parquet"):
        os.truncate(file, 10)
    with serving(Store.open(living.store)) as url:
        ask = ask_at(url)
        assert ask("samples", q="caption").text.count('class="card"') == len(living.keys)
        assert ask("samples", where="image.sharpness >= 0").text.count('class="card"') == len(living.keys)
        page = ask("sample", key=living.keys[0])
        assert page.status == 200
        assert "data-cards" not in page.text  # like it by what can't be read
        (told,) = re.findall(r'<tr><th scope="row">image[.<wbr>]*phash</th>.*?</tr>', page.text, re.DOTALL)
        assert "damaged or can" in told
        assert "scalar" not in told  # what it promised is not known
