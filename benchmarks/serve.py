"""How long a person waits for `mmdata serve`: 5,000 real samples in Chromium.

    python benchmarks/serve.py [--samples 5000] [--rounds 5] [--store FOLDER]

The samples are the Tux Paint stamps with their captions, and what is spoken in French, under as many names as it takes,
with asterisk's prompts, 8 s stretches of Big Buck Bunny as it is coded, and hostile keys and captions among them. The
server is a process of its own; the first page it gives is timed from the navigation to the browser's load event,
pictures in view included, and so is each further one; a sound and a film from being asked to play until they do. What
a page complains of is counted: errors, failed requests, anything on its console. `--store` keeps the store, or takes
one that is there.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from films import bunny

from mmdata.store.store import Store
from mmdata.testing.browser import chromium, complaints, new_page
from mmdata.testing.shelf import PARTS, shelf

if TYPE_CHECKING:
    from playwright.sync_api import Page

PIPELINE = f"""
source: {{use: source.files.Files, parts: {PARTS}, label: top}}
ingest:
  - {{use: codec.image.DecodeImage, max_px: 256}}
  - {{use: clean.text.KeepLines, first: 1}}
  - {{use: clean.text.KeepLength, min_chars: 3}}
store: {{image: "jpeg:90", speech: copy, sound: copy, film: copy, page: copy, said: copy}}
features: [features.image.PerceptualHash, features.image.Sharpness, features.image.ColorHistogram,
           features.text.TextLength, features.text.HashedNgrams]
select: {{name: v1, split: {{train: 0.8, test: 0.2}}}}
run: {{max_rejects: 0.5}}
"""


def made(folder: Path, n: int) -> Path:
    """A store of so many samples."""
    source, store = folder / "media", folder / "store"
    if store.exists():
        return store
    shelf(source, n, bunny())
    (folder / "p.yaml").write_text(PIPELINE)
    command = [sys.executable, "-m", "mmdata", "run", folder / "p.yaml", "--source", source, "--store", store]
    subprocess.run([*map(str, command), "--executor", "pool", "--workers", "2"], check=True)
    return store


def loaded(page: Page, url: str) -> float:
    """Seconds until a page is there: its own load event, and its pictures in view decoded."""
    started = perf_counter()
    page.goto(url)
    page.evaluate(
        "Promise.all([...document.images].filter(each => each.getBoundingClientRect().top < innerHeight)"
        ".map(each => each.decode().catch(() => 0)))"
    )
    return perf_counter() - started


def scrolled(page: Page, n: int) -> float:
    """Seconds until so many samples were scrolled to."""
    started = perf_counter()
    while page.locator("#cards > li").count() < n:
        page.locator("#pager").scroll_into_view_if_needed()
        page.wait_for_timeout(10)
    return perf_counter() - started


def started(page: Page, what: str) -> float:
    """Seconds until the first sound or film of a page plays, of which nothing was read before."""
    one = f"document.querySelector('{what}')"
    took: float = page.evaluate(
        f"new Promise((done, fail) => {{const from = performance.now();"
        f"{one}.onplaying = () => done(performance.now() - from); {one}.onerror = () => fail({one}.error.message);"
        f"{one}.play().catch(() => 0)}})"
    )
    return took / 1000


def measured(store: Path, rounds: int) -> tuple[dict[str, list[float]], float, list[str]]:
    """Seconds by what was asked for, the server's largest memory in MB, and what pages complained of."""
    keys = Store.open(store).keys()
    key = next(key for key in keys if "/animals/" in key)
    paths = {
        "overview": "",
        "samples": "samples",
        "condition": "samples?" + urlencode({"where": "image.sharpness > 1000 and text.length.words > 3"}),
        "words": "samples?" + urlencode({"q": "red bird"}),
        "order": "samples?" + urlencode({"sort": "-image.sharpness"}),
        "like, by hash": "samples?" + urlencode({"like": key, "on": "image.phash"}),
        "like, by 1,024 numbers": "samples?" + urlencode({"like": key, "on": "text.ngrams"}),
        "one sample": "sample?" + urlencode({"key": key}),
        "words, of a hostile one": "samples?" + urlencode({"q": "quoted"}),
        "missing": "lost",
    }
    plays = {"a sound plays": ("audio", "samples?q=animals"), "a film plays": ("video", "samples?q=bunny")}
    found: dict[str, list[float]] = {}
    peak, said = 0.0, list[str]()
    with chromium() as browser:
        for _ in range(rounds):
            command = [sys.executable, "-m", "mmdata", "serve", str(store), "--port", "0"]
            begun = perf_counter()
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, ExitStack() as ending:
                ending.callback(server.terminate)
                line = server.stdout.readline() if server.stdout else ""
                found.setdefault("the server listens", []).append(perf_counter() - begun)
                (url,) = re.findall(r"http://\S+", line)
                page = new_page(browser.new_context(viewport={"width": 1280, "height": 900}))
                heard = complaints(page, url)
                found.setdefault("overview, the first page of all", []).append(loaded(page, url))
                for name, path in paths.items():
                    found.setdefault(name, []).append(loaded(page, url + path))
                for name, (what, path) in plays.items():
                    page.goto(url + path)
                    found.setdefault(name, []).append(started(page, what))
                page.goto(url + "samples")
                found.setdefault("scroll to 600", []).append(scrolled(page, 600))
                status = Path(f"/proc/{server.pid}/status").read_text()
                peak = max(peak, int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1000)
                said += heard
                page.context.close()
    return found, peak, said


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--samples", type=int, default=5000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--store", type=Path)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as scratch:
        store = made(given.store or Path(scratch), given.samples)
        found, peak, said = measured(store, given.rounds)
        print(f"{len(Store.open(store)):,} samples; load {os.getloadavg()[0]:.1f}; server's peak {peak:.0f} MB")
        for name, times in found.items():
            print(f"{name:32} {statistics.median(times):6.2f} s   ({min(times):.2f} to {max(times):.2f})")
        print(f"{len(said)} complaints: {', '.join(said[:5]) or 'none'}")


if __name__ == "__main__":
    main()
