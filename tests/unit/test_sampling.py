"""Quick sampling runs on the event loop, slow sampling in a thread."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.engine.sampling import Sampling


class Work:
    """Takes as much of the clock as it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.takes_seconds = 0.001

    def read_clock(self) -> float:
        return self.now

    def __call__(self) -> threading.Thread:
        self.now += self.takes_seconds
        return threading.current_thread()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


async def test_moves_with_what_the_last_one_cost(threads: ThreadPoolExecutor) -> None:
    work, here = Work(), threading.current_thread()
    sampling = Sampling(threads, clock=work.read_clock)
    assert await sampling.run(work) is not here
    assert await sampling.run(work) is here
    work.takes_seconds = 0.5
    assert await sampling.run(work) is here
    assert await sampling.run(work) is not here


async def test_many_trials_at_once_are_slow_together(threads: ThreadPoolExecutor) -> None:
    work, here = Work(), threading.current_thread()
    sampling = Sampling(threads, clock=work.read_clock)
    await sampling.run(work)
    assert await sampling.run(work, trials=1000) is not here


async def test_a_failure_comes_out_and_changes_nothing(threads: ThreadPoolExecutor) -> None:
    sampling = Sampling(threads)

    def fail() -> None:
        raise ValueError("no such parameter")

    with pytest.raises(ValueError, match="no such parameter"):
        await sampling.run(fail)
    assert await sampling.run(threading.current_thread) is not threading.current_thread()
