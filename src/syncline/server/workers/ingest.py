"""Ingest: a raw object is read once, cut as a device would have cut it, and packed; then the journal says what it holds.

One content at a time, one piece of it in memory: a window of blocks and the pack that is being filled. Everything is kept as a
device's packs are, under a key drawn here; what the namespace holds already is not packed again. A crash loses the pack under way:
the next run reads anew, finds what was kept, and goes on. What fails is tried again ever more rarely, and never given up.

Of several workers one has a content in hand, for `CLAIM_S` at a time: what a dead one had is due again by then, and what is done
twice does no harm.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, BinaryIO, Final, TypeVar, cast

from msgspec import Struct, field

from syncline.content.compress import dense_name
from syncline.content.cut import choose_cut, cut
from syncline.content.digest import Digester, digest
from syncline.content.pack import PackWriter
from syncline.content.seal import new_pack_key
from syncline.model.blocks import Block, Manifest, PackOffer
from syncline.model.errors import Corrupt, Retryable
from syncline.model.ids import Digest, PackId, UserId
from syncline.model.limits import GRANT_TTL_S, MIB
from syncline.ports.clock import Chance, Clock, Ids
from syncline.ports.kms import KeyWrapper
from syncline.ports.object_store import ObjectStore
from syncline.ports.pack_store import PackRow, PackStore
from syncline.ports.raw_store import RawContent, RawStore
from syncline.server.metadata.service import Metadata
from syncline.server.metadata.settling import Verdict

READ_BYTES: Final = 8 * MIB
WINDOW_BYTES: Final = 8 * MIB
RETRY_FIRST_S: Final = 2
RETRY_MAX_S: Final = 3600
CLAIM_S: Final = 15
IDLE_S: Final = 5.0
"""What is due again is looked for so often; what was just uploaded wakes the worker."""
_SECOND_US: Final = 1_000_000
_NOBODY: Final = UserId("")
"""Who sent a block is believed, for themselves alone, that it is what they said; what the server cuts rests on verified copies."""

T = TypeVar("T")
Failed = Callable[[RawContent, Exception], None]


class _Window(Struct):
    """Some blocks in a row, and where in the content they end."""

    blocks: list[tuple[Digest, bytes]] = field(default_factory=list)
    end: int = 0
    last: bool = False


class _Finished(Struct):
    """A pack, and how much of the content lies in packs once it is kept."""

    data: bytes
    offer: PackOffer
    reached: int


class Ingest:
    """`failed` is told of what did not work; it is tried again later."""

    def __init__(
        self,
        metadata: Metadata,
        raws: RawStore,
        packs: PackStore,
        objects: ObjectStore,
        keys: KeyWrapper,
        clock: Clock,
        chance: Chance,
        failed: Failed,
    ) -> None:
        self._metadata = metadata
        self._raws = raws
        self._packs = packs
        self._objects = objects
        self._keys = keys
        self._clock = clock
        self._chance = chance
        self._ids = Ids(clock, chance)
        self._failed = failed
        self._work = asyncio.Event()
        # A thread of its own: what passes through many threads leaves memory behind in each of them.
        self._thread = ThreadPoolExecutor(1, "ingest")

    def wake(self) -> None:
        """There is something to take in."""
        self._work.set()

    async def run(self) -> None:
        """Takes in whatever is due, for ever."""
        while True:
            self._work.clear()
            while await self.step():
                pass
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._work.wait()
            except TimeoutError:
                continue

    def close(self) -> None:
        """Once `run` has ended."""
        self._thread.shutdown(wait=False)

    async def step(self) -> bool:
        """Takes in one content, if one is due; whether there was one. What is wrong with it is told, and put off."""
        now_us = self._clock.now_us()
        raw = await self._raws.next_waiting(now_us)
        if raw is None:
            return False
        if not await self._raws.claim(raw, now_us, now_us + CLAIM_S * _SECOND_US):
            return True
        try:
            async with self._in_hand(raw):
                await self.take_in(raw)
        except Exception as error:  # noqa: BLE001 - the supervisor of a task that must outlive any one content
            self._failed(raw, error)
            delay_s = min(RETRY_MAX_S, RETRY_FIRST_S << min(raw.attempts, 20))
            await self._raws.put_off(raw, self._clock.now_us() + delay_s * _SECOND_US)
        except BaseException:
            await asyncio.shield(self._raws.hold(raw, self._clock.now_us()))
            raise
        return True

    @asynccontextmanager
    async def _in_hand(self, raw: RawContent) -> AsyncIterator[None]:
        """Keeps the claim alive, however long it takes."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(CLAIM_S / 3)
                with suppress(Retryable):
                    # The next time may do; without any, another takes it up as well.
                    await self._raws.hold(raw, self._clock.now_us() + CLAIM_S * _SECOND_US)

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def sweep(self, limit: int) -> int:
        """Removes the objects of contents that were taken in long enough ago; how many."""
        left = await self._raws.leftovers(self._clock.now_us(), limit)
        for raw in left:
            await self._objects.remove(raw.object_key)
            await self._raws.forget(raw)
        return len(left)

    async def take_in(self, raw: RawContent) -> None:
        """Raises whatever stands in its way."""
        cutting = _Cutting(raw, _Reading(self._objects, raw, asyncio.get_running_loop()))
        packing = _Packing(self._chance, dense_name(raw.name))
        while True:
            window = await self._in_thread(cutting.window)
            hashes = list(dict.fromkeys(block for block, _ in window.blocks))
            wanted = set(await self._packs.missing(raw.namespace, _NOBODY, hashes)) if hashes else set()
            for pack in await self._in_thread(partial(packing.take, window, wanted)):
                await self._keep(raw, pack)
            if window.last:
                break
        manifest: Manifest | None = cutting.manifest()
        if raw.sha256 is not None and manifest is not None and raw.sha256 != manifest.content_hash:
            manifest = None
        await self._metadata.settle_raw(
            Verdict(namespace=raw.namespace, owner=raw.owner, node=raw.node, revision=raw.revision, manifest=manifest)
        )

    async def _in_thread(self, work: Callable[[], T]) -> T:
        job = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            # The thread asks this loop for what it reads, so it must come to its end while the loop still runs.
            await asyncio.wait((job,))
            raise

    async def _keep(self, raw: RawContent, pack: _Finished) -> None:
        """The intent, the object, then the record: as with a device's packs, so that the same sweep clears up after a crash."""
        now_us = self._clock.now_us()
        offer = pack.offer
        row = PackRow(
            id=PackId(self._ids.fresh()),
            namespace=raw.namespace,
            user=raw.user,
            object_key=self._objects.fresh_key(self._chance),
            size=offer.size,
            sha256=offer.sha256,
            wrapped_key=self._keys.wrap(offer.pack_key),
            state="granted",
            expires_us=now_us + GRANT_TTL_S * _SECOND_US,
            created_us=now_us,
        )
        await self._packs.add_packs([(row, offer.index)])
        await self._objects.write(row.object_key, pack.data)
        await self._packs.finish([row.id], self._clock.now_us(), verified=True)
        await self._raws.packed(raw, pack.reached)


