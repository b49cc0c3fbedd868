"""A process that is forked in the midst of it all: neither does it hang, nor does it give what is not so."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mmdata.loader.stream import stream
from mmdata.store import Store
from tests.loader.gallery import gallery


@pytest.fixture(scope="module", params=["features", "media"])
def opened(request: pytest.FixtureRequest, small: Store, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Any]:
    if request.param == "features":
        return lambda: stream(small, ["image.embedding"], batch_size=4, seed=1)
    pictures = gallery(tmp_path_factory.mktemp("media") / "store")
    return lambda: stream(pictures, ["image"], batch_size=4, seed=1)


def forked(work: Callable[[], object]) -> Any:
    """What a forked process gave back, or the name of what it raised."""
    fork = multiprocessing.get_context("fork")
    mine, theirs = fork.Pipe()

    def run() -> None:
        try:
            theirs.send(work())
        except RuntimeError as error:
            theirs.send(str(error))

    process = fork.Process(target=run)
    process.start()
    try:
        assert mine.poll(60), "the forked process hangs"
        return mine.recv()
    finally:
        process.kill()
        process.join()


def test_a_loop_does_not_go_on_in_a_forked_process(opened: Callable[[], Any]) -> None:
    whole = [batch["key"] for batch in opened()]
    one = opened()
    loop = iter(one)
    given = [next(loop)["key"] for _ in range(3)]
    assert "iterate the stream anew" in forked(lambda: next(loop))
    assert forked(lambda: [batch["key"] for batch in one]) == whole[3:]  # from the same place
    assert forked(loop.close) is None
    assert given + [batch["key"] for batch in loop] == whole


def test_many_threads_may_go_through_a_stream_each_for_itself(opened: Callable[[], Any]) -> None:
    one = opened()
    with ThreadPoolExecutor(4) as threads:
        passes = list(threads.map(lambda epoch: [batch["key"] for _, batch in one.batches(epoch % 2)], range(8)))
    assert all(each == passes[number % 2] for number, each in enumerate(passes))
    assert passes[0] != passes[1]
