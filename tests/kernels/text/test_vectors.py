from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmdata.kernels.text.vectors import LONGEST_WORD, MOST_NUMBERS, neighbors, table_form, word_table

WORDS = st.text(st.characters(exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]), min_size=1, max_size=8)


def written(path: Path, rows: dict[str, list[float]], *, form: str, newline: bytes = b"\n") -> str:
    """A table as its makers write it."""
    header = f"{len(rows)} {len(next(iter(rows.values())))}\n".encode()
    with path.open("wb") as file:
        file.write(b"" if form == "glove" else header)
        for word, numbers in rows.items():
            shown = " ".join(map(repr, numbers)).encode()
            vector = np.array(numbers, "<f4").tobytes() + newline if form == "binary" else shown + b"\n"
            file.write(word.encode() + b" " + vector)
    return str(path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.dictionaries(WORDS, st.lists(st.floats(-9, 9, width=32), min_size=3, max_size=3), min_size=1, max_size=8),
    st.sampled_from(["glove", "text", "binary"]),
)
def test_what_was_written_is_read(tmp_path: Path, rows: dict[str, list[float]], form: str) -> None:
    table = word_table(written(tmp_path / "table", rows, form=form))
    assert table.words == tuple(rows)
    assert table.vectors.tolist() == list(rows.values())


def test_bytes_need_no_line_ends_and_may_look_like_anything(tmp_path: Path) -> None:
    rows = {"</s>": [0.0, 1.0], "a": np.frombuffer(b" \n \nab c", "<f4").tolist(), "ü": [2.0, 3.0]}
    for newline in (b"", b"\n"):
        path = written(tmp_path / f"table{len(newline)}", rows, form="binary", newline=newline)
        assert table_form(path).binary
        assert word_table(path).words == ("</s>", "a", "ü")
        assert word_table(path).vectors.tolist() == list(rows.values())


def test_a_large_table_is_read_in_blocks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = {f"word{number}": rng.normal(size=300).astype(np.float32).tolist() for number in range(2500)}  # 3 MB
    table = word_table(written(tmp_path / "table", rows, form="binary"))
    assert len(table.words) == 2500
    assert table.vectors[-1].tolist() == rows["word2499"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no table of word vectors"),
        (b"\n", "is no table of word vectors"),
        (b"word\n", "is no table of word vectors"),
        (b"x" * (1 << 20) + b" 1 2", "is no table of word vectors"),
        (b"9 0\na\n", "is no table of word vectors"),
        (f"1 {MOST_NUMBERS + 1}\na \n".encode(), "is no table of word vectors"),
        (b"99999999999999999999999999 3\na bcd", "is damaged: it says"),
        (b"999999999 300\na 1 2", r"is damaged: it says 999999999 words of 300 numbers, and has 19 bytes"),
        (b"0 3\na 1 2 3\n", "is damaged: it says 0 words"),
        (b"2 1\nab \0\0\0\0" + b"b" * 9, "word 2 of 2 has no end of its word"),
        (b"2 1\n" + b"b" * LONGEST_WORD + b"b \0\0\0\0a \0\0\0\0", "word 1 of 2 has no end of its word"),
        (b"2 2\nabcd \0\0\0\0\0\0\0\0a \0\0\0\0\0\0\0", "word 2 of 2 has 7 of 8 bytes"),
        (b"1 1\na \0\0\xc0\x7f", "is damaged: the vector of 'a' has numbers that are not finite"),
        (b"a 1 nan\n", "is damaged: the vector of 'a' has numbers that are not finite"),
        (b"a 1 1e99\n", "is damaged: the vector of 'a' has numbers that are not finite"),
        (b"a 1 2\nb 1\n", "line 2: expected a word and 2 numbers, found 'b 1"),
        (b"a 1 2\nb 1 x\n", "line 2: could not convert"),
        (b"3 2\na 1 2\nb 1 2\n", "is cut off: it says 3 words, and has 2"),
        (b"2 2\naaaa 1 2\nb 1", "line 3: expected a word and 2 numbers, found 'b 1'"),
        (b"2 2\n", "is damaged: it says 2 words of 2 numbers, and has 4 bytes"),
    ],
)  # fmt: skip
def test_damaged_and_hostile_tables_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "table").write_bytes(data)
    with pytest.raises(ValueError, match=message), np.errstate(over="ignore"):
        word_table(str(tmp_path / "table"))


def test_a_binary_table_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    rows = {"one": [1.0, 2.0], "two": [3.0, 4.0]}
    path = Path(written(tmp_path / "table", rows, form="binary", newline=b""))
    data = path.read_bytes()
    for end in range(len(data)):
        path.write_bytes(data[:end])
        with pytest.raises(ValueError, match=r"is no table|is damaged|is cut off|expected a word|could not convert"):
            word_table(str(path))


def test_of_a_word_twice_the_first_counts_and_odd_bytes_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(b"a 1 2\na 3 4\n\xff 5 6\n. . . 7 8\n")
    table = word_table(str(tmp_path / "table"))
    assert table.places == {"a": 0, "\ufffd": 1, ". . .": 2}
    assert table.vectors[0].tolist() == [1, 2]


def test_neighbours_are_those_of_the_smallest_angle(tmp_path: Path) -> None:
    rows = {"cat": [1.0, 0.0], "dog": [2.0, 0.2], "kitten": [5.0, 0.0], "car": [0.0, 1.0], "anti": [-1.0, 0.0]}
    rows |= {"nothing": [0.0, 0.0], "lion": [1.0, 1.0]}
    table = word_table(written(tmp_path / "table", rows, form="text"))
    found = neighbors(table, "cat", 9, 0.5)
    assert [word for word, _ in found] == ["kitten", "dog", "lion"]
    np.testing.assert_allclose([cosine for _, cosine in found], [1, 2 / np.hypot(2, 0.2), 0.5**0.5], rtol=1e-5)
    assert [word for word, _ in neighbors(table, "cat", 1, -1.0)] == ["kitten"]
    assert neighbors(table, "zebra", 9, -1.0) == ()
    assert neighbors(table, "nothing", 9, 0.1) == ()
