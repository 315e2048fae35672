"""Errands: work of others that needs the trees and the disk for itself, done between two steps of the control loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from syncline.model.errors import SynclineError

A = TypeVar("A")


class Errands:
    def __init__(self) -> None:
        self._waiting: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, work: Callable[[], A]) -> asyncio.Future[A]:
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, answer))
        return answer

    async def run(self) -> bool:
        """Does all that wait, one after the other, in a thread; whether there were any. What an errand raises is its asker's."""
        ran = False
        while self._waiting:
            work, answer = self._waiting.popleft()
            if answer.done():
                continue
            ran = True
            try:
                result = await asyncio.to_thread(work)
            except BaseException as error:
                if not answer.done():
                    answer.set_exception(error)
                if not isinstance(error, SynclineError):
                    raise
            else:
                if not answer.done():
                    answer.set_result(result)
        return ran

    def refuse(self, error: Exception) -> None:
        while self._waiting:
            _, answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(error)
