"""Reading a namespace's journal by cursor: changes, snapshots, heads (`protocol.md` §4).

Membership is asked for at every reading. A cursor is believed only while the journal's chain at its sequence is the chain it
carries: otherwise the history it saw is not this one, and the reader is told to take a snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from syncline.model.errors import CorruptCursor, CursorReset, HistoryExpired, InvalidRequest, LimitExceeded, NotFound
from syncline.model.ids import Digest, NamespaceId
from syncline.model.journal import EMPTY_CHAIN
from syncline.model.limits import BATCH_MAX, POLL_CURSORS_MAX
from syncline.ports.freshness import check_newest
from syncline.ports.metadata_store import Head, MetadataStore
from syncline.protocol.changes import ChangesPage, Entry, LatestAnswer, SnapshotPage
from syncline.protocol.sessions import Namespace, Namespaces
from syncline.server.caller import Caller
from syncline.server.metadata.cursors import Cursor, CursorCodec

_NEWEST: Final = "The newest state of the namespace"


class History:
    def __init__(self, store: MetadataStore, cursors: CursorCodec) -> None:
        self._store = store
        self._cursors = cursors

    async def head(self, caller: Caller, namespace: NamespaceId | None) -> Head:
        """The namespace's head, or that of the caller's own root. Raises `NotFound` for foreign and unknown ids."""
        if namespace is not None:
            head = await self._store.head(caller.user_id, namespace)
        else:
            heads = await self._store.heads(caller.user_id)
            head = next((one for one in heads if one.is_root and one.owner == caller.user_id), None)
        if head is None:
            raise _unknown()
        return head

    async def namespaces(self, caller: Caller) -> Namespaces:
        heads = await self._store.heads(caller.user_id)
        return Namespaces(namespaces=[_namespace(head) for head in heads], server_id=await self._store.server_id())

    async def latest(self, caller: Caller, namespace: NamespaceId | None) -> LatestAnswer:
        head = await self.head(caller, namespace)
        return LatestAnswer(
            namespace=head.namespace,
            epoch=head.epoch,
            cursor=self._cursor(caller, head, head.sequence, head.chain),
            sequence=head.sequence,
            chain=head.chain,
            root=head.root,
        )

    async def changes(self, caller: Caller, namespace: NamespaceId | None, cursor: str | None, limit: int) -> ChangesPage:
        at = None if cursor is None else self._decode(caller, cursor, namespace)
        head = await self.head(caller, namespace if at is None else at.namespace)
        if at is None:
            at = Cursor(head.namespace, head.epoch, 0, EMPTY_CHAIN)
        await self._verify(caller, [(at, head)])
        page = await self._store.journal(head.namespace, at.sequence, bounded(limit))
        if not page.entries and at.sequence == head.sequence:
            return self._page(caller, head, at, [], head.root, False)
        if not page.entries or page.entries[0].sequence != at.sequence + 1:
            check_newest(_NEWEST)
            raise HistoryExpired(namespace=head.namespace)
        assert page.chain is not None
        assert page.root is not None
        end = Cursor(head.namespace, head.epoch, page.entries[-1].sequence, page.chain)
        return self._page(caller, head, end, [Entry.of(row) for row in page.entries], page.root, page.has_more)

    async def snapshot(self, caller: Caller, namespace: NamespaceId | None, page: str | None, limit: int) -> SnapshotPage:
        limit = bounded(limit)
        after = None
        if page is None:
            head = await self.head(caller, namespace)
            at = Cursor(head.namespace, head.epoch, head.sequence, head.chain)
        else:
            at, after = self._cursors.decode_page(page, caller.user_id)
            head = await self.head(caller, _agreed(namespace, at.namespace))
            await self._verify(caller, [(at, head)])
        nodes = await self._store.live(head.namespace, after, limit + 1)
        more = len(nodes) > limit
        nodes = nodes[:limit]
        return SnapshotPage(
            namespace=head.namespace,
            epoch=head.epoch,
            entries=[Entry.of(node) for node in nodes],
            next=self._cursors.encode_page(at, nodes[-1].node_id, caller.user_id) if more else None,
            cursor=self._cursors.encode(at, caller.user_id),
            sequence=at.sequence,
            chain=at.chain,
        )

    async def positions(self, caller: Caller, cursors: Sequence[str]) -> dict[NamespaceId, int]:
        """The sequences of verified cursors. Raises what `changes` does, and `LimitExceeded`."""
        if len(cursors) > POLL_CURSORS_MAX:
            raise LimitExceeded(what="The number of cursors", limit=POLL_CURSORS_MAX)
        decoded = [self._cursors.decode(text, caller.user_id) for text in cursors]
        heads = await self._heads(caller)
        pairs: list[tuple[Cursor, Head]] = []
        for cursor in decoded:
            head = heads.get(cursor.namespace)
            if head is None:
                raise _unknown()
            pairs.append((cursor, head))
        await self._verify(caller, pairs)
        return {cursor.namespace: cursor.sequence for cursor in decoded}

    async def cursor_at(self, caller: Caller, namespace: NamespaceId, sequence: int, chain: Digest) -> str:
        """The cursor of a position. Raises `NotFound`."""
        return self._cursor(caller, await self.head(caller, namespace), sequence, chain)

    async def heads(self, caller: Caller, namespaces: Sequence[NamespaceId]) -> dict[NamespaceId, int]:
        """Head sequences. Raises `NotFound` when one of them is not the caller's to see."""
        heads = await self._heads(caller)
        if any(namespace not in heads for namespace in namespaces):
            raise _unknown()
        return {namespace: heads[namespace].sequence for namespace in namespaces}

    async def _heads(self, caller: Caller) -> dict[NamespaceId, Head]:
        return {head.namespace: head for head in await self._store.heads(caller.user_id)}

    def _decode(self, caller: Caller, text: str, namespace: NamespaceId | None) -> Cursor:
        cursor = self._cursors.decode(text, caller.user_id)
        _agreed(namespace, cursor.namespace)
        return cursor

    async def _verify(self, caller: Caller, pairs: Sequence[tuple[Cursor, Head]]) -> None:
        """Raises `CursorReset` or `HistoryExpired` unless every cursor is a position of its namespace's present history."""
        asked: list[tuple[NamespaceId, int]] = []
        for cursor, head in pairs:
            if cursor.epoch != head.epoch:
                raise _reset(head, "epoch_changed")
            if cursor.sequence > head.sequence:
                raise _reset(head, "history_diverged")
            if cursor.sequence < head.sequence and cursor.sequence > 0:
                asked.append((cursor.namespace, cursor.sequence))
        chains = await self._store.chains(caller.user_id, asked)
        for cursor, head in pairs:
            if _chain_at(cursor, head, chains) != cursor.chain:
                raise _reset(head, "history_diverged")

    def _cursor(self, caller: Caller, head: Head, sequence: int, chain: Digest) -> str:
        return self._cursors.encode(Cursor(head.namespace, head.epoch, sequence, chain), caller.user_id)

    def _page(self, caller: Caller, head: Head, at: Cursor, entries: list[Entry], root: str, has_more: bool) -> ChangesPage:
        return ChangesPage(
            namespace=head.namespace,
            epoch=head.epoch,
            entries=entries,
            cursor=self._cursors.encode(at, caller.user_id),
            has_more=has_more,
            sequence=at.sequence,
            chain=at.chain,
            root=root,
            head_sequence=max(head.sequence, at.sequence),
        )


