"""A check of a whole server, hop by hop: database, journal, tree, revisions ↔ blocks, blocks ↔ object store, and the bytes.

Everything is read and nothing written, so it may run beside the server. Findings are told as they come; each hop ends with a line
that says what was compared, since silence proves nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from syncline.model.errors import Corrupt
from syncline.model.ids import NamespaceId
from syncline.ports.check_store import CheckedNamespace, CheckStore
from syncline.ports.kms import KeyWrapper
from syncline.ports.object_listing import ObjectListing
from syncline.server.check.content import ContentCheck
from syncline.server.check.findings import Finding, Hop, Show, Tell, counted
from syncline.server.check.metadata import MetadataCheck, Tellers, paged
from syncline.server.check.store import StoreCheck

NAMESPACES_PAGE: Final = 500


class Checker:
    def __init__(self, store: CheckStore, objects: ObjectListing, keys: KeyWrapper, *, tell: Tell, show: Show) -> None:
        self._store = store
        self._objects = objects
        self._keys = keys
        self._told = tell
        self._show = show
        self._counts: dict[str, int] = {}

    async def run(self, *, deep: bool) -> AsyncIterator[Hop]:
        """The hops, each after its findings were told. Raises `Unavailable` where something cannot be read at all."""
        for line in await self._store.damage(deep=deep):
            self._teller("database")(Finding(code="check.database_damaged", message=line))
        yield self._hop("database", "its own pages" + (", indexes and tables" if deep else ""))
        namespaces = [space.id async for space in self._namespaces()]
        async for hop in self._metadata(namespaces):
            yield hop
        store = StoreCheck(self._store, self._objects, self._teller("store"))
        await store.run()
        raws = f" and {counted(store.raws, 'raw content')}" if store.raws else ""
        yield self._hop("store", f"{counted(store.packs, 'pack')}{raws} with {counted(store.objects, 'object')}")
        if deep:
            async for hop in self._content(namespaces):
                yield hop

    async def _metadata(self, namespaces: Sequence[NamespaceId]) -> AsyncIterator[Hop]:
        tellers = Tellers(self._teller("journal"), self._teller("tree"), self._teller("revisions"))
        check = MetadataCheck(self._store, tellers)
        for namespace in namespaces:
            try:
                await check.run(namespace)
            except Corrupt as damage:
                # What can still be read, of other people too, is worth knowing all the more now.
                tellers.tree(Finding(code="check.database_damaged", message=str(damage), namespace=namespace))
        counts = check.counts
        rows = f"{counted(counts.rows, 'row')} of {counted(counts.namespaces, 'namespace')}"
        yield self._hop("journal", f"{rows}: numbers, chain and Merkle roots")
        nodes = f"{counted(counts.nodes, 'node')} ({counts.live:,} live)"
        yield self._hop("tree", f"{nodes} with last journal rows, revisions and the head's root")
        revisions = f"{counted(counts.revisions, 'revision')} with {counted(counts.blocks, 'block')}"
        yield self._hop("revisions", f"{revisions}: sizes, possession and copies")

    async def _content(self, namespaces: Sequence[NamespaceId]) -> AsyncIterator[Hop]:
        check = ContentCheck(self._store, self._objects, self._keys, self._show)
        await check.packs_whole(self._teller("packs"))
        packs = f"{counted(check.packs, 'pack')} read whole ({counted(check.pack_bytes, 'byte')})"
        yield self._hop("packs", f"{packs}: hash, index, every block")
        await check.revisions_whole(namespaces, self._teller("content"))
        revisions = f"{counted(check.revisions, 'revision')} ({counted(check.revision_bytes, 'byte')})"
        yield self._hop("content", f"{revisions}: content hash from the blocks")

    def _namespaces(self) -> AsyncIterator[CheckedNamespace]:
        async def page(after: str) -> Sequence[CheckedNamespace]:
            return await self._store.namespaces(after, NAMESPACES_PAGE)

        return paged(page, "", lambda space: str(space.id), NAMESPACES_PAGE)

    def _teller(self, hop: str) -> Tell:
        def tell(finding: Finding) -> None:
            self._counts[hop] = self._counts.get(hop, 0) + 1
            self._told(finding)

        return tell

    def _hop(self, hop: str, compared: str) -> Hop:
        return Hop(hop=hop, compared=compared, findings=self._counts.get(hop, 0))
