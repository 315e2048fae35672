"""Pouring: the reads of one batch, several under way at a time, each written when all before it are.

    receive (a socket, or a file on this disk) → open, verify → [its turn] → write, hash

Each arrow may be at another read: while one is being written the next is being opened and a third one comes in. Since writes keep
the order, a long file grows from its head on, and its own hash along with it: nothing of it is read back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from mmap import mmap
from typing import Final

from syncline.client.receive.buffers import Buffers
from syncline.client.receive.ranges import Need, Range, Run
from syncline.client.receive.writing import Event, Opened, Writer
from syncline.model.errors import SynclineError
from syncline.ports.remote import Remote

UNDER_WAY_MAX: Final = 3

Take = Callable[[Iterable[Event]], Awaitable[None]]


class Pour:
    """One batch. `take` is told what ended, or met trouble."""

    def __init__(self, remote: Remote, writer: Writer, buffers: Buffers, take: Take) -> None:
        self._remote = remote
        self._writer = writer
        self._buffers = buffers
        self._take = take
        self._last: asyncio.Future[None] | None = None

    async def run(self, sources: Iterable[Range | Run]) -> list[Need]:
        """The blocks that did not lie where on this disk they should."""
        absent: list[Need] = []
        left = iter(sources)
        async with asyncio.TaskGroup() as group:
            for _ in range(UNDER_WAY_MAX):
                group.create_task(self._carry_on(left, absent))
        return absent

    async def _carry_on(self, left: Iterator[Range | Run], absent: list[Need]) -> None:
        for source in left:
            before, mine = self._last, asyncio.get_running_loop().create_future()
            self._last = mine
            if any(need.is_wanted for need in source.needs):
                await self._carry(source, before, absent)
            elif before is not None:
                await before
            mine.set_result(None)

    async def _carry(self, source: Range | Run, before: asyncio.Future[None] | None, absent: list[Need]) -> None:
        """A buffer is given back only after a good end: a thread nobody waits for any more may still use it."""
        plain = self._buffers.lend()
        opened = await (self._near(source, plain, absent) if isinstance(source, Run) else self._far(source, plain))
        if before is not None:
            await before
        if opened:
            await self._take(await asyncio.to_thread(self._writer.place_all, plain, opened))
        self._buffers.take_back(plain)

    async def _near(self, run: Run, plain: mmap, absent: list[Need]) -> list[Opened]:
        opened, lacking = await asyncio.to_thread(self._writer.read_run, run, plain)
        absent += lacking
        return opened

    async def _far(self, span: Range, plain: mmap) -> list[Opened]:
        sealed = self._buffers.lend()
        frames = memoryview(sealed)[: span.end - span.start]
        try:
            await self._remote.read_into(span.source.get, span.start, frames)
        except SynclineError as error:
            self._buffers.take_back(sealed)
            await self._take([(content, error) for content in span.contents])
            return []
        opened, events = await asyncio.to_thread(self._writer.open_range, frames, span, plain)
        self._buffers.take_back(sealed)
        await self._take(events)
        return opened