def bounded(limit: int) -> int:
    """A page's limit, at most `BATCH_MAX`. Raises `InvalidRequest` below one."""
    if limit < 1:
        raise InvalidRequest(message="A limit is at least 1")
    return min(limit, BATCH_MAX)


def _agreed(namespace: NamespaceId | None, of_cursor: NamespaceId) -> NamespaceId:
    if namespace not in (None, of_cursor):
        raise CorruptCursor
    return of_cursor


def _chain_at(cursor: Cursor, head: Head, chains: dict[tuple[NamespaceId, int], Digest]) -> Digest | None:
    if cursor.sequence == head.sequence:
        return head.chain
    if cursor.sequence == head.pruned_sequence == 0:
        return EMPTY_CHAIN
    if cursor.sequence <= head.pruned_sequence:
        raise HistoryExpired(namespace=head.namespace)
    return chains.get((cursor.namespace, cursor.sequence))


def _unknown() -> NotFound:
    """For a namespace that is not there, or not the caller's to see. Raises `Unavailable` where it may just not be there yet."""
    check_newest(_NEWEST)
    return NotFound(what="The namespace")


def _reset(head: Head, reason: str) -> CursorReset:
    """Raises `Unavailable` where the history seems another one only because its newest part is not to be seen."""
    check_newest(_NEWEST)
    return CursorReset(reason=reason, epoch=head.epoch, namespace=head.namespace)


def _namespace(head: Head) -> Namespace:
    return Namespace(
        id=head.namespace,
        name=head.name,
        access=head.access,
        is_root=head.is_root,
        epoch=head.epoch,
        sequence=head.sequence,
        chain=head.chain,
        root=head.root,
        name_key_version=head.name_key_version,
    )
