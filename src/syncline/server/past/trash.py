"""The trash of a namespace: what was deleted, brought back with its ids, or removed for good."""

from __future__ import annotations

import msgspec

from syncline.model.entries import Access
from syncline.model.errors import (
    CommitRefused,
    Conflict,
    CorruptCursor,
    Forbidden,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    NotInTrash,
    Refused,
    SynclineError,
)
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.model.limits import BATCH_MAX, COMMIT_NODES_MAX
from syncline.ports.clock import Clock
from syncline.ports.past_store import PastStore, Purged
from syncline.protocol.changes import to_time
from syncline.protocol.commits import CommitAnswer, CommitRequest
from syncline.protocol.past import (
    PurgeAnswer,
    PurgeRequest,
    PurgeResult,
    Restored,
    TrashEntry,
    TrashPage,
    Undelete,
    UndeleteAnswer,
    UndeleteRequest,
    UndeleteResult,
)
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata
from syncline.server.past.authors import Authors
from syncline.server.past.once import Attempt, once
from syncline.server.past.paths import path_of
from syncline.server.past.places import Places, refused
from syncline.server.past.retention import Retention

PURGED_AT_ONCE = 5_000
"""Nodes removed in one transaction."""
PURGED_A_REQUEST = 50_000
"""Nodes after which one request for all of a trash ends, and says `more`."""


