"""The threads that do blocking work: order, errors, callers that go away, and what they keep."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator

import pytest

from syncline.adapters.threads import Threads


@pytest.fixture
def one() -> Iterator[Threads]:
    threads = Threads(1, "one")
    yield threads
    threads.close()


async def test_gives_what_work_gives_or_raises(one: Threads) -> None:
    assert await one.run(lambda: threading.current_thread().name) == "one_0"
    with pytest.raises(ZeroDivisionError):
        await one.run(lambda: 1 // 0)
    with pytest.raises(RuntimeError):
        await one.run(lambda: next(iter(())))
    assert await one.run(lambda: 1) == 1


async def test_work_is_done_in_order_and_left_out_only_before_it_began(one: Threads) -> None:
    done: list[int] = []
    begun, go = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        go.wait(10)
        done.append(0)

    tasks = [asyncio.create_task(one.run(first))]
    tasks += [asyncio.create_task(one.run(lambda number=number: done.append(number))) for number in range(1, 6)]  # type: ignore[misc]
    while not begun.is_set():
        await asyncio.sleep(0.001)
    tasks[0].cancel()
    tasks[3].cancel()
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    await one.run(lambda: None)
    assert done == [0, 1, 2, 4, 5]


async def test_close_waits_for_what_was_asked_for() -> None:
    threads, done = Threads(3, "some"), list[int]()
    tasks = [asyncio.create_task(threads.run(lambda number=number: done.append(number))) for number in range(50)]  # type: ignore[misc]
    await asyncio.sleep(0)
    await asyncio.to_thread(threads.close)
    await asyncio.gather(*tasks)
    assert sorted(done) == list(range(50))


async def test_a_waiting_thread_keeps_nothing(one: Threads) -> None:
    class Large:
        pass

    kept = weakref.ref(await one.run(Large))
    for _ in range(100):
        gc.collect()
        if kept() is None:
            return
        await asyncio.sleep(0.01)
    raise AssertionError
