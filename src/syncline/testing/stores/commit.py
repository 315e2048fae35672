"""`ports.metadata_store.CommitTransaction` in memory: reads what stands under the namespace's lock, and writes at its end.

What was written shows to the transaction itself in a copy of the namespace, made only if it reads after writing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType

from syncline.model.errors import NotFound
from syncline.model.ids import DeviceId, Digest, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.ports.metadata_store import CommitTransaction, Head, HeldBlock, Place, StoredAnswer, Usage, Written
from syncline.testing.stores.space import Space
from syncline.testing.stores.state import Shared


class MemoryCommit:
    def __init__(self, shared: Shared, namespace: NamespaceId, user: UserId) -> None:
        self._shared = shared
        self._namespace = namespace
        self._user = user
        self._life = shared.life
        self._written: list[Written | Callable[[Space], None]] = []
        self._later: Space | None = None
        self._lock: asyncio.Lock
        self._space: Space
        self._head: Head

    @classmethod
    def within(cls, shared: Shared, namespace: NamespaceId, user: UserId, life: int) -> MemoryCommit:
        """A part of a larger transaction, which holds the lock and publishes. Raises `NotFound`."""
        commit = cls(shared, namespace, user)
        commit._life = life
        commit._look()
        return commit

    async def __aenter__(self) -> CommitTransaction:
        self._shared.space(self._namespace)
        self._lock = await self._shared.lock(self._namespace, self._life)
        try:
            self._look()
        except NotFound:
            self._lock.release()
            raise
        return self

    def _look(self) -> None:
        self._space = self._shared.space(self._namespace)
        head = self._space.head(self._user) or self._space.head_by_grants(self._user)
        if head is None:
            raise NotFound(what="The namespace")
        self._head = head

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self._lock.release()
            return
        await self._shared.publish(self._life, self.publish, [self._lock])

    def publish(self) -> None:
        """Everything written shows from now on."""
        for written in self._written:
            _apply(self._space, written)

    def after_writing(self, change: Callable[[Space], None]) -> None:
        """What is to be done to the namespace besides, after what was written so far."""
        self._written.append(change)
        self._later = None

    @property
    def _seen(self) -> Space:
        """The namespace as this transaction sees it."""
        if not self._written:
            return self._space
        if self._later is None:
            self._later = self._space.copy()
            for written in self._written:
                _apply(self._later, written)
        return self._later

    # -- ports.metadata_store.CommitTransaction --------------------------------------------------------------------------------

    @property
    def head(self) -> Head:
        return self._head

    async def stored_answer(self, device: DeviceId, key: str) -> StoredAnswer | None:
        found = self._seen.answers.get((device, key))
        return None if found is None else found.stored

    async def chain_at(self, sequence: int) -> Digest | None:
        row = self._seen.row(sequence) if self._user in self._seen.members else None
        return None if row is None else row.chain

    async def nodes(self, ids: Sequence[NodeId]) -> list[JournalEntry]:
        return self._seen.some(ids)

    async def ancestors(self, ids: Sequence[NodeId]) -> list[JournalEntry]:
        return self._seen.above(ids)

    async def holders(self, places: Sequence[Place]) -> list[JournalEntry]:
        return [holder for place in places if (holder := self._seen.holder(place)) is not None]

    async def below(self, ids: Sequence[NodeId], limit: int) -> list[JournalEntry]:
        return self._seen.below(ids, limit) if ids else []

    async def deleted_with(self, ids: Sequence[NodeId], limit: int) -> list[JournalEntry]:
        return self._seen.deleted_with(ids, limit) if ids else []

    async def child_counts(self, ids: Sequence[NodeId]) -> dict[NodeId, int]:
        children = self._seen.children
        return {node: len(children[node]) for node in ids if children.get(node)}

    async def heights(self, ids: Sequence[NodeId]) -> dict[NodeId, int]:
        return {node: self._seen.height(node) for node in ids if node in self._seen.nodes}

    async def held(self, hashes: Sequence[Digest]) -> dict[Digest, HeldBlock]:
        held = self._seen.held
        found = {block: held[block] for block in hashes if block in held}
        if self._head.only is not None:
            mine = self._within_grants(self._head.only)
            found = {block: one for block, one in found.items() if block in mine}
        return found

    def _within_grants(self, only: frozenset[NodeId]) -> set[Digest]:
        """The blocks of the granted files, and those that the user sent here."""
        space, state = self._seen, self._shared.state
        revisions = [revision for node in only for revision in space.revisions.get(node, {}).values()]
        mine = {block.hash for revision in revisions for block in revision.blocks}
        for pack in state.packs.values():
            if (pack.namespace, pack.user, pack.state) == (self._namespace, self._user, "done"):
                mine.update(state.declared.get(pack.id, ()))
        return mine

    async def joined(self, user: UserId, namespaces: Sequence[NamespaceId]) -> list[NamespaceId]:
        spaces = self._shared.state.spaces
        return [namespace for namespace in namespaces if namespace in spaces and user in spaces[namespace].members]

    async def elsewhere(self, user: UserId, ids: Sequence[NodeId]) -> dict[NodeId, NamespaceId]:
        others = [space for space in self._shared.state.spaces.values() if user in space.members and space.id != self._namespace]
        return {node: space.id for space in others for node in ids if node in space.nodes and not space.nodes[node].mount}

    async def readable_elsewhere(self, user: UserId, hashes: Sequence[Digest]) -> dict[Digest, int]:
        state = self._shared.state
        others = [space for space in state.spaces.values() if user in space.members and space.id != self._namespace]
        found: dict[Digest, int] = {}
        for block in hashes:
            sizes = [space.named[block] for space in others if block in space.named]
            if sizes and any(stored.verified for stored in state.copies.get(block, {}).values()):
                found[block] = max(sizes)
        return found

    async def raw_waits(self, node: NodeId, revision: int) -> bool:
        return False

    async def earlier(self, node: NodeId, revision: int) -> JournalEntry | None:
        known = self._seen.revisions.get(node, {})
        before = [number for number in known if number < revision]
        return known[max(before)].entry if before else None

    async def usage(self) -> Usage:
        usage = self._shared.state.usage(self._head.owner, self._seen)
        if usage is None:
            raise NotFound(what="The owner")
        return usage

    async def revisions(self, refs: Sequence[tuple[NodeId, int]]) -> list[JournalEntry]:
        known = self._seen.revisions
        return [known[node][number].entry for node, number in dict.fromkeys(refs) if number in known.get(node, {})]

    async def tombstones(self, ids: Sequence[NodeId]) -> dict[NodeId, int]:
        return {}  # Nothing is purged in memory.

    async def write(self, written: Written) -> None:
        self._seen.check(written)
        self._written.append(written)
        self._later = None


def _apply(space: Space, written: Written | Callable[[Space], None]) -> None:
    if isinstance(written, Written):
        space.apply(written)
    else:
        written(space)
