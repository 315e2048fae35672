"""`ports.metadata_store.MetadataStore` in memory, but for its commits. Nobody can ask for a node's texts, so they are not kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from msgspec.structs import replace

from syncline.model.errors import NotFound
from syncline.model.ids import Digest, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.ports.metadata_store import CommitTransaction, Head, JournalPage, Place, Pruned, RevisionBlocks, Usage
from syncline.protocol.blocks import RevisionRef
from syncline.testing.stores.commit import MemoryCommit
from syncline.testing.stores.prune import prune_answers, prune_journals
from syncline.testing.stores.space import Revision, Space
from syncline.testing.stores.state import Shared

T = TypeVar("T")


class MemoryMetadata:
    def __init__(self, shared: Shared, server_id: str) -> None:
        self._shared = shared
        self._server_id = server_id

    async def server_id(self) -> str:
        return self._server_id

    def commit(self, namespace: NamespaceId, user: UserId) -> AbstractAsyncContextManager[CommitTransaction]:
        return MemoryCommit(self._shared, namespace, user)

    async def decided(self, namespace: NamespaceId, user: UserId, decide: Callable[[CommitTransaction], Awaitable[T]]) -> T:
        async with self.commit(namespace, user) as transaction:
            return await decide(transaction)

    # -- Where namespaces stand ----------------------------------------------------------------------------------------------

    async def heads(self, user: UserId) -> list[Head]:
        await self._shared.reading()
        heads = [head for space in self._shared.state.spaces.values() if (head := space.head(user)) is not None]
        return sorted(heads, key=lambda head: (not (head.is_root and head.owner == user), head.namespace))

    async def head(self, user: UserId, namespace: NamespaceId) -> Head | None:
        space = await self._read(namespace)
        return None if space is None else space.head(user)

    async def chains(self, user: UserId, positions: Sequence[tuple[NamespaceId, int]]) -> dict[tuple[NamespaceId, int], Digest]:
        if not positions:
            return {}
        await self._shared.reading()
        found: dict[tuple[NamespaceId, int], Digest] = {}
        for namespace, sequence in positions:
            space = self._shared.state.spaces.get(namespace)
            row = space.row(sequence) if space is not None and user in space.members else None
            if row is not None:
                found[namespace, sequence] = row.chain
        return found

    async def unpublished(self, limit: int) -> list[tuple[NamespaceId, int]]:
        await self._shared.reading()
        spaces = self._shared.state.spaces.values()
        return [(space.id, space.sequence) for space in spaces if space.sequence > space.published][:limit]

    async def mark_published(self, heads: Sequence[tuple[NamespaceId, int]]) -> None:
        def mark() -> None:
            for namespace, sequence in heads:
                space = self._shared.state.spaces.get(namespace)
                if space is not None:
                    space.published = max(space.published, sequence)

        await self._shared.publish(self._shared.life, mark)

    async def usage(self, user: UserId) -> Usage:
        await self._shared.reading()
        usage = self._shared.state.usage(user)
        if usage is None:
            raise NotFound(what="The user")
        return usage

    async def prune(self, *, journal_before_us: int, answers_before_us: int, limit: int) -> Pruned:
        def work() -> tuple[int, int]:
            spaces = list(self._shared.state.spaces.values())
            return prune_journals(spaces, journal_before_us, limit), prune_answers(spaces, answers_before_us, limit)

        rows, answers = await self._shared.publish(self._shared.life, work)
        return Pruned(journal_rows=rows, answers=answers, more=rows >= limit or answers >= limit)

    # -- Journals and trees --------------------------------------------------------------------------------------------------

    async def version_of(self, namespace: NamespaceId) -> str | None:
        space = await self._read(namespace)
        return None if space is None else f"{space.chain}:{space.pruned}"

    async def journal(self, namespace: NamespaceId, after: int, limit: int) -> JournalPage:
        space = await self._read(namespace)
        if space is None:
            return JournalPage([], None, None, False)
        rows = space.journal
        start = max(0, after - space.pruned)
        end = min(len(rows), start + limit)
        while start < end < len(rows) and rows[end].entry.changeset == rows[end - 1].entry.changeset:
            end += 1
        page = rows[start:end]
        if not page:
            return JournalPage([], None, None, False)
        return JournalPage([row.entry for row in page], page[-1].chain, page[-1].root, end < len(rows))

    async def live(self, namespace: NamespaceId, after: NodeId | None, limit: int) -> list[JournalEntry]:
        space = await self._read(namespace)
        if space is None:
            return []
        beyond = after or ""
        return [space.nodes[node] for node in sorted(node for node in space.keys if node > beyond)[:limit]]

    async def nodes(self, namespace: NamespaceId, ids: Sequence[NodeId]) -> list[JournalEntry]:
        space = await self._read(namespace)
        return [] if space is None else space.some(ids)

    async def ancestors(self, namespace: NamespaceId, node: NodeId) -> list[JournalEntry]:
        space = await self._read(namespace)
        return [] if space is None else space.above([node])

    async def child(self, namespace: NamespaceId, place: Place) -> JournalEntry | None:
        space = await self._read(namespace)
        return None if space is None else space.holder(place)

    async def children(
        self, namespace: NamespaceId, folder: NodeId, after_key: str | None, limit: int
    ) -> list[tuple[str, JournalEntry]]:
        space = await self._read(namespace)
        if space is None:
            return []
        beyond = after_key or ""
        found = sorted(pair for pair in space.children.get(folder, {}).items() if pair[0] > beyond)
        return [(key, space.nodes[node]) for key, node in found[:limit]]

    async def versions(self, namespace: NamespaceId, node: NodeId, limit: int) -> list[JournalEntry]:
        space = await self._read(namespace)
        known = {} if space is None else space.revisions.get(node, {})
        return [known[number].entry for number in sorted(known, reverse=True)[:limit]]

    async def revision_blocks(self, namespace: NamespaceId, refs: Sequence[RevisionRef]) -> list[RevisionBlocks]:
        return await self._described(namespace, refs)

    async def revisions(self, namespace: NamespaceId, refs: Sequence[RevisionRef]) -> list[RevisionBlocks]:
        found = await self._described(namespace, refs)
        return [one if one.blocks is None else replace(one, blocks=[]) for one in found]

    async def _described(self, namespace: NamespaceId, refs: Sequence[RevisionRef]) -> list[RevisionBlocks]:
        if not refs:
            return []
        space = await self._read(namespace)
        known: dict[NodeId, dict[int, Revision]] = {} if space is None else space.revisions
        return [_manifest(ref, known.get(ref.node_id, {}).get(ref.revision)) for ref in refs]

    async def _read(self, namespace: NamespaceId) -> Space | None:
        """The namespace as committed; None for an unknown one."""
        await self._shared.reading()
        return self._shared.state.spaces.get(namespace)


def _manifest(ref: RevisionRef, found: Revision | None) -> RevisionBlocks:
    if found is None:
        return RevisionBlocks(node_id=ref.node_id, revision=ref.revision)
    return RevisionBlocks(
        node_id=ref.node_id,
        revision=ref.revision,
        content_hash=found.entry.content_hash or Digest(""),
        size=found.entry.size,
        cut=found.cut,
        blocks=[(block.hash, block.size) for block in found.blocks],
    )
