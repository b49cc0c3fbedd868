"""What the documentation shows works: its commands and programs run in order, and its outputs are of the form shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import mmdata
from mmdata import api
from mmdata.config.load import load

ROOT = Path(mmdata.__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "design.md")]
ELSEWHERE = ("make ", "pip ")  # tested where they are made: tests/test_packaging.py
LONG = {"clusters", "models", "systems", "training-running"}  # their commands and programs have tests of their own
NUMBER = re.compile(r"\d[\d.,]*")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, its text, and the line it stands at."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(each[1], each[2], text[: each.start()].count("\n") + 1) for each in found]


def run(block: Block, folder: Path) -> str:
    """What a block printed; it must end well."""
    command = ["bash", "-euo", "pipefail", "-c"] if block.language == "sh" else [sys.executable, "-c"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [*command, block.text], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"line {block.line}: {done.stderr}\n{done.stdout}"
    return done.stdout


@pytest.mark.timeout(1200)  # a page may have twenty programs, each of which imports what it needs
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.long if page.stem in LONG else (), id=page.name) for page in PAGES],
)
def test_every_block_runs_and_prints_what_is_shown(page: Path, tmp_path: Path) -> None:
    printed = ""
    for block in blocks(page):
        if block.language == "text":
            lines = [NUMBER.sub("0", line) for line in printed.splitlines()]
            missing = [line for line in block.text.splitlines() if NUMBER.sub("0", line) not in lines]
            assert missing == [], f"{page.name}, line {block.line}: printed was\n{printed}"
        elif block.language in ("sh", "python") and not block.text.startswith(ELSEWHERE):
            printed = run(block, tmp_path)
        else:
            assert block.language in ("sh", "yaml"), f"{page.name}, line {block.line}: a block of no language"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_pipeline_that_is_shown_is_sound(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.language == "yaml":
            (tmp_path / "p.yaml").write_text(block.text)
            api.check(load(tmp_path / "p.yaml", otherwise="SOURCE"))


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docs" / "design.md"], ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*.yaml")), ids=lambda path: path.stem)
def test_pipelines_of_ours_compile_and_say_how_to_run_them(path: Path) -> None:
    assert api.check(load(path, source="SOURCE")).families
    head = path.read_text().partition("\nsource:")[0]
    assert re.search(rf"mmdata run pipelines/{path.name} --source FOLDER(/[\w.]+)? --store out/", head)


def test_the_readme_names_every_command_and_no_other() -> None:
    from mmdata.cli.app import app

    listed = re.search(r"## Commands\n\n`([^`]+)`", (ROOT / "README.md").read_text())
    assert listed
    assert listed[1].split() == [command.name for command in app.registered_commands]
