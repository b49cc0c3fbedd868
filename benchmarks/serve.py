"""How long a person waits for `mmdata serve`: 5,000 real samples in Chromium.

    python benchmarks/serve.py [--samples 5000] [--rounds 5] [--store FOLDER]

The samples are the Tux Paint stamps with their captions, and what is spoken in French, under as many names as it takes.
The server is a process of its own; the first page it gives is timed from the navigation to the browser's load event,
pictures in view included, and so is each further one. `--store` keeps the store, or takes one that is there.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from mmdata.store.store import Store
from mmdata.testing.corpora import media

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
PIPELINE = """
source:
  use: source.files.Files
  parts: {image: "{stem}.png", text: "{stem}.txt", speech: "{stem}_desc_fr.ogg"}
  label: parent
ingest:
  - {use: codec.image.DecodeImage, max_px: 256}
  - {use: clean.text.KeepLines, first: 1}
store: {image: "jpeg:90", speech: copy}
features: [features.image.PerceptualHash, features.image.Sharpness, features.image.ColorHistogram,
           features.text.TextLength, features.text.HashedNgrams]
select: {name: v1, split: {train: 0.8, test: 0.2}}
run: {max_rejects: 0.5}
"""


def made(folder: Path, n: int) -> Path:
    """A store of so many samples."""
    source, store = folder / "stamps", folder / "store"
    if store.exists():
        return store
    stems = sorted(path.with_suffix("") for path in media("tuxpaint-stamps-default").rglob("*.txt"))
    stems = [stem for stem in stems if stem.with_suffix(".png").exists()]
    for number in range(n):
        stem = stems[number % len(stems)]
        place = source / f"{number // len(stems):02}" / stem.parent.name
        place.mkdir(parents=True, exist_ok=True)
        for end in (".png", ".txt", "_desc_fr.ogg"):
            file = stem.with_name(stem.name + end)
            link = place / f"{number}_{file.name}"
            if file.exists() and not link.exists():
                os.link(file, link) if file.stat().st_dev == place.stat().st_dev else link.write_bytes(
                    file.read_bytes()
                )
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


def measured(store: Path, rounds: int) -> tuple[dict[str, list[float]], float]:
    """Seconds by what was asked for, and the server's largest memory in MB."""
    from playwright.sync_api import sync_playwright

    key = Store.open(store).keys()[0]
    paths = {
        "overview": "",
        "samples": "samples",
        "condition": "samples?" + urlencode({"where": "image.sharpness > 1000 and text.length.words > 3"}),
        "words": "samples?" + urlencode({"q": "red bird"}),
        "order": "samples?" + urlencode({"sort": "-image.sharpness"}),
        "like, by hash": "samples?" + urlencode({"like": key, "on": "image.phash"}),
        "like, by 1,024 numbers": "samples?" + urlencode({"like": key, "on": "text.ngrams"}),
        "one sample": "sample?" + urlencode({"key": key}),
        "missing": "lost",
    }
    found: dict[str, list[float]] = {}
    peak = 0.0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for _ in range(rounds):
            command = [sys.executable, "-m", "mmdata", "serve", str(store), "--port", "0"]
            begun = perf_counter()
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
                line = server.stdout.readline() if server.stdout else ""
                found.setdefault("the server listens", []).append(perf_counter() - begun)
                (url,) = re.findall(r"http://\S+", line)
                page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
                first = loaded(page, url)
                found.setdefault("overview, the first page of all", []).append(first)
                for name, path in paths.items():
                    took = loaded(page, url + path)
                    found.setdefault(name, []).append(took)
                page.goto(url + "samples")
                found.setdefault("scroll to 600", []).append(scrolled(page, 600))
                status = Path(f"/proc/{server.pid}/status").read_text()
                peak = max(peak, int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1000)
                page.context.close()
                server.terminate()
        browser.close()
    return found, peak


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--samples", type=int, default=5000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--store", type=Path)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as scratch:
        store = made(given.store or Path(scratch), given.samples)
        found, peak = measured(store, given.rounds)
        print(f"{len(Store.open(store)):,} samples; load {os.getloadavg()[0]:.1f}; server's peak {peak:.0f} MB")
        for name, times in found.items():
            print(f"{name:32} {statistics.median(times):6.2f} s   ({min(times):.2f} to {max(times):.2f})")


if __name__ == "__main__":
    main()
