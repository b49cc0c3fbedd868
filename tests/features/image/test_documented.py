"""docs/images.md names every step on pictures, and none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mmdata
from mmdata.config.names import steps
from mmdata.core.step import address

PAGE = (Path(mmdata.__file__).parent.parent / "docs/images.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("stage", "title"),
    [("codec", "Bytes"), ("clean", "Cleaning"), ("augment", "Augmentation"), ("features", "Features")],
)
def test_the_table_of_a_stage_names_its_steps(stage: str, title: str) -> None:
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    there = [address(cls).rpartition(".")[2] for cls in steps() if address(cls).startswith(f"{stage}.image.")]
    assert sorted(named) == sorted(there)
