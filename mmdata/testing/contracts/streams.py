"""What holds for every stream of batches, as tests: a subclass with one fixture gets them all.

    from mmdata.testing.contracts.streams import StreamCase, StreamContract

    class TestMyStream(StreamContract):
        @pytest.fixture(scope="module")
        def case(self) -> StreamCase:
            def opened(rank: int, world: int, *, global_batch_size: int) -> Streamed: ...

            return StreamCase(opened, st.fixed_dictionaries({"global_batch_size": st.sampled_from([1, 4, 12])}))

The heart of it: whatever ranks and workers read, their union in rank order is the same, before and after a stop at any
step, also where another number of them goes on. That holds for plain streams, mixtures and batches by length alike: a
case says what its settings are, and `worlds_of` how many ranks can share its steps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Batch = Mapping[str, Any]
CONTRACT = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.function_scoped_fixture],  # of subclasses
)


class Streamed(Protocol):
    """A rank's place in an order of batches; each is a mapping, and `key` lists the keys of its samples.

    Attributes:
        epoch: the epoch that is under way, or comes next. step: how many of its batches were given.
    """

    epoch: int
    step: int

    def __iter__(self) -> Iterator[Any]:
        """The batches from this place to the epoch's end."""

    def batches(self, epoch: int, *, start: int = 0, stride: int = 1) -> Iterable[tuple[int, Any]]:
        """Every `stride`th batch of an epoch from step `start` on, each with its step: what one worker reads."""

    def state_dict(self) -> dict[str, Any]:
        """The place, JSON-able."""

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Go to a place that a stream of any number of ranks was in."""


@dataclass(frozen=True)
class StreamCase:
    """How streams over some small store are opened.

    Args:
        opened: gives the stream of one rank of a world; with settings beside.
        settings: what hypothesis may draw for them; `global_batch_size` must be one, or `shares`.
    """

    opened: Callable[..., Streamed]
    settings: st.SearchStrategy[dict[str, Any]]


class StreamContract:
    """Tests of one kind of stream."""

    @pytest.fixture
    def case(self) -> StreamCase:
        raise NotImplementedError("a subclass of StreamContract gives a fixture `case` that returns a StreamCase")

    @settings(CONTRACT, max_examples=40)
    @given(data=st.data())
    def test_any_topology_takes_up_any_other_at_any_step(self, case: StreamCase, data: st.DataObject) -> None:
        drawn = data.draw(case.settings)
        worlds = st.sampled_from(worlds_of(drawn))
        before, after, workers = data.draw(worlds), data.draw(worlds), data.draw(st.integers(1, 3))
        reference = keys_of(case.opened(0, 1, **drawn))
        stop = data.draw(st.integers(0, len(reference)))

        streams = [case.opened(rank, before, **drawn) for rank in range(before)]
        given_out = [[batch for _, batch in zip(range(stop), one, strict=False)] for one in streams]
        assert [[key for rank in given_out for key in rank[step]["key"]] for step in range(stop)] == reference[:stop]

        state = json.loads(json.dumps(streams[0].state_dict()))
        resumed = [case.opened(rank, after, **drawn) for rank in range(after)]
        for one in resumed:
            one.load_state_dict(state)
        rest = [by_workers(one, workers) for one in resumed]
        assert [[key for rank in rest for key in rank[step]] for step in range(stop, len(reference))] == reference[
            stop:
        ]

    @settings(CONTRACT, max_examples=2)
    @given(data=st.data())
    def test_every_world_goes_on_from_every_step(self, case: StreamCase, data: st.DataObject) -> None:
        drawn = data.draw(case.settings)
        one = case.opened(0, 1, **drawn)
        epoch, reference, states = one.epoch, [], [json.dumps(one.state_dict())]
        for batch in one:
            reference.append(list(batch["key"]))
            states.append(json.dumps(one.state_dict()))
        for world in worlds_of(drawn):
            ranks = [case.opened(rank, world, **drawn) for rank in range(world)]
            for step, keys in enumerate(reference):
                for rank in ranks:
                    rank.load_state_dict(json.loads(states[step]))
                    assert (rank.epoch, rank.step) == (epoch, step)
                assert [key for rank in ranks for key in next(iter(rank))["key"]] == keys

    @CONTRACT
    @given(data=st.data())
    def test_epochs_follow_each_other_on_any_topology(self, case: StreamCase, data: st.DataObject) -> None:
        drawn = data.draw(case.settings)
        one = case.opened(0, 1, **drawn)
        first, second = keys_of(one), keys_of(one)
        world = data.draw(st.sampled_from(worlds_of(drawn)))
        ranks = [case.opened(rank, world, **drawn) for rank in range(world)]
        given_out = [[*keys_of(rank), *keys_of(rank)] for rank in ranks]
        assert [
            [key for rank in given_out for key in rank[step]] for step in range(len(given_out[0]))
        ] == first + second

    @CONTRACT
    @given(data=st.data())
    def test_every_rank_has_as_many_steps(self, case: StreamCase, data: st.DataObject) -> None:
        drawn = data.draw(case.settings)
        world = data.draw(st.sampled_from(worlds_of(drawn)))
        steps = {len(keys_of(case.opened(rank, world, **drawn))) for rank in range(world)}
        assert steps == {len(keys_of(case.opened(0, 1, **drawn)))}

    @CONTRACT
    @given(data=st.data())
    def test_the_same_settings_give_the_same_batches_and_a_state_moves_nothing(
        self, case: StreamCase, data: st.DataObject
    ) -> None:
        drawn = data.draw(case.settings)
        one, other = case.opened(0, 1, **drawn), case.opened(0, 1, **drawn)
        seen = []
        for batch in one:
            one.state_dict()
            seen.append(list(batch["key"]))
        assert seen == keys_of(other)
        assert (one.epoch, one.step) == (other.epoch, other.step)
        assert one.state_dict() == other.state_dict()

    @CONTRACT
    @given(data=st.data())
    def test_a_break_is_taken_up_where_it_happened(self, case: StreamCase, data: st.DataObject) -> None:
        drawn = data.draw(case.settings)
        whole = keys_of(case.opened(0, 1, **drawn))
        one = case.opened(0, 1, **drawn)
        stop = data.draw(st.integers(0, len(whole) - 1))
        epoch = one.epoch
        begun = [list(batch["key"]) for _, batch in zip(range(stop), one, strict=False)]
        assert (one.epoch, one.step) == (epoch, stop)
        assert begun + keys_of(one) == whole
        assert (one.epoch, one.step) == (epoch + 1, 0)


def worlds_of(drawn: Mapping[str, Any]) -> list[int]:
    """Every number of ranks that can share a step equally."""
    shares = drawn.get("shares") or drawn["global_batch_size"]
    return [world for world in range(1, shares + 1) if shares % world == 0]


def keys_of(batches: Iterable[Batch]) -> list[list[str]]:
    return [list(batch["key"]) for batch in batches]


def by_workers(stream: Streamed, workers: int) -> dict[int, list[str]]:
    """The keys of the rest of an epoch by step, as `workers` readers of one rank get them between them."""
    made: dict[int, list[str]] = {}
    for worker in range(workers):
        for step, batch in stream.batches(stream.epoch, start=stream.step + worker, stride=workers):
            assert step not in made, "two workers read one batch"
            made[step] = list(batch["key"])
    return made
