from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import mmdata

ROOT = Path(mmdata.__file__).parent.parent
SOME: dict[str, Any] = {
    "inputs": ["words", "face"],
    "score": "accuracy",
    "splits": {"test": 100, "train": 300},
    "training_s": 7,
    "machine": "2 cores",
    "load": 0.5,
    "day": "2026-11-22",
    "python": "3.11.7",
    "versions": {"torch": "2.13.0"},
    "theory": {"words": 0.6, "face": 0.7, "words+face": 0.9},
    "here": {"words": 0.61, "face": 0.72, "words+face": 0.88},
    "scores": {"concat": [0.9, 0.8], "early": [0.5, 0.5], "words": [0.6, 0.6], "face": [0.7, 0.7]},
    "margin": {"theory": 0.2, "here": 0.16, "seen": 0.15, "error": 0.04},
}


def page(figures: Path) -> str:
    code = "import json, sys; from results_page import page; sys.stdout.write(page(json.load(open(sys.argv[1]))))"
    command = [sys.executable, "-c", code, str(figures)]
    return subprocess.run(command, cwd=ROOT / "benchmarks", capture_output=True, text=True, check=True).stdout


def test_the_page_is_made_of_the_figures_that_are_kept() -> None:
    assert page(ROOT / "benchmarks/results.json") == (ROOT / "docs/results.md").read_text("utf-8")


def test_a_table_has_theory_beside_what_was_seen(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text(json.dumps({"sentiment": SOME, "sentiment_noise": SOME}))
    lines = page(tmp_path / "some.json").splitlines()
    assert lines.count("| all, `concat` | 0.900 | 0.880 | 0.850 ± 0.071 |") == 2
    assert lines.count("| face | 0.700 | 0.720 | 0.700 ± 0.000 |") == 2
    assert "Beside noise, where `face` alone tells:" in lines
    assert any("single input: 0.150 ± 0.040; theory 0.200, on this split 0.160" in line for line in lines)
    assert "Not measured yet: `python benchmarks/results.py news`." in lines
