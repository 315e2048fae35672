"""Whether a process can serve: it is not ending, and each thing that its roles need answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from syncline.model.errors import Unavailable


class Ready:
    def __init__(self, ending: asyncio.Event) -> None:
        self._ending = ending
        self._needed: list[Callable[[], Awaitable[object]]] = []

    def needs(self, check: Callable[[], Awaitable[object]]) -> None:
        """`check` raises `Unavailable` while what it asks does not answer."""
        self._needed.append(check)

    async def check(self) -> None:
        """Raises `Unavailable`."""
        if self._ending.is_set():
            raise Unavailable(what="This server, which is shutting down,")
        for check in self._needed:
            await check()
