"""File names that every disk takes, and columns that never stand for two things."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmdata.core.arrays import ArraySpec
from mmdata.sink.contents import Contents, PartForm
from mmdata.sink.names import columns_of, feature_suffixes, file_stem
from mmdata.store.files import Files

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400)


def contents(parts: list[PartForm], features: dict[str, ArraySpec]) -> Contents:
    found = {name: ("family", spec) for name, spec in features.items()}
    return Contents(Files("x"), {part.name: part for part in parts}, found, (), 0, None)


@given(TEXT)
@example("../" * 50 + "etc/passwd")
@example("a/" * 2000)
@example("字" * 399)
@example("\0")
def test_a_stem_stays_in_its_folder_and_is_of_a_length_that_disks_take(key: str) -> None:
    stem = file_stem(key)
    assert posixpath.normpath(f"/x/{stem}") == f"/x/{stem}"
    assert all(0 < len(part.encode()) <= 160 for part in stem.split("/"))
    assert len(stem.encode()) <= 700
    assert not any(part[0] in ".-~# " or part[-1] in ". " for part in stem.split("/"))
    assert not set(stem) & set('\\:*?"<>|\0\n\t')


@given(st.lists(TEXT, min_size=2, max_size=2, unique=True))
@example(["x" * 300, "x" * 299])
@example(["con", "%63on"])
@example(["a" * 120, "a" * 121])
@example(["-", "%2D"])
@example(["a ", "a%20"])
def test_no_two_keys_share_a_stem(keys: list[str]) -> None:
    assert file_stem(keys[0]) != file_stem(keys[1])


@pytest.mark.parametrize("key", ["x" * 300, "a/" * 2000, "字" * 99])
def test_no_key_can_be_made_to_take_the_name_of_another(key: str) -> None:
    assert file_stem(file_stem(key)) != file_stem(key)


def test_columns_of_parts_and_features_stay_apart() -> None:
    own = {"copy"}
    parts = [
        PartForm("key", {"image"}, {"png"}, own),
        PartForm("text", {"text"}, {"txt"}, own),
        PartForm("text.bytes", {"image"}, {"png"}, own),
        PartForm("note", {"text"}, {"txt"}, {"encoded"}),
        PartForm("image", {"image"}, {"png"}, own),
    ]
    columns = columns_of(contents(parts, {"image": ArraySpec(), "part.key": ArraySpec(), "NOTE": ArraySpec()}))
    assert columns.parts["key"] == "part.key"
    assert columns.parts["text"] == "text"
    assert columns.raw == {"text": "part.text.bytes"}
    assert columns.features == {"image": "feature.image", "part.key": "feature.part.key", "NOTE": "feature.NOTE"}
    every = [*columns.parts.values(), *columns.raw.values(), *columns.features.values()]
    assert len({name.lower() for name in every}) == len(every)


def test_suffixes_of_features_stay_apart_in_lower_case() -> None:
    array = ArraySpec(dims=("x",))
    parts = [PartForm("mine", {"blob"}, {"npy"}, {"copy"})]
    found = feature_suffixes(contents(parts, {"a": array, "A": array, "mine": array, "scalar": ArraySpec()}))
    assert found == {"a": "a.npy", "A": "%41.npy", "mine": "feature.mine.npy"}


@pytest.mark.parametrize(
    ("kinds", "extensions", "is_text"),
    [
        ({"text"}, {"txt"}, True),
        ({"blob"}, {"txt"}, True),
        ({"blob"}, {"txt", "bin"}, False),
        ({"image"}, {"txt"}, False),
    ],
)
def test_a_part_is_text_where_it_is_one_in_every_sample(kinds: set[str], extensions: set[str], is_text: bool) -> None:
    assert PartForm("x", kinds, extensions).is_text == is_text
