"""Which files belong together."""

from __future__ import annotations

from mmdata.store.layout import DataFile
from mmdata.store.runs import Recipe
from mmdata.store.view import join


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
