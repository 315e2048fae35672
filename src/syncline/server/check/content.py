"""The deep part: every pack read and every block decoded, then every revision's content hash computed from its blocks.

Memory holds one pack, or one block, at a time. A revision of one block is proven by that block's own hash, so only those are read
again that have several, or a block whose copy was found damaged: of these it tells whether another copy still serves.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Final

from syncline.content.digest import Digester
from syncline.content.seal import block_key, open_frame
from syncline.model.errors import Corrupt, NotFound
from syncline.model.ids import Digest, NamespaceId, PackId
from syncline.model.journal import JournalEntry
from syncline.ports.check_store import CheckedBlock, CheckedCopy, CheckStore
from syncline.ports.kms import KeyWrapper
from syncline.ports.object_listing import ObjectListing
from syncline.ports.pack_store import PackRow
from syncline.server.check.findings import About, Finding, Progress, Show, Tell
from syncline.server.check.folders import Folders
from syncline.server.check.metadata import BlockStream, load_folders, stored_revisions
from syncline.server.check.packs import about_pack, examine
from syncline.server.check.store import all_packs

COPIES_AT_ONCE: Final = 200
PACKS_KNOWN_MAX: Final = 1_000
PROVEN_MAX: Final = 100_000
"""Contents of several blocks that were proven and need not be read again for another revision."""


class ContentCheck:
    def __init__(self, store: CheckStore, objects: ObjectListing, keys: KeyWrapper, show: Show) -> None:
        self._store = store
        self._objects = objects
        self._keys = keys
        self._show = show
        self._suspects: set[Digest] = set()
        self._opened: dict[PackId, tuple[PackRow, bytes]] = {}
        self._proven: set[bytes] = set()
        self.packs = 0
        self.pack_bytes = 0
        self.revisions = 0
        self.revision_bytes = 0

    async def packs_whole(self, tell: Tell) -> None:
        """Reads every pack that is done."""
        total = await self._store.amount_of_packs()
        async for row in all_packs(self._store):
            if row.state != "done":
                continue
            await self._pack(row, tell)
            self.packs += 1
            self.pack_bytes += row.size
            self._show(Progress("packs", self.packs, total.count, self.pack_bytes, total.size))

    async def _pack(self, row: PackRow, tell: Tell) -> None:
        copies = await self._store.copies_in(row.id)
        try:
            data = await self._objects.read(row.object_key, 0, row.size)
            key = self._keys.unwrap(row.wrapped_key)
        except NotFound:
            self._suspects.update(copy.hash for copy in copies)
            return  # Told already: the store was compared with the packs before.
        except Corrupt as damage:
            self._suspects.update(copy.hash for copy in copies)
            tell(about_pack(row, "check.pack_damaged", str(damage)))
            return
        examined = await asyncio.to_thread(examine, row, data, key, copies)
        self._suspects |= examined.unreadable
        for finding in examined.findings:
            tell(finding)

    async def revisions_whole(self, namespaces: Sequence[NamespaceId], tell: Tell) -> None:
        """Computes the content hash of every revision of these."""
        amounts = [await self._store.amount_of_revisions(namespace) for namespace in namespaces]
        count, size = sum(amount.count for amount in amounts), sum(amount.size for amount in amounts)
        for namespace in namespaces:
            space = await self._store.namespace(namespace)
            if space is None:
                continue
            about, folders = About(space), await load_folders(self._store, namespace)
            stream = BlockStream(self._store, namespace)
            async for revision in stored_revisions(self._store, namespace):
                entry, blocks = revision.entry, list[CheckedBlock]()
                await stream.skip_to((entry.node_id, entry.revision))
                await stream.each((entry.node_id, entry.revision), blocks.append)
                fault = await self._fault(namespace, entry, blocks)
                if fault is not None:
                    tell(_damaged(about, folders, entry, *fault))
                self.revisions += 1
                self.revision_bytes += entry.size
                self._show(Progress("files", self.revisions, count, self.revision_bytes, size))

    async def _fault(
        self, namespace: NamespaceId, entry: JournalEntry, blocks: list[CheckedBlock]
    ) -> tuple[str, Digest | None] | None:
        """Why a revision's bytes cannot be had from its blocks, and the block at fault."""
        if entry.content_hash is None or not blocks:
            return None
        if len(blocks) == 1 and blocks[0].hash == entry.content_hash and blocks[0].hash not in self._suspects:
            return None
        mark = _mark(entry, blocks)
        if mark in self._proven:
            return None
        digester = Digester()
        for start in range(0, len(blocks), COPIES_AT_ONCE):
            part = blocks[start : start + COPIES_AT_ONCE]
            copies: dict[Digest, list[CheckedCopy]] = {}
            for copy in await self._store.copies_of(namespace, list({block.hash for block in part})):
                copies.setdefault(copy.hash, []).append(copy)
            for block in part:
                plain = await self._plain(block, copies.get(block.hash, []))
                if plain is None:
                    return f"no copy of its block {block.index} gives its bytes", block.hash
                await asyncio.to_thread(digester.update, plain)
        if digester.digest() != entry.content_hash:
            return "its blocks together do not have its content hash", None
        if len(self._proven) < PROVEN_MAX:
            self._proven.add(mark)
        return None

    async def _plain(self, block: CheckedBlock, copies: Sequence[CheckedCopy]) -> bytes | None:
        for copy in copies:
            try:
                row, key = await self._open(copy.pack)
                frame = await self._objects.read(row.object_key, copy.offset, copy.length)
                return await asyncio.to_thread(open_frame, frame, block_key(key, block.hash), block.hash, block.size)
            except (Corrupt, NotFound):
                continue
        return None

    async def _open(self, pack: PackId) -> tuple[PackRow, bytes]:
        """Raises `NotFound`, `Corrupt`."""
        known = self._opened.get(pack)
        if known is None:
            row = await self._store.pack(pack)
            if row is None:
                raise NotFound(what="The pack")
            if len(self._opened) >= PACKS_KNOWN_MAX:
                self._opened.clear()
            known = self._opened[pack] = (row, self._keys.unwrap(row.wrapped_key))
        return known


def _mark(entry: JournalEntry, blocks: Sequence[CheckedBlock]) -> bytes:
    return hashlib.sha256("".join((entry.content_hash or "", *(block.hash for block in blocks))).encode()).digest()


def _damaged(about: About, folders: Folders, entry: JournalEntry, reason: str, block: Digest | None) -> Finding:
    path = folders.path(entry.parent_id, entry.name)
    message = f"revision {entry.revision} cannot be read back: {reason}"
    return about.finding("check.revision_damaged", message, path, node=entry.node_id, revision=entry.revision, block=block)