class _Reading(io.RawIOBase):
    """A raw object as a file for the thread that cuts it: each read is asked of the store on the event loop."""

    def __init__(self, objects: ObjectStore, raw: RawContent, loop: asyncio.AbstractEventLoop) -> None:
        self._objects = objects
        self._key = raw.object_key
        self._left = raw.size
        self._offset = 0
        self._loop = loop

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Raises `Corrupt`, `NotFound`, `Unavailable`."""
        view = memoryview(buffer).cast("B")
        count = min(len(view), self._left, READ_BYTES)
        if count:
            data = asyncio.run_coroutine_threadsafe(self._read(count), self._loop).result()
            view[:count] = data
            self._offset += count
            self._left -= count
        return count

    def _read(self, count: int) -> Any:
        return self._objects.read(self._key, self._offset, count)


class _Cutting:
    """The content's blocks in windows, and what is known of the whole in the end. In one thread at a time."""

    def __init__(self, raw: RawContent, file: _Reading) -> None:
        self._raw = raw
        self._name = choose_cut(raw.size, raw.previous_cut)
        self._blocks: Iterator[memoryview] = cut(cast("BinaryIO", file), self._name)
        self._whole = Digester()
        self._known: list[Block] = []
        self._end = 0

    def window(self) -> _Window:
        window = _Window()
        held = 0
        while held < WINDOW_BYTES:
            block = next(self._blocks, None)
            if block is None:
                window.last = True
                break
            self._whole.update(block)
            name, data = digest(block), bytes(block)
            self._known.append(Block(name, len(data)))
            window.blocks.append((name, data))
            held += len(data)
        self._end += held
        window.end = self._end
        return window

    def manifest(self) -> Manifest:
        """Raises `Corrupt` where the object was not as long as it was said to be."""
        if self._end != self._raw.size:
            raise Corrupt(what="A raw object", reason=f"it has {self._end} bytes of {self._raw.size}")
        return Manifest(self._whole.digest(), self._end, self._name, tuple(self._known))


class _Packing:
    """Blocks become packs. In one thread at a time."""

    def __init__(self, chance: Chance, dense: bool) -> None:
        self._chance = chance
        self._dense = dense
        self._file = io.BytesIO()
        self._writer: PackWriter | None = None
        self._reached = 0

    def take(self, window: _Window, wanted: set[Digest]) -> list[_Finished]:
        """Those of the window's blocks that are wanted; the packs that are full by now, and at the end the last one too."""
        full: list[_Finished] = []
        at = window.end - sum(len(data) for _, data in window.blocks)
        for block, data in window.blocks:
            if block in wanted:
                if self._writer is not None and not self._writer.fits(len(data)):
                    full.append(self._finish(at))
                self._open().add(block, data, dense=self._dense)
            at += len(data)
        if window.last and self._writer is not None:
            full.append(self._finish(at))
        return full

    def _open(self) -> PackWriter:
        if self._writer is None:
            self._file = io.BytesIO()
            self._writer = PackWriter(self._file, new_pack_key(self._chance), self._chance)
        return self._writer

    def _finish(self, reached: int) -> _Finished:
        assert self._writer is not None
        offer = self._writer.finish()
        self._writer = None
        return _Finished(self._file.getvalue(), offer, reached)
