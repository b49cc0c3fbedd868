"""`mmdata select` and `mmdata diff`: what a person is told of a selection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

PIPELINE = """
source: {use: source.files.Files, root: media, parts: {image: "{stem}.png", text: "{stem}.txt"}}
select:
  name: %s
  where: {discs: "key like '%%disc%%'"}
  split: {train: 0.5, test: 0.5}
"""


def test_a_selection_is_made_told_and_pinned(mmdata: Any, copied: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(PIPELINE % "discs")
    ended = mmdata("select", copied, "-p", file)
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0].split("\t") == ["", "out", "left"]
    assert lines[1].split("\t")[0] == "all samples"
    assert lines[2].startswith("where.discs\t")
    assert lines[-1] == "selection 'discs', pinned by snapshot 'discs.1'"
    told = json.loads(mmdata("select", copied, "-p", file, "--name", "again", "--no-pin", "--json").out)
    assert (told["name"], told["snapshot"]) == ("again", None)
    assert told["samples"] == sum(told["splits"].values()) + told["reasons"]["where.discs"]
    changes = json.loads(mmdata("diff", copied, "v1", "discs", "--json").out)
    assert changes["same"] + sum(change["samples"] for change in changes["changes"]) == told["samples"]
    assert mmdata("diff", copied, "discs", "again").out.startswith(f"{told['samples']:,} samples are the same, 0 ")
    assert mmdata("diff", copied, "discs@discs.1", "again", "--keys").out == "key\tdiscs@discs.1\tagain\n"
    out = {line.split("\t")[2] for line in mmdata("diff", copied, "v1", "discs", "--keys").out.splitlines()[1:]}
    assert "where.discs" in out


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("source: {use: source.files.Files, root: x}", "there is no select section"),
        ("select: {name: v1, where: 'a >'}", "select.where: syntax error"),
        ("select: {name: v1, where: {a: \"key in (select * from glob('*'))\"}}", "no tables but samples: glob()"),
        ("select: {name: v1, dedup: [select.dedup.NearTxt]}", "did you mean 'select.dedup.NearText'?"),
        ("select: {name: v1, dedup: [{use: select.dedup.NearImage, bits: 3}]}", "no setting 'bits'"),
        ("select: {name: v1, dedup: [{use: select.dedup.Exact, keep: 'a +'}]}", "select.dedup[0].keep: syntax error"),
        ("select: {name: v1, dedup: 3}", "select.dedup: expected a list of rules, not 3"),
        ("select: {name: v1, against: v2}", "select.against: there is no dedup rule"),
        ("select: {name: v1, split: {train: 0.5, test: 0.6}}", "select.split.shares add up to 1.1"),
        ("select: {name: v1, balance: {by: label}}", "select.balance.nothing is to be done"),
        ("select: {name: v1, balance: {weight: 'random()'}}", "random() gives something else each time"),
    ],
)
def test_a_section_that_is_wrong_is_refused_before_the_store_is_opened(
    mmdata: Any, tmp_path: Path, text: str, fault: str
) -> None:
    (tmp_path / "p.yaml").write_text(text)
    ended = mmdata("select", tmp_path / "no-store", "-p", tmp_path / "p.yaml")
    assert (ended.code, ended.out) == (2, "")
    assert fault in ended.err
