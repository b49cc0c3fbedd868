from __future__ import annotations

from dataclasses import dataclass

import pytest

from mmdata.clean.text import KeepC4Lines, KeepLength
from mmdata.config.names import steps
from mmdata.config.operators import COLUMNS, measured, operators, reference, section
from mmdata.core.sample import Text
from mmdata.core.step import Drop, Map, address


def rows() -> dict[str, list[str]]:
    """The cells of each step."""
    lines = [line for line in operators().splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.replace("\\|", "¦")[1:-1].split("|")] for line in lines]
    return {row[0]: row for row in cells if row[0] != "step"}


def test_every_step_has_one_row_with_its_settings() -> None:
    lines = [line for line in operators().splitlines() if line.startswith("| `")]
    assert len(lines) == len(set(map(address, steps())))
    found = rows()["`text.KeepLength`"]
    assert found[:7] == [
        "`text.KeepLength`",
        "filter",
        "Drop a text with too few or too many characters (code points); both bounds are kept.",
        "Text",
        "",
        "`min_chars=1`, `max_chars=None`",
        "Plain counts.",
    ]


def test_kinds_and_promised_forms_are_named() -> None:
    found = rows()
    assert found["`text.SwapWords`"][1:2] + found["`text.SwapWords`"][3:6] == ["random", "Text", "Text", "`share=0.1`"]
    assert found["`text.MinHash`"][4] == "uint32 [permutation 128]"
    assert found["`text.TextLength`"][4] == "chars int32; words int32"
    assert found["`text.TfIdf`"][4] == "float32 [term]"  # by its docstring, as the size hangs on a file
    assert found["`tokens.TokenCount`"][4] == "int32 scalar"
    assert found["`embed.OnnxImage`"][4] == "by its model or file"


def test_every_row_has_all_cells_and_no_step_of_text_is_without_its_source() -> None:
    for name, row in rows().items():
        assert len(row) == len(COLUMNS), name
        assert row[6] or not name.startswith(("`text.", "`tokens.")) or name == "`text.DecodeText`", name


def test_costs_are_those_that_were_measured() -> None:
    found, known = measured(), {address(cls) for cls in steps()}
    assert found["about"].keys() == {"command", "day", "machine", "values"}
    for name, cost in found["ms"].items():
        if name in known:
            assert float(rows()[f"`{name.partition('.')[2]}`"][7]) == cost or name.count(".") > 2
            break
    else:
        pytest.fail("nothing was measured")
    assert str(found["about"]["machine"]) in operators()


@dataclass(frozen=True, kw_only=True)
class AsOthers(Map[Text, Text]):
    """What others do (Somebody et al., "A title (of 2)" (CONF 2001), 2; ITU-R BS.1770-4), as `librosa.stft` has it."""

    def map(self, text: Text) -> Text | Drop:
        return text


@dataclass(frozen=True, kw_only=True)
class AsAKernel(AsOthers):
    """What a kernel does; see `kernels.hashing.signed_counts`."""


@dataclass(frozen=True, kw_only=True)
class AsNobody(AsOthers):
    """What nobody did, since 2001; see `kernels.nowhere.nothing`."""


def test_sources_are_found_where_they_are_named() -> None:
    assert reference(KeepLength) == "Plain counts."
    assert reference(KeepC4Lines).startswith('Raffel et al., "Exploring the Limits of Transfer Learning" (JMLR 2020)')
    named = reference(AsOthers)
    assert named == 'Somebody et al., "A title (of 2)" (CONF 2001); ITU-R BS.1770-4; `librosa.stft`'
    assert reference(AsAKernel).startswith('Weinberger et al., "Feature Hashing for Large Scale')
    assert reference(AsNobody) == ""


def test_sections_end_where_another_begins() -> None:
    about = (
        "What.\n\nArgs:\n    a: one.\n\nReference:\n    A book,\n    page 1.\n\n    And more.\n\nRaises:\n    Never."
    )
    assert section(about, "Reference") == "A book, page 1. And more."
    assert section(about, "Example") == ""
