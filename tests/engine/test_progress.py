"""How long a run says that it will take, on a clock of its own."""

from __future__ import annotations

import heapq
import random

import pytest

from mmdata.engine.counts import Counts
from mmdata.engine.progress import Course, Progress, Working


def simulated(*, workers: int, shards: int, start_s: float, spread: float, seed: int) -> list[tuple[float, float]]:
    """The moments at which shards come back, and what was said of the time left: pairs of seconds, and the end's."""
    chance, now, said = random.Random(seed), [0.0], []
    course = Course(samples_total=shards * 100, clock=lambda: now[0])
    sizes = [100] * shards
    flight: list[tuple[float, str]] = []

    def hand_out(extra_s: float) -> None:
        if sizes:
            course.begin(f"s{len(sizes)}", 100)
            took = 8.0 * chance.lognormvariate(0, spread) + extra_s
            heapq.heappush(flight, (now[0] + took, f"s{len(sizes)}"))
            sizes.pop()

    for _ in range(workers):
        hand_out(start_s)
    while flight:
        now[0], shard = heapq.heappop(flight)
        course.end(shard, 100)
        hand_out(0.0)
        left = course.left_s()
        assert left is not None
        said.append((now[0], left))
    return said


@pytest.mark.parametrize("workers", [1, 2, 16])
@pytest.mark.parametrize("start_s", [0.0, 20.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_time_left_is_right_within_a_fifth_after_a_minute(workers: int, start_s: float, seed: int) -> None:
    said = simulated(workers=workers, shards=40 * workers, start_s=start_s, spread=0.2, seed=seed)
    end_s = said[-1][0]
    for now_s, left_s in said:
        if now_s > 60 and end_s - now_s > 60:  # the last shards are few, and each its own
            assert left_s == pytest.approx(end_s - now_s, rel=0.2)


def test_nothing_is_said_before_anything_came_back() -> None:
    course = Course(samples_total=10)
    course.begin("a", 10)
    assert course.left_s() is None
    course.end("a", 10)
    assert (course.left_s(), course.samples_done, course.working) == (0.0, 10, {})


def test_a_shard_that_died_is_in_nobodys_hands() -> None:
    now = [0.0]
    course = Course(samples_total=30, clock=lambda: now[0])
    course.begin("a", 10)
    course.begin("b", 10)
    course.give_up(["a"])
    assert [one.shard for one in course.oldest()] == ["b"]
    now[0] = 5.0
    course.end("b", 10)
    course.begin("a", 10)
    assert course.left_s() == pytest.approx((10 * 0.5 + 10 * 0.5) / 2)
    course.end("a", 10)
    course.end("a", 0)  # a second answer
    course.skip(10)
    assert (course.left_s(), course.samples_done) == (0.0, 30)


def test_progress_is_what_a_log_can_hold() -> None:
    moment = Progress(
        shards=1, shards_total=4, samples=10, samples_total=40, counts=Counts(), seconds=5.0,
        working=(Working("b", 10, 0.0),), left_s=15.04,
    )  # fmt: skip
    told = moment.to_json()
    assert (told["samples_a_second"], told["left_s"], told["working"][0]["shard"]) == (2.0, 15.0, "b")
