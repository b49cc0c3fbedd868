"""Which files belong together."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.store import live as live_module
from mmdata.store.layout import DataFile, Media
from mmdata.store.live import Live, form, to_logged
from mmdata.store.runs import Recipe
from mmdata.store.tables import logged
from mmdata.store.view import FileTable, JoinedShards, ShardView, join, join_tables


def file(family: str, shard: str = "s", fp: str = "1", keys: str = "k", source: str = "", rows: int = 3) -> DataFile:
    return DataFile(family, f"{family}/{shard}-{fp}-{keys}", shard, fp, keys, rows, 1, "d", source)


def fps(samples: list[DataFile], features: list[DataFile], recipes: list[Recipe]) -> list[str | None]:
    view = join(samples, {"f": features}, recipes)
    return [shard.features["f"].fp if "f" in shard.features else None for shard in view.shards]


def test_a_recipe_joins_a_feature_to_samples_of_the_same_shard_and_keys() -> None:
    samples = [file("samples")]
    recipe = Recipe("1", {"f": "a"})
    assert fps(samples, [file("f", fp="a")], [recipe]) == ["a"]
    assert fps(samples, [file("f", fp="a", keys="other")], [recipe]) == [None]
    assert fps(samples, [file("f", fp="a", shard="other")], [recipe]) == [None]
    assert fps(samples, [file("f", fp="b")], [recipe]) == [None]
    assert fps([file("samples", fp="2")], [file("f", fp="a")], [recipe]) == [None]
    assert fps(samples, [file("f", fp="a")], []) == [None]


def test_the_newest_recipe_with_a_file_decides() -> None:
    both = [file("f", fp="a"), file("f", fp="b")]
    new, old = Recipe("1", {"f": "b"}), Recipe("1", {"f": "a"})
    assert fps([file("samples")], both, [new, old]) == ["b"]
    assert fps([file("samples")], both, [old, new]) == ["a"]
    assert fps([file("samples")], both[:1], [new, old]) == ["a"]
    assert fps([file("samples")], both, [Recipe("2", {"f": "b"}), Recipe("1", {}), old]) == ["a"]


def test_shards_are_in_order_of_source_and_id() -> None:
    samples = [file("samples", "2", source="a"), file("samples", "1", source="b"), file("samples", "1", source="a")]
    assert [(shard.source, shard.shard) for shard in join(samples, {}, []).shards] == [
        ("a", "1"),
        ("a", "2"),
        ("b", "1"),
    ]


def test_drops_of_replaced_samples_are_not_shown() -> None:
    old, new = file("drops", fp="1"), file("drops", fp="2")
    [shard] = join([file("samples", fp="2")], {}, [], drops=[old, new], rejects=[file("rejects", fp="1")]).shards
    assert (shard.drops, shard.rejects) == (new, None)


def test_a_view_counts_rows_and_names_what_lacks() -> None:
    samples = [file("samples", "1"), file("samples", "2"), file("samples", "3", rows=0)]
    view = join(samples, {"f": [file("f", "1", fp="a")], "g": []}, [Recipe("1", {"f": "a"})])
    assert len(view) == 6
    assert view.families == ["f"]
    assert [shard.shard for shard in view.lacking("f")] == ["2"]
    assert [each.path for each in view.files()] == ["samples/1-1-k", "f/1-a-k", "samples/2-1-k", "samples/3-1-k"]
    assert (len(join([], {}, [])), join([], {}, []).families) == (0, [])


def join_simply(
    samples: Sequence[DataFile], features: Sequence[DataFile], recipes: Sequence[Recipe], drops: Sequence[DataFile]
) -> list[ShardView]:
    """What `join` promises, a file at a time."""
    shards = []
    for own in sorted(samples, key=lambda each: (each.source, each.shard)):
        beside: dict[str, DataFile] = {}
        for recipe in recipes:
            wanted = [each for each in features if (each.shard, each.keys) == (own.shard, own.keys)]
            same = [each for each in wanted if each.fp == recipe.features.get("f") and recipe.samples == own.fp]
            if same and not beside:
                beside = {"f": same[-1]}
        dropped = [each for each in drops if each.stands_for == own.stands_for]
        shards.append(ShardView(own.shard, own.source, own.rows, own, beside, dropped[-1] if dropped else None))
    return shards


def files_of(family: str) -> st.SearchStrategy[list[DataFile]]:
    made = st.builds(
        file,
        st.just(family),
        st.sampled_from("abc"),
        st.sampled_from("12"),
        st.sampled_from("kl"),
        st.sampled_from("xy"),
    )
    return st.lists(made, max_size=6, unique_by=lambda each: each.stands_for)


@given(
    files_of("samples"),
    files_of("f"),
    st.lists(st.builds(Recipe, st.sampled_from("12"), st.sampled_from([{"f": "1"}, {"f": "2"}, {}])), max_size=4),
    files_of("drops"),
)
@settings(deadline=None)
def test_files_are_joined_as_one_by_one(
    samples: list[DataFile], features: list[DataFile], recipes: list[Recipe], drops: list[DataFile]
) -> None:
    view = join(samples, {"f": features}, recipes, drops=drops)
    expected = join_simply(samples, features, recipes, drops)
    assert list(view.shards) == expected
    assert view.shards[1:] == tuple(expected[1:])
    assert view.shards[-1:] == tuple(expected[-1:])
    assert len(view) == sum(each.rows for each in samples)
    assert view.families == sorted({family for shard in expected for family in shard.features})
    assert view.lacking("f") == [shard for shard in expected if "f" not in shard.features]
    assert view.sources == sorted({each.source for each in samples})
    assert isinstance(view.shards, JoinedShards)
    assert dict(view.shards.by_id) == {shard.shard: shard for shard in expected}
    firsts = view.by_fingerprint("f")
    assert firsts.keys() == {shard.features["f"].fp for shard in expected if shard.features}
    assert all(each.fp == fp for fp, each in firsts.items())
    for fp in "123":
        assert view.shards.is_of("samples", fp).tolist() == [shard.samples.fp == fp for shard in expected]
        theirs = [shard.features["f"].fp if "f" in shard.features else None for shard in expected]
        assert view.shards.is_of("f", fp).tolist() == [each == fp for each in theirs]


def test_a_picture_of_many_shards_is_columns_until_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    real = live_module.from_logged

    def counted(family: str, entry: live_module.Logged) -> DataFile:
        made.append(1)
        return real(family, entry)

    monkeypatch.setattr("mmdata.store.view.from_logged", counted)
    numbers = [f"{number:016x}" for number in range(2000)]
    samples = [
        DataFile("samples", f"samples/{n}.parquet", n, "1", "k", 5, 1, "d", "s", Media(f"media/{n}.tar", 1, "d"))
        for n in numbers
    ]
    features = [DataFile("f", f"features/f/{n}.parquet", n, "a", "k", 5, 1, "d") for n in numbers[:1999]]
    tables = {
        family: FileTable.live(family, Live(form(logged(family)).empty_table()).changed(map(to_logged, files), ()))
        for family, files in (("samples", samples), ("f", features), ("drops", []), ("rejects", []))
    }
    recipes = [Recipe("1", {"f": "a"})]
    view = join_tables(tables["samples"], {"f": tables["f"]}, recipes, drops=tables["drops"], rejects=tables["rejects"])
    assert (len(view), view.families, len(view.shards), view.sources) == (10_000, ["f"], 2000, ["s"])
    assert made == []
    assert [shard.samples for shard in view.lacking("f")] == samples[1999:]
    assert len(made) == 1
    assert list(view.shards) == list(join(samples, {"f": features}, recipes).shards)
