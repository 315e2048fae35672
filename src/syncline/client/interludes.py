"""Work done between two rounds of the control loop, when nobody else touches the trees: how others get a look at them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Interludes:
    """Short, quick and synchronous pieces of work; each is done once."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []

    def add(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """What `work` will give, or raise, at the end of the round under way."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, answer))
        return answer

    def play(self) -> None:
        """Does what was asked for. Only the control task calls it."""
        waiting, self._waiting = self._waiting, []
        for work, answer in waiting:
            if answer.done():
                continue
            try:
                answer.set_result(work())
            except Exception as error:  # noqa: BLE001 - whoever asked is told; the loop goes on
                answer.set_exception(error)

    def refuse(self, error: Exception) -> None:
        """There will be no further round."""
        waiting, self._waiting = self._waiting, []
        for _, answer in waiting:
            if not answer.done():
                answer.set_exception(error)
