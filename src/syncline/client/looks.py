"""People who asked what the next plan would be, and their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from syncline.client.plan.steps import Step


class Looks:
    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[list[Step]]] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self) -> asyncio.Future[list[Step]]:
        look: asyncio.Future[list[Step]] = asyncio.get_running_loop().create_future()
        self._waiting.append(look)
        return look

    def answer(self, steps: Sequence[Step]) -> None:
        for look in self._waiting:
            if not look.done():
                look.set_result(list(steps))
        self._waiting.clear()

    def refuse(self, error: Exception) -> None:
        """No plan can be made: whoever asked is told, rather than kept waiting."""
        for look in self._waiting:
            if not look.done():
                look.set_exception(error)
        self._waiting.clear()
