"""People who asked what the next plan would be, and their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct

from syncline.client.guard import DeleteGuard, guarded
from syncline.client.plan.steps import Plan, Step
from syncline.client.status import Problem


class Looked(Struct, frozen=True):
    """The steps of the next plan; those that the delete guard holds back, and its question where it does."""

    steps: list[Step]
    held: list[Step]
    guard: Problem | None


def look_at(planned: Plan, guard: DeleteGuard, count_files: Callable[[], int], *, is_empty: bool = False) -> Looked:
    """What a plan is to who only wants to see."""
    allowed, question = guarded(planned, guard, count_files, is_empty=is_empty)
    kept = {id(step) for step in allowed}
    return Looked(list(planned.steps), [step for step in planned.steps if id(step) not in kept], question)


class Looks:
    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[Looked]] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self) -> asyncio.Future[Looked]:
        look: asyncio.Future[Looked] = asyncio.get_running_loop().create_future()
        self._waiting.append(look)
        return look

    def answer(self, looked: Looked) -> None:
        for look in self._waiting:
            if not look.done():
                look.set_result(looked)
        self._waiting.clear()

    def refuse(self, error: Exception) -> None:
        """No plan can be made: whoever asked is told, rather than kept waiting."""
        for look in self._waiting:
            if not look.done():
                look.set_exception(error)
        self._waiting.clear()
