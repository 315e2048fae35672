"""The metadata service: the doors to namespaces, their trees and their journals. Everything a gateway may ask stands here.

Laws: the caller comes from the token, and every door asks for membership anew; foreign ids answer `NotFound`; a commit is one
transaction, which goes on to its end even if the one who asked goes away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from syncline.model.entries import Access
from syncline.model.ids import Digest, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.model.limits import BATCH_MAX, IDEMPOTENCY_TTL_S, JOURNAL_RETENTION_S
from syncline.ports.clock import Clock, Ids
from syncline.ports.metadata_store import Head, MetadataStore, Pruned, RawObject, RevisionBlocks, Usage
from syncline.protocol import tree
from syncline.protocol.blocks import RevisionRef
from syncline.protocol.changes import ChangesPage, LatestAnswer, SnapshotPage
from syncline.protocol.commits import CommitAnswer, CommitRequest
from syncline.protocol.sessions import Namespaces
from syncline.server.caller import Caller
from syncline.server.metadata.commit import Commits, Outer
from syncline.server.metadata.cursors import CursorCodec
from syncline.server.metadata.history import History
from syncline.server.metadata.lookup import Lookup
from syncline.server.metadata.settling import Verdict, settle_raw
from syncline.server.sharing.access import NodeAccess

__all__ = ["CursorCodec", "Metadata", "RevisionBlocks"]

T = TypeVar("T")
_SECOND_US = 1_000_000
_PRUNE_ROWS = 10_000


class Metadata:
    """`on_commit(namespace, head)` is called after each commit that wrote journal rows, on the event loop. Without `access` only
    members of a namespace see anything of it."""

    def __init__(
        self,
        store: MetadataStore,
        cursors: CursorCodec,
        clock: Clock,
        ids: Ids,
        on_commit: Callable[[NamespaceId, int], None],
        *,
        access: NodeAccess | None = None,
        journal_retention_s: int = JOURNAL_RETENTION_S,
    ) -> None:
        self._journal_retention_s = journal_retention_s
        self._store = store
        self._clock = clock
        self._on_commit = on_commit
        self._ids = ids
        self._commits = Commits(store, cursors, clock, ids)
        self._history = History(store, cursors)
        self.lookup = Lookup(store, self._history, access)
        self._running: set[asyncio.Task[Any]] = set()

    async def namespaces(self, caller: Caller) -> Namespaces:
        """Every namespace the caller may see, with its head; their own root first."""
        return await self._history.namespaces(caller)

    async def head(self, caller: Caller, namespace: NamespaceId | None = None) -> Head:
        """Where a namespace (the caller's root by default) stands. Raises `NotFound` for foreign and unknown ids."""
        return await self._history.head(caller, namespace)

    async def access(self, caller: Caller, namespace: NamespaceId) -> Access:
        """What the caller may do there at this instant. Raises `NotFound` for foreign and unknown ids."""
        return (await self._history.head(caller, namespace)).access

    async def owner(self, caller: Caller, namespace: NamespaceId) -> UserId:
        """Whose namespace it is. Raises `NotFound` for foreign and unknown ids."""
        return (await self._history.head(caller, namespace)).owner

    async def may_send(self, caller: Caller, namespace: NamespaceId) -> Access:
        """The same, and WRITE for someone who is no member and was granted a file there to write. Raises `NotFound`."""
        return await self.lookup.may_send(caller, namespace)

    async def is_member(self, caller: Caller, namespace: NamespaceId) -> bool:
        return await self._store.head(caller.user_id, namespace) is not None

    async def commit(self, caller: Caller, request: CommitRequest, key: str) -> CommitAnswer:
        """Applies a changeset atomically, once for its `key`.

        Raises `CommitRefused` (`failures`: dicts as in `protocol.commits.Failure`, every failing change; the others would be
        accepted alone), `NotFound`, `Forbidden`, `IdempotencyMismatch`, `QuotaExceeded`, `LimitExceeded`, `InvalidRequest`,
        `CursorReset` (an `expected` head that never was), `TooBusy`, `Unavailable`.
        """
        return await self._to_its_end(self._commit(caller, request, key, {}))

    async def commit_raw(self, caller: Caller, request: CommitRequest, key: str, raws: Mapping[NodeId, RawObject]) -> CommitAnswer:
        """A commit of files whose bytes are whole objects in the store that nobody has cut yet. Each ends its upload in the same
        transaction. Raises as `commit` does, and `NotFound` for an upload that is not open any more."""
        return await self._to_its_end(self._commit(caller, request, key, raws))

    async def commit_wide(self, caller: Caller, request: CommitRequest, outer: Outer) -> bytes:
        """Applies a changeset that the server made of an outer request (`Commits.commit_wide`); the outer answer. Raises as
        `commit` does."""
        return await self._to_its_end(self._commit_wide(caller, request, outer))

    async def replayed(self, caller: Caller, namespace: NamespaceId, key: str, body_hash: bytes) -> bytes | None:
        """The outer answer stored under a key, for the same request. Raises `IdempotencyMismatch`, `NotFound`."""
        return await self._commits.replayed(caller, namespace, key, body_hash)

    async def _commit_wide(self, caller: Caller, request: CommitRequest, outer: Outer) -> bytes:
        encoded, answer = await self._commits.commit_wide(caller, request, outer)
        if answer is not None:
            self._on_commit(request.namespace, answer.sequence)
        return encoded

    async def _commit(self, caller: Caller, request: CommitRequest, key: str, raws: Mapping[NodeId, RawObject]) -> CommitAnswer:
        answer, grew = await self._commits.commit(caller, request, key, raws)
        if grew:
            self._on_commit(request.namespace, answer.sequence)
        return answer

    async def settle_raw(self, verdict: Verdict) -> None:
        """Tells what a raw revision holds; see `server.metadata.settling`."""
        await self._to_its_end(self._settle_raw(verdict))

    async def _settle_raw(self, verdict: Verdict) -> None:
        sequence = await settle_raw(self._store, self._clock, self._ids, verdict)
        if sequence is not None:
            self._on_commit(verdict.namespace, sequence)

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """A commit's result; once begun it goes on to its end even if the one who asked goes away."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """Forgets a task, and looks at its error so that one nobody waits for any more is not complained about."""
        self._running.discard(task)
        if not task.cancelled():
            task.exception()

    async def drain(self) -> None:
        """Waits for the commits under way."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def changes(
        self, caller: Caller, namespace: NamespaceId | None, cursor: str | None, limit: int = BATCH_MAX
    ) -> ChangesPage:
        """Whole changesets after `cursor` (None: from the beginning). Without a namespace: the cursor's, or the caller's root.

        Raises `CursorReset` (`reason`: history_diverged, epoch_changed), `HistoryExpired`, `CorruptCursor`, `NotFound`.
        """
        return await self._history.changes(caller, namespace, cursor, limit)

    async def snapshot(
        self, caller: Caller, namespace: NamespaceId | None, page: str | None, limit: int = BATCH_MAX
    ) -> SnapshotPage:
        """The live nodes, page by page; see `protocol.changes.SnapshotPage`. Raises as `changes` does."""
        return await self._history.snapshot(caller, namespace, page, limit)

    async def latest(self, caller: Caller, namespace: NamespaceId | None = None) -> LatestAnswer:
        """The head and a cursor that stands there."""
        return await self._history.latest(caller, namespace)

    async def positions(self, caller: Caller, cursors: Sequence[str]) -> dict[NamespaceId, int]:
        """The sequences at which these cursors stand, each verified. Raises as `changes` does."""
        return await self._history.positions(caller, cursors)

    async def cursor(self, caller: Caller, namespace: NamespaceId, sequence: int, chain: Digest) -> str:
        """The cursor of a position that was read from the journal. Raises `NotFound`."""
        return await self._history.cursor_at(caller, namespace, sequence, chain)

    async def heads(self, caller: Caller, namespaces: Sequence[NamespaceId]) -> dict[NamespaceId, int]:
        """Head sequences. Raises `NotFound`."""
        return await self._history.heads(caller, namespaces)

    async def metadata_by_path(self, caller: Caller, path: str, namespace: NamespaceId | None = None) -> tree.Metadata:
        """The live node at a path such as `/a/b`. Raises `NotFound`, `InvalidName`."""
        return await self.lookup.by_path(caller, path, namespace)

    async def metadata_by_id(self, caller: Caller, node: NodeId, namespace: NamespaceId | None = None) -> tree.Metadata:
        """A node, deleted or not, wherever the caller may read it unless a namespace is named. Raises `NotFound`."""
        return await self.lookup.by_id(caller, node, namespace)

    async def child(self, caller: Caller, namespace: NamespaceId, folder: NodeId, name: str) -> JournalEntry | None:
        """The live node of that name in a folder, None where there is none. Raises `NotFound` for a foreign namespace."""
        return await self.lookup.child(caller, namespace, folder, name)

    async def children(
        self, caller: Caller, namespace: NamespaceId | None, folder: NodeId, page: str | None = None, limit: int = BATCH_MAX
    ) -> tree.ChildrenPage:
        """Live children of a folder (the root's id is the namespace's), by name. Raises `NotFound`."""
        return await self.lookup.children(caller, namespace, folder, page, limit)

    async def versions(self, caller: Caller, namespace: NamespaceId | None, node: NodeId) -> tree.Versions:
        """A file's revisions, newest first, at most `BATCH_MAX`. Raises `NotFound`."""
        return await self.lookup.versions(caller, namespace, node)

    async def revision_blocks(self, caller: Caller, namespace: NamespaceId, refs: Sequence[RevisionRef]) -> list[RevisionBlocks]:
        """For each ref, in order, all blocks of that revision; `blocks` None where there is none to be seen. Raises `NotFound`."""
        return await self.lookup.revision_blocks(caller, namespace, refs)

    async def usage(self, caller: Caller) -> Usage:
        """What the caller's own namespaces hold and have reserved, and their quota."""
        return await self._store.usage(caller.user_id)

    async def prune(self) -> Pruned:
        """Removes a bounded number of answers and journal rows past their time; call again while `more`."""
        now_us = self._clock.now_us()
        return await self._store.prune(
            journal_before_us=now_us - self._journal_retention_s * _SECOND_US,
            answers_before_us=now_us - IDEMPOTENCY_TTL_S * _SECOND_US,
            limit=_PRUNE_ROWS,
        )
