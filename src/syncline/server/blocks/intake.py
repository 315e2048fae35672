"""Taking in: a stream of bytes from somebody without a device of ours becomes blocks of a namespace, cut, sealed and packed
here.

Laws: constant memory (a cutter's buffer and one pack for each stream, `at_once` streams); what the namespace possesses already is
not stored again; packs count only once all of them are stored, so a stream that breaks off leaves nothing that anybody possesses;
a commit names the blocks afterwards, as any other. The cutter is a loop over reads, so it has a thread of its own that asks the
event loop for the next bytes.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, BinaryIO, Final, TypeVar, cast

from msgspec import Struct

from syncline.content.compress import dense_name
from syncline.content.cut import choose_cut, cut
from syncline.content.digest import Digester, digest
from syncline.content.pack import PackWriter
from syncline.model.blocks import PackOffer
from syncline.model.errors import LimitExceeded, TooBusy
from syncline.model.ids import Digest, NamespaceId, PackId, UserId
from syncline.model.limits import GRANT_TTL_S, REVISION_BLOCKS_MAX
from syncline.ports.clock import Chance, Clock, Ids
from syncline.ports.kms import KeyWrapper
from syncline.ports.object_store import ObjectStore
from syncline.ports.pack_store import PackRow, PackStore

PACK_KEY_BYTES: Final = 32
FINISH_AT_ONCE: Final = 500
_NOBODY: Final = UserId("")
"""Who sent a block is believed, for themselves alone, that it is what they said; what is cut here rests on verified copies."""

T = TypeVar("T")


class Taken(Struct, frozen=True, kw_only=True):
    """What was taken in: enough for a commit to name it."""

    content_hash: Digest
    size: int
    cut: str
    blocks: list[Digest]


class Stream(Struct, frozen=True, kw_only=True):
    """Bytes to take in for `user` into `namespace`. `expected` is their size as far as anybody said, `most` what it may not pass;
    `room` is asked before a pack is stored whether so many more plain bytes may come, and raises if not."""

    source: AsyncIterator[bytes]
    namespace: NamespaceId
    user: UserId
    name: str
    most: int
    room: Callable[[int], Awaitable[None]]
    expected: int = 0


class Intake:
    def __init__(
        self, packs: PackStore, objects: ObjectStore, keys: KeyWrapper, clock: Clock, chance: Chance, *, at_once: int
    ) -> None:
        self._packs = packs
        self._objects = objects
        self._keys = keys
        self._clock = clock
        self._chance = chance
        self._ids = Ids(clock, chance)
        self._threads = ThreadPoolExecutor(at_once, "intake")
        self._free = at_once

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def take(self, stream: Stream) -> Taken:
        """Reads the stream to its end. Raises `TooBusy`, `LimitExceeded`, what `stream.room` raises, and what its source raises."""
        if self._free <= 0:
            raise TooBusy(retry_after=5)
        self._free -= 1
        loop = asyncio.get_running_loop()
        line = _Line(loop)
        stored = _Stored(self, stream)
        try:
            work = loop.run_in_executor(self._threads, lambda: _cut_and_pack(stream, line, stored, self._chance))
            try:
                taken = await asyncio.shield(work)
            except BaseException:
                line.hang_up()
                await asyncio.wait([work])
                raise
            await stored.finish()
            return taken
        except BaseException:
            await asyncio.shield(stored.forget())
            raise
        finally:
            self._free += 1

    async def held(self, stream: Stream, block: Digest) -> bool:
        """Whether the namespace possesses this block, by a copy that is proven."""
        return not await self._packs.missing(stream.namespace, _NOBODY, [block])

    async def store(self, stream: Stream, offer: PackOffer, content: bytes) -> PackRow:
        """Stores one pack, which nobody possesses yet."""
        now_us = self._clock.now_us()
        row = PackRow(
            id=PackId(self._ids.fresh()),
            namespace=stream.namespace,
            user=stream.user,
            object_key=self._objects.fresh_key(self._chance),
            size=offer.size,
            sha256=offer.sha256,
            wrapped_key=self._keys.wrap(offer.pack_key),
            state="granted",
            expires_us=now_us + GRANT_TTL_S * 1_000_000,
            created_us=now_us,
        )
        await self._packs.add_packs([(row, offer.index)])
        await self._objects.write(row.object_key, content)
        return row

    async def finish(self, rows: list[PackRow]) -> None:
        for start in range(0, len(rows), FINISH_AT_ONCE):
            await self._packs.finish([row.id for row in rows[start : start + FINISH_AT_ONCE]], self._clock.now_us(), verified=True)

    async def forget(self, rows: list[PackRow]) -> None:
        """Removes packs nobody possesses."""
        for row in rows:
            await self._objects.remove(row.object_key)
        await self._packs.forget([row.id for row in rows])


class _Stored:
    """The packs of one stream so far."""

    def __init__(self, intake: Intake, stream: Stream) -> None:
        self._intake = intake
        self._stream = stream
        self._rows: list[PackRow] = []
        self._plain = 0

    async def add(self, offer: PackOffer, content: bytes) -> None:
        self._plain += sum(entry.plain_size for entry in offer.index)
        await self._stream.room(self._plain)
        self._rows.append(await self._intake.store(self._stream, offer, content))

    async def held(self, block: Digest) -> bool:
        return await self._intake.held(self._stream, block)

    async def finish(self) -> None:
        rows, self._rows = self._rows, []
        await self._intake.finish(rows)

    async def forget(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            await self._intake.forget(rows)


class _Line:
    """A thread's line to the event loop: it asks and waits, until the loop hangs up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = Lock()
        self._asked: Future[Any] | None = None
        self._ended = False

    def ask(self, question: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(question, self._loop)
        with self._lock:
            self._asked = future
            if self._ended:
                future.cancel()
        return future.result()

    def hang_up(self) -> None:
        """Whatever the thread waits for, or asks from now on, is cancelled."""
        with self._lock:
            self._ended = True
            if self._asked is not None:
                self._asked.cancel()


class _Source:
    """The stream as the cutter reads it: `readinto` of whatever has come."""

    def __init__(self, stream: Stream, line: _Line) -> None:
        self._stream = stream
        self._line = line
        self._rest = memoryview(b"")
        self._ended = False
        self.size = 0

    def readinto(self, into: memoryview) -> int:
        while not self._rest and not self._ended:
            piece = self._line.ask(_next(self._stream.source))
            self._ended = piece is None
            self._rest = memoryview(piece or b"")
        count = min(len(into), len(self._rest))
        into[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self.size += count
        if self.size > self._stream.most:
            raise LimitExceeded(what="The size of a file", limit=self._stream.most)
        return count


async def _next(source: AsyncIterator[bytes]) -> bytes | None:
    return await anext(source, None)


def _cut_and_pack(stream: Stream, line: _Line, stored: _Stored, chance: Chance) -> Taken:
    """In a thread of its own."""
    source, whole, chosen = _Source(stream, line), Digester(), choose_cut(stream.expected)
    dense = dense_name(stream.name)
    blocks, packed = list[Digest](), set[Digest]()
    file, writer = io.BytesIO(), None
    for block in cut(cast(BinaryIO, source), chosen):
        name = digest(block)
        whole.update(block)
        if len(blocks) >= REVISION_BLOCKS_MAX:
            raise LimitExceeded(what="The number of blocks in a file", limit=REVISION_BLOCKS_MAX)
        blocks.append(name)
        if name in packed or line.ask(stored.held(name)):
            continue
        if writer is not None and not writer.fits(len(block)):
            line.ask(stored.add(writer.finish(), file.getvalue()))
            file, writer = io.BytesIO(), None
        if writer is None:
            writer = PackWriter(file, chance.token(PACK_KEY_BYTES), chance)
        writer.add(name, block, dense=dense)
        packed.add(name)
    if writer is not None:
        line.ask(stored.add(writer.finish(), file.getvalue()))
    return Taken(content_hash=whole.digest(), size=source.size, cut=chosen, blocks=blocks)
