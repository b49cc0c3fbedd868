from __future__ import annotations

from mmdata.config.names import steps
from mmdata.config.operators import operators
from mmdata.core.step import address


def test_every_step_has_one_row_with_its_settings() -> None:
    rows = [line for line in operators().splitlines() if line.startswith("| `")]
    assert len(rows) == len(set(map(address, steps())))
    found = next(row for row in rows if row.startswith("| `text.KeepLength` "))
    assert found.startswith("| `text.KeepLength` | filter | Drop a text with too few or too many characters")
    assert found.endswith("| Text | `min_chars=1`, `max_chars=None` |")


def test_kinds_and_promised_forms_are_named() -> None:
    text = operators()
    assert (
        "| `text.SwapWords` | random | Let words change places with others of the text. | Text, Text | `share=0.1` |"
        in text
    )
    assert "| Text, uint32 [permutation 128] | `n_words=5`, `n_permutations=128`, `seed=1` |" in text
    assert "Text, chars int32; words int32" in text
    tfidf = next(line for line in text.splitlines() if line.startswith("| `text.TfIdf` "))
    assert "| Text, by its model or file |" in tfidf


def test_every_row_has_five_cells() -> None:
    for line in operators().splitlines():
        if line.startswith("| `"):
            assert line.replace("\\|", "").count("|") == 6, line
