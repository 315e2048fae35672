"""Sending: from files that rest to blocks the server has, so that a commit needs only to name them.

    submit → read ─→ hash, ask ─→ pack ─→ grant, put, done → results
             window    what is missing   spool   (delivery)

Each stage works on one window while the next one reads on; `WINDOWS_MAX` windows bound the memory, `PACKS_IN_FLIGHT` packs the
spool. Long files and short ones take turns, so a film does not keep a note waiting.

Laws: every job that is not cancelled gets exactly one result; a block is on its way at most once, and every file that needs it
waits for that one; knowledge of what the server has only saves asking, the commit is the judge; a partial pack leaves as soon as
nothing else is there to fill it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import structlog

from syncline.client.local_errors import writing_error
from syncline.client.send.delivery import Delivery
from syncline.client.send.jobs import Prepared, SendFailed, SendJob
from syncline.client.send.packing import Packer
from syncline.client.send.reading import LONG_BYTES, Reader, hash_pieces, hash_whole, long_pieces, name_contents
from syncline.client.send.spool import Spool, Spooled
from syncline.client.send.upload import Piece, Upload, Window
from syncline.model.errors import ChangedWhileRead, SynclineError
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX, PACKS_IN_FLIGHT
from syncline.ports.clock import Chance, Clock
from syncline.ports.local_files import LocalFiles
from syncline.ports.remote import Remote
from syncline.ports.tree_store import TreeStore

log = structlog.get_logger(__name__)

WINDOWS_MAX: Final = 3
RESULTS_MAX: Final = 4 * BATCH_MAX

Flight = dict[Digest, list[Upload]]


class Sender:
    """Takes jobs, gives results. `knows` says whether a content is known to be synced (it is called on the event loop)."""

    def __init__(
        self,
        files: LocalFiles,
        remote: Remote,
        store: TreeStore,
        spool: Path,
        clock: Clock,
        chance: Chance,
        knows: Callable[[Digest], bool],
    ) -> None:
        self._files = files
        self._remote = remote
        self._store = store
        self._folder = spool
        self._chance = chance
        self._knows = knows
        self.results: asyncio.Queue[Prepared | SendFailed] = asyncio.Queue(RESULTS_MAX)
        self._light: OrderedDict[NodeId, SendJob] = OrderedDict()
        self._heavy: OrderedDict[NodeId, SendJob] = OrderedDict()
        self._uploads: dict[NodeId, Upload] = {}
        self._pending_bytes = 0
        self._wake = asyncio.Event()
        self._begin()

    def _begin(self) -> None:
        self._spool = Spool(self._folder, self._store, self._chance)
        self._reader = Reader(self._files)
        self._packer = Packer(self._spool, self._chance)
        self._delivery = Delivery(self._remote, self._spool, self._settled)
        self._flights: dict[NamespaceId, Flight] = {}
        self._windows = asyncio.Semaphore(WINDOWS_MAX)
        self._slots = asyncio.Semaphore(PACKS_IN_FLIGHT)
        self._to_ask: asyncio.Queue[Window] = asyncio.Queue(WINDOWS_MAX)
        self._to_pack: asyncio.Queue[tuple[Window, deque[Piece]]] = asyncio.Queue(WINDOWS_MAX)
        self._under_way = 0

    # -- what others call ------------------------------------------------------------------------------------------------------

    async def submit(self, job: SendJob) -> None:
        """Queues a job; one for the same node that has not ended yet is replaced, and gets no result."""
        self.cancel(job.node)
        lane = self._light if job.signature.size <= LONG_BYTES else self._heavy
        lane[job.node] = job
        self._pending_bytes += job.signature.size
        self._wake.set()

    def cancel(self, node: NodeId) -> None:
        """The node's job is dropped, wherever it is, without a result."""
        job = self._light.pop(node, None) or self._heavy.pop(node, None)
        if job is not None:
            self._pending_bytes -= job.signature.size
        upload = self._uploads.get(node)
        if upload is not None:
            upload.dropped = True
            self._forget(upload)

    @property
    def pending(self) -> tuple[int, int]:
        """Files and bytes without a result yet."""
        return len(self._light) + len(self._heavy) + len(self._uploads), self._pending_bytes

    async def run(self) -> None:
        """Until cancelled. What was being worked on when an earlier run ended is worked on again."""
        for upload in list(self._uploads.values()):
            await self.submit(upload.job)
        self._begin()
        left = await asyncio.to_thread(self._spool.recover, PACKS_IN_FLIGHT)
        for pack in left:
            self._flight(pack.namespace).update((name, []) for name in pack.hashes)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._delivery.run())
                group.create_task(self._resume(left))
                group.create_task(self._read())
                group.create_task(self._ask())
                group.create_task(self._pack())
        finally:
            self._reader.close()

    async def _resume(self, left: Sequence[Spooled]) -> None:
        for _ in left:
            await self._slots.acquire()
        await self._delivery.resume(left, self._wake)

    # -- reading ---------------------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        turn = False
        while True:
            while self._is_idle and not (self._packer.is_open and not self._under_way):
                self._wake.clear()
                await self._wake.wait()
            await self._windows.acquire()
            self._under_way += 1
            turn = not turn
            await self._to_ask.put(await self._next_window(turn))

    @property
    def _is_idle(self) -> bool:
        return not (self._light or self._heavy or self._reader.is_amid)

    async def _next_window(self, turn: bool) -> Window:
        """From the long file being read, short ones, or the next long one. An empty window still makes a partial pack leave."""
        amid = self._reader.is_amid
        if amid and (turn or not self._light):
            return await asyncio.to_thread(self._reader.go_on)
        batch = self._next_batch(self._light if self._light and (amid or turn or not self._heavy) else self._heavy)
        return await asyncio.to_thread(self._reader.read, batch) if batch else Window(NamespaceId(""))

    def _next_batch(self, lane: OrderedDict[NodeId, SendJob]) -> list[Upload]:
        """Jobs of one namespace that fit a window together, at least one."""
        batch: list[Upload] = []
        room = LONG_BYTES
        while lane and len(batch) < BATCH_MAX:
            node, job = next(iter(lane.items()))
            room -= job.signature.size
            if batch and (room < 0 or job.namespace != batch[0].job.namespace):
                break
            lane.popitem(last=False)
            upload = self._uploads[node] = Upload(job)
            batch.append(upload)
        return batch

    # -- asking ----------------------------------------------------------------------------------------------------------------

    async def _ask(self) -> None:
        while True:
            window = await self._to_ask.get()
            long = long_pieces(window)
            if long:
                await asyncio.gather(asyncio.to_thread(hash_pieces, window), asyncio.to_thread(hash_whole, long))
            elif window.pieces:
                await asyncio.to_thread(hash_pieces, window)
            for upload in name_contents(window):
                window.failed.append((upload, ChangedWhileRead(path=upload.job.path)))
            for upload, error in window.failed:
                await self._fail(upload, error)
            try:
                fresh = await self._lacking(window)
            except SynclineError as error:
                fresh = []
                for upload in dict.fromkeys(piece.upload for piece in window.pieces):
                    await self._fail(upload, error)
            for upload in window.ended:
                upload.ended = True
                await self._emit_if_ready(upload)
            await self._to_pack.put((window, deque(fresh)))

    async def _lacking(self, window: Window) -> list[Piece]:
        """The pieces to send, one for each block the server lacks. Files are made to wait for these, and for those on their way."""
        flight = self._flight(window.namespace)
        asked: dict[Digest, list[Piece]] = {}
        for piece in window.pieces:
            upload = piece.upload
            if upload.dropped:
                continue
            waiters = flight.get(piece.hash)
            if waiters is not None:
                waiters.append(upload)
                upload.waiting += 1
            elif upload.job.certain or not self._knows(piece.hash):
                asked.setdefault(piece.hash, []).append(piece)
        await self._drop_hinted(asked)
        missing: list[Digest] = []
        for hashes in _batches(list(asked)):
            missing += await self._remote.missing(window.namespace, hashes)
        fresh: list[Piece] = []
        for name in missing:
            pieces = asked.pop(name, ())
            if pieces:
                flight[name] = [piece.upload for piece in pieces]
                for piece in pieces:
                    piece.upload.waiting += 1
                fresh.append(pieces[0])
        return fresh

    async def _drop_hinted(self, asked: dict[Digest, list[Piece]]) -> None:
        """Blocks of long files that lie in files synced before are most likely at the server: these are not asked for."""
        hopeful = [
            name
            for name, pieces in asked.items()
            if all(not piece.upload.job.certain and len(piece.data) != piece.upload.job.signature.size for piece in pieces)
        ]
        if not hopeful:
            return
        try:
            hinted = await asyncio.to_thread(self._store.block_sources, hopeful)
        except SynclineError as error:
            log.warning("send.no_hints", error=str(error))
            return
        for name in hinted:
            asked.pop(name, None)

    # -- packing ---------------------------------------------------------------------------------------------------------------

    async def _pack(self) -> None:
        while True:
            window, pieces = await self._to_pack.get()
            if self._packer.is_open and pieces and self._packer.namespace != window.namespace:
                await self._seal()
            while pieces:
                if not self._packer.is_open:
                    await self._slots.acquire()
                try:
                    full = await asyncio.to_thread(self._packer.add, window.namespace, pieces)
                except OSError as error:
                    await self._abandon(window, pieces, error)
                    break
                if full:
                    await self._seal()
            pieces.clear()
            self._reader.take_back(window)
            self._windows.release()
            self._under_way -= 1
            if self._is_idle and not self._under_way:
                self._reader.rest()
                if self._packer.is_open:
                    await self._seal()

    async def _seal(self) -> None:
        namespace = self._packer.namespace
        try:
            pack = await asyncio.to_thread(self._packer.seal)
        except OSError as error:
            await self._abandon(Window(namespace), (), error)
        else:
            self._delivery.deliver(pack)

    async def _abandon(self, window: Window, pieces: Iterable[Piece], error: OSError) -> None:
        """The spool cannot be written: whoever waits for the open pack's blocks, or for `pieces`, fails."""
        lost = await asyncio.to_thread(self._packer.abandon)
        reason = writing_error(error, str(self._folder))
        await self._release(window.namespace, [*lost, *(piece.hash for piece in pieces)], reason)

    # -- ends ------------------------------------------------------------------------------------------------------------------

    async def _settled(self, pack: Spooled, error: SynclineError | None) -> None:
        await self._release(pack.namespace, pack.hashes, error)

    async def _release(self, namespace: NamespaceId, hashes: Iterable[Digest], error: SynclineError | None) -> None:
        """A slot is free: these blocks are at the server now, or failed to get there."""
        self._slots.release()
        flight = self._flight(namespace)
        for name in hashes:
            for upload in flight.pop(name, ()):
                upload.waiting -= 1
                if error is not None:
                    await self._fail(upload, error)
                else:
                    await self._emit_if_ready(upload)

    async def _emit_if_ready(self, upload: Upload) -> None:
        if upload.is_ready:
            upload.dropped = True
            self._forget(upload)
            await self.results.put(upload.prepared())

    async def _fail(self, upload: Upload, error: SynclineError) -> None:
        if not upload.dropped:
            upload.dropped = True
            self._forget(upload)
            await self.results.put(SendFailed(node=upload.job.node, error=error))

    def _forget(self, upload: Upload) -> None:
        if self._uploads.get(upload.job.node) is upload:
            del self._uploads[upload.job.node]
            self._pending_bytes -= upload.job.signature.size

    def _flight(self, namespace: NamespaceId) -> Flight:
        return self._flights.setdefault(namespace, {})


def _batches(hashes: Sequence[Digest]) -> Iterable[Sequence[Digest]]:
    return (hashes[start : start + BATCH_MAX] for start in range(0, len(hashes), BATCH_MAX))