class Trash:
    def __init__(self, metadata: Metadata, store: PastStore, clock: Clock, policy: Retention) -> None:
        self._metadata = metadata
        self._store = store
        self._clock = clock
        self._policy = policy
        self._places = Places(store)

    async def page(self, caller: Caller, namespace: NamespaceId | None, page: str | None, limit: int = BATCH_MAX) -> TrashPage:
        """Top-most deleted nodes of each deletion, newest first. Raises `NotFound`, `CorruptCursor`."""
        here = (await self._metadata.head(caller, namespace)).namespace
        rows = await self._store.trash(here, None if page is None else _place(page), limit + 1)
        more, rows = len(rows) > limit, rows[:limit]
        above = (await self._store.surroundings(here, [row.node_id for row in rows], [], [])).nodes
        placed = {row.node_id: (row.parent_id, row.name) for row in above.values()}
        authors = await Authors.of(self._store, rows)
        entries = [
            TrashEntry(
                node_id=row.node_id,
                kind=row.kind,
                name=row.name,
                path=path_of(row.node_id, NodeId(here), placed.get),
                deleted=to_time(row.time_us),
                purged_after=to_time(row.time_us + self._policy.trash_us),
                by=authors.author(row),
                changeset=row.changeset,
                size=row.size,
                revision=row.revision,
            )
            for row in rows
        ]
        return TrashPage(namespace=here, entries=entries, next=f"{rows[-1].time_us}-{rows[-1].sequence}" if more else None)

    # -- Bringing back -----------------------------------------------------------------------------------------------------------

    async def undelete(self, caller: Caller, request: UndeleteRequest, key: str) -> UndeleteAnswer:
        """Each entry for itself. Raises `NotFound` and `Forbidden` for the namespace, `LimitExceeded`."""
        _bounded(len(request.files))
        head = await self._metadata.head(caller, request.namespace)
        if not head.access.may_write:
            raise Forbidden(what="write")
        results: list[UndeleteResult] = []
        for index, wanted in enumerate(request.files):
            try:
                back = await self._undelete(caller, head.namespace, wanted, request.rename, f"{key}:{index}")
                results.append(UndeleteResult(node_id=wanted.node_id, restored=back))
            except (Conflict, Refused) as error:
                code, detail = _told(error)
                results.append(UndeleteResult(node_id=wanted.node_id, code=code, detail=detail))
        return UndeleteAnswer(results=results)

    async def _undelete(self, caller: Caller, namespace: NamespaceId, wanted: Undelete, rename: bool, key: str) -> Restored:
        async def make() -> Attempt[Restored]:
            head = await self._metadata.head(caller, namespace)
            node = (await self._store.surroundings(namespace, [wanted.node_id], [], [])).nodes.get(wanted.node_id)
            if node is None:
                raise NotFound(what="The node")
            if not node.deleted or node.mount:
                raise NotInTrash(what=node.name)
            back = await self._places.back(head, node, parent=wanted.parent_id, name=wanted.name, rename=rename)

            def answer(commit: CommitAnswer | None) -> Restored:
                assert commit is not None
                result = commit.results[-1]
                return Restored(
                    namespace=namespace,
                    node_id=wanted.node_id,
                    path=back.path,
                    revision=result.revision,
                    sequence=result.sequence,
                    adopted=result.adopted,
                )

            return Attempt(CommitRequest(namespace=namespace, changes=back.changes), answer)

        asked = b"undelete" + msgspec.json.encode((wanted, rename))
        return await once(self._metadata, caller, namespace, key, asked, make, Restored)

    # -- Removing for good -------------------------------------------------------------------------------------------------------

    async def purge(self, caller: Caller, request: PurgeRequest) -> PurgeAnswer:
        """Each entry for itself, or all there is. Only the namespace's owner may. Purging what is gone already is done at once.

        Raises `NotFound`, `Forbidden`, `LimitExceeded`, `InvalidRequest`.
        """
        _bounded(len(request.node_ids))
        if request.all is bool(request.node_ids):
            raise InvalidRequest(message="Name the entries to purge, or say `all`; not both")
        head = await self._metadata.head(caller, request.namespace)
        if head.access is not Access.OWNER:
            raise Forbidden(what="purge; only the owner may")
        if request.all:
            return await self._purge_all(head.namespace)
        results: list[PurgeResult] = []
        purged = freed = 0
        for node in request.node_ids:
            try:
                gone = await self._purge_one(head.namespace, node)
                results.append(PurgeResult(node_id=node, purged=gone.nodes))
                purged, freed = purged + gone.nodes, freed + gone.freed_bytes
            except (Conflict, Refused) as error:
                code, detail = _told(error)
                results.append(PurgeResult(node_id=node, code=code, detail=detail))
        return PurgeAnswer(results=results, purged=purged, freed_bytes=freed)

    async def _purge_one(self, namespace: NamespaceId, node: NodeId) -> Purged:
        found = (await self._store.surroundings(namespace, [node], [], [])).nodes.get(node)
        if found is None:
            if await self._store.purged(namespace, [node]):
                return Purged()
            raise NotFound(what="The node")
        if not found.deleted or found.mount:
            raise NotInTrash(what=found.name)
        return await self._remove(namespace, await self._store.deleted_with(namespace, [node], COMMIT_NODES_MAX))

    async def _purge_all(self, namespace: NamespaceId) -> PurgeAnswer:
        purged = freed = 0
        while purged < PURGED_A_REQUEST:
            tops = await self._store.trash(namespace, None, BATCH_MAX)
            if not tops:
                return PurgeAnswer(results=[], purged=purged, freed_bytes=freed)
            group = await self._store.deleted_with(namespace, [top.node_id for top in tops], COMMIT_NODES_MAX)
            gone = await self._remove(namespace, group)
            purged, freed = purged + gone.nodes, freed + gone.freed_bytes
        return PurgeAnswer(results=[], purged=purged, freed_bytes=freed, more=True)

    async def _remove(self, namespace: NamespaceId, rows: list[JournalEntry]) -> Purged:
        """What lay inside first: in a changeset its row comes before that of the folder it was in."""
        refs = [(row.node_id, row.sequence) for row in sorted(rows, key=lambda row: row.sequence)]
        nodes = freed = 0
        for start in range(0, len(refs), PURGED_AT_ONCE):
            gone = await self._store.purge(namespace, refs[start : start + PURGED_AT_ONCE], self._clock.now_us())
            nodes, freed = nodes + gone.nodes, freed + gone.freed_bytes
        return Purged(nodes, freed)


def _told(error: SynclineError) -> tuple[str, str]:
    if isinstance(error, CommitRefused):
        failures = error.fields.get("failures") or [{}]
        return refused(error) or error.code, str(failures[0].get("detail") or error)
    return error.code, str(error)


def _bounded(count: int) -> None:
    if count > BATCH_MAX:
        raise LimitExceeded(what="The number of entries", limit=BATCH_MAX)


def _place(page: str) -> tuple[int, int]:
    time, _, sequence = page.partition("-")
    if not (page.isascii() and time.isdigit() and sequence.isdigit() and len(page) < 40):
        raise CorruptCursor
    return int(time), int(sequence)
