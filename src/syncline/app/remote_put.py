"""Uploading files without a synced folder.

Each file is read twice: once to cut and hash it, then only those blocks that the server lacks are read again, packed and sent. So
a put that was interrupted goes on where it was when it is run again, and an equal file costs one question.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from syncline.app.remote_files import Found, NotAFile, NotAFolder, RemoteFiles, inside
from syncline.app.remote_packs import Cut, Piece, Source, make_pack, read_source, sweep
from syncline.model.blocks import PackOffer
from syncline.model.entries import Kind
from syncline.model.errors import Forbidden, Unavailable
from syncline.model.ids import Digest, NamespaceId, NodeId, PackId
from syncline.model.limits import BATCH_MAX, GIB, PACKS_IN_FLIGHT
from syncline.model.paths import check_name, exact_key, parent_of
from syncline.ports.clock import Chance
from syncline.protocol.changes import to_time
from syncline.protocol.commits import Change, Op

BATCH_FILES: Final = BATCH_MAX // 2
"""Files in one changeset: it has to hold the folders made for them too."""
BATCH_BYTES: Final = 1 * GIB
"""A changeset waits for no more than so many bytes (and one file), so that an interrupted put has something to show."""
GRANTS_MAX: Final = 3
ASK_AGAIN_MAX: Final = 6
ASK_AGAIN_S: Final = 0.5

Progress = Callable[[int], None]


class Outcome(Struct, kw_only=True):
    uploaded: int = 0
    unchanged: int = 0
    sent_blocks: int = 0
    known_blocks: int = 0
    left_out: int = 0
    """Symbolic links and special files: there is no remote kind for them."""


class Uploader:
    """Puts files into the tree of one account. `spool` is a private folder for packs under way."""

    def __init__(self, files: RemoteFiles, spool: Path, chance: Chance, progress: Progress = lambda _: None) -> None:
        self._files = files
        self._remote = files.remote
        self._spool = spool
        self._chance = chance
        self._progress = progress
        self._folders: dict[str, tuple[NamespaceId, NodeId]] = {}
        self._present: dict[str, dict[str, Found]] = {}
        self.outcome = Outcome()

    async def put(self, sources: Sequence[Source]) -> Outcome:
        """Every source at its remote path: a new file, or a new version of the one there. Folders on the way are made."""
        sweep(self._spool)
        batch: list[Source] = []
        size = 0
        for source in sources:
            size += 0 if source.is_folder else source.local.stat().st_size
            if batch and (len(batch) >= BATCH_FILES or size > BATCH_BYTES):
                await self._put_batch(batch)
                batch, size = [], 0
            batch.append(source)
        if batch:
            await self._put_batch(batch)
        return self.outcome

    async def _put_batch(self, batch: Sequence[Source]) -> None:
        by_namespace: dict[NamespaceId, list[Change]] = {}
        to_send: dict[NamespaceId, list[Cut]] = {}
        for source in batch:
            if source.is_folder:
                await self._folder(source.remote, by_namespace)
                continue
            read = await asyncio.to_thread(read_source, source)
            namespace, change = await self._change(read, by_namespace)
            if change is None:
                self.outcome.unchanged += 1
                self._progress(read.size)
                continue
            by_namespace.setdefault(namespace, []).append(change)
            to_send.setdefault(namespace, []).append(read)
        for namespace, reads in to_send.items():
            await self._send(namespace, reads)
        for namespace, changes in by_namespace.items():
            for start in range(0, len(changes), BATCH_MAX):
                await self._files.commit(namespace, changes[start : start + BATCH_MAX], batch[0].remote)
        self.outcome.uploaded += sum(map(len, to_send.values()))

    # -- where it goes -------------------------------------------------------------------------------------------------

    async def _change(self, read: Cut, made: dict[NamespaceId, list[Change]]) -> tuple[NamespaceId, Change | None]:
        folder_path, name = parent_of(read.source.remote), check_name(read.source.remote.rpartition("/")[2])
        namespace, parent = await self._folder(folder_path, made)
        there = self._present.get(folder_path, {}).get(exact_key(name))
        common: dict[str, Any] = {
            "content_hash": read.content_hash,
            "size": read.size,
            "mtime": to_time(read.mtime_ns // 1000),
            "executable": read.executable,
            "blocks": [block for block, _, _ in read.blocks],
            "cut": read.cut,
        }
        if there is None:
            node = NodeId(self._files.ids.fresh())
            return namespace, Change(op=Op.CREATE, node_id=node, parent_id=parent, name=name, kind=Kind.FILE, **common)
        if there.entry is None or there.is_folder:
            raise NotAFile(path=there.path)
        if there.entry.content_hash == read.content_hash and there.entry.executable == read.executable:
            return namespace, None
        return namespace, Change(op=Op.EDIT, node_id=there.id, base_revision=there.entry.revision, **common)

    async def _folder(self, path: str, made: dict[NamespaceId, list[Change]]) -> tuple[NamespaceId, NodeId]:
        """The folder's namespace and id; where it does not exist, a change that makes it is added to `made`."""
        known = self._folders.get(path)
        if known is not None:
            return known
        found = await self._look(path)
        if found is not None:
            self._folders[path] = found.inside, found.id
            self._present[path] = await self._listed(found)
            return self._folders[path]
        namespace, parent = await self._folder(parent_of(path), made)
        node = NodeId(self._files.ids.fresh())
        name = check_name(path.rpartition("/")[2])
        made.setdefault(namespace, []).append(Change(op=Op.CREATE, node_id=node, parent_id=parent, name=name, kind=Kind.DIR))
        self._folders[path] = namespace, node
        self._present[path] = {}
        return namespace, node

    async def _look(self, path: str) -> Found | None:
        """Asks the server only where what is known of the parent does not say it already."""
        siblings = self._present.get(parent_of(path)) if path else None
        if siblings is not None:
            found = siblings.get(exact_key(path.rpartition("/")[2]))
        else:
            found = await self._files.find_or_none(path or "/")
        if found is not None and not found.is_folder:
            raise NotAFolder(path=found.path)
        return found

    async def _listed(self, folder: Found) -> dict[str, Found]:
        return {exact_key(entry.name): inside(folder, entry) for entry in await self._files.children(folder)}

    # -- how it gets there ---------------------------------------------------------------------------------------------

    async def _send(self, namespace: NamespaceId, reads: Sequence[Cut]) -> None:
        left = await self._missing(namespace, reads)
        flights: set[asyncio.Task[None]] = set()
        try:
            while left or flights:
                if left and len(flights) < PACKS_IN_FLIGHT:
                    path, offer = await asyncio.to_thread(make_pack, left, self._spool, self._chance)
                    flights.add(asyncio.create_task(self._deliver(namespace, path, offer)))
                    continue
                done, flights = await asyncio.wait(flights, return_when=asyncio.FIRST_COMPLETED)
                for flight in done:
                    flight.result()
        finally:
            for flight in flights:
                flight.cancel()
            await asyncio.gather(*flights, return_exceptions=True)

    async def _missing(self, namespace: NamespaceId, reads: Sequence[Cut]) -> deque[Piece]:
        """The pieces the server lacks, each once, in the order in which they lie in the files."""
        pieces: dict[Digest, Piece] = {}
        for read in reads:
            for block, offset, size in read.blocks:
                pieces.setdefault(block, Piece(read, block, offset, size))
        hashes = list(pieces)
        wanted: set[Digest] = set()
        for start in range(0, len(hashes), BATCH_MAX):
            wanted.update(await self._remote.missing(namespace, hashes[start : start + BATCH_MAX]))
        left = deque(piece for block, piece in pieces.items() if block in wanted)
        self.outcome.sent_blocks += len(left)
        self.outcome.known_blocks += len(hashes) - len(left)
        self._progress(sum(read.size for read in reads) - sum(piece.size for piece in left))
        return left

    async def _deliver(self, namespace: NamespaceId, path: Path, offer: PackOffer) -> None:
        """Granted, put, done; again under a new grant where that ran out or the store lost the pack."""
        try:
            for attempt in range(GRANTS_MAX):
                grant = (await self._remote.grant(namespace, [offer])).packs[0]
                try:
                    await self._remote.put_pack(grant.put, str(path), offer.size)
                except Forbidden:
                    if attempt + 1 == GRANTS_MAX:
                        raise
                    continue
                if await self._arrived(grant.pack_id):
                    self._progress(sum(entry.plain_size for entry in offer.index))
                    return
            raise Unavailable(what="The object store (it keeps losing a pack)")
        finally:
            path.unlink(missing_ok=True)

    async def _arrived(self, pack_id: PackId) -> bool:
        for attempt in range(ASK_AGAIN_MAX):
            state = (await self._remote.packs_done([pack_id])).packs[0].state
            if state != "unknown":
                return state == "done"
            await asyncio.sleep(ASK_AGAIN_S * 2**attempt)
        raise Unavailable(what="The object store (it does not say whether it has a pack)")
