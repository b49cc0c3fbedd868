from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from mmdata.engine.groups import LIKE, Groups


@dataclass(eq=False)
class Item:
    cost: int
    nbytes: int = 1


costs = st.lists(st.integers(1, 10_000), min_size=1, max_size=60)


@given(costs, st.integers(1, 20_000), st.integers(1, 40))
def test_every_item_comes_out_once_in_groups_that_fit(given_costs: list[int], budget: int, most: int) -> None:
    groups: Groups[Item] = Groups(lambda cost, _: max(1, min(most, budget // cost)))
    items = [Item(cost) for cost in given_costs]
    out: list[list[Item]] = []
    for item in items:
        groups.add(item)
        while (group := groups.full()) is not None:
            out.append(group)
            assert max(each.cost for each in group) <= LIKE * 1.01 * min(each.cost for each in group)
    while groups:
        first = groups.costliest()
        out.append(groups.around(first))
        assert out[-1][0] is first
    assert {id(item) for group in out for item in group} == {id(item) for item in items}
    assert sum(map(len, out)) == len(items)
    for group in out:
        largest = max(item.cost for item in group)
        assert len(group) == 1 or (len(group) <= most and largest * len(group) <= budget)


def test_a_group_is_full_when_no_more_may_go_with_it() -> None:
    groups: Groups[Item] = Groups(lambda cost, _: 30 // cost)
    for item in (first := [Item(10), Item(10), Item(10)]):
        assert groups.full() is None
        groups.add(item)
    assert groups.full() == first
    assert groups.full() is None


def test_values_of_many_bytes_go_in_smaller_groups() -> None:
    groups: Groups[Item] = Groups(lambda _, nbytes: max(1, 100 // nbytes))
    groups.add(Item(1, nbytes=60))
    assert len(groups.full() or []) == 1


def test_a_group_around_an_item_takes_cheaper_ones_but_no_dearer() -> None:
    groups: Groups[Item] = Groups(lambda *_: 4)
    items = [Item(100), Item(60), Item(1000), Item(10)]
    for item in items:
        groups.add(item)
    assert groups.around(items[0]) == [
        items[0],
        items[1],
    ]  # 10 is less than half: it would be padding for the most part
    assert groups.costliest() is items[2]
