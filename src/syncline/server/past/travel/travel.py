"""Rewind and undo: a window of the journal becomes goals, goals a plan, the plan one changeset against the head that was read.

Nothing is taken out of history: the changeset is a commit like any other, bears the caller's device, and can be undone itself. A
dry run stops before it. When the head moves meanwhile everything is looked at anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.errors import Forbidden, HistoryExpired, InvalidRequest, LimitExceeded, NotFound, NotThereThen
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.model.paths import key_rule
from syncline.ports.clock import Clock
from syncline.ports.metadata_store import Head
from syncline.ports.past_store import Acts, PastStore, Since, Stories
from syncline.protocol.changes import to_us
from syncline.protocol.commits import CommitAnswer, CommitRequest, Expected
from syncline.protocol.past import RewindRequest, TravelAnswer, UndoRequest
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata
from syncline.server.past.authors import Authors
from syncline.server.past.once import Attempt, once
from syncline.server.past.travel.goals import Wanted, rewound, undone
from syncline.server.past.travel.plan import Ground, Plan, plan
from syncline.server.past.travel.report import report

WINDOW_NODES_MAX: Final = 250_000
WINDOW_ROWS_MAX: Final = 500_000
NAMING_ROUNDS_MAX: Final = 100


class _Seen(Struct):
    """What is wanted, and the head at which it was seen."""

    wanted: Wanted
    sequence: int
    chain: Digest


Look = Callable[[], Awaitable[_Seen]]


class Travel:
    def __init__(self, metadata: Metadata, store: PastStore, clock: Clock) -> None:
        self._metadata = metadata
        self._store = store
        self._clock = clock

    async def rewind(self, caller: Caller, request: RewindRequest, key: str) -> TravelAnswer:
        """Raises `HistoryExpired`, `NotThereThen`, `NotFound`, `Forbidden`, `LimitExceeded`, `Overtaken`, `InvalidRequest`."""
        to_us_ = _time(request.to, "to")
        namespace, top = await self._top(caller, request)
        head = await self._writable(caller, namespace)

        async def look() -> _Seen:
            since = await self._store.since(namespace, to_us_, WINDOW_NODES_MAX)
            if since is None or (since.position == 0 and not head.is_root):
                raise HistoryExpired(namespace=namespace)
            if len(since.touched) > WINDOW_NODES_MAX:
                raise LimitExceeded(what="The number of files and folders changed since then", limit=WINDOW_NODES_MAX)
            return _Seen(await self._rewound(head, since, top, request.path or top), since.sequence, since.chain)

        return await self._travel(caller, head, request, key, look, dry_run=request.dry_run)

    async def undo(self, caller: Caller, request: UndoRequest, key: str) -> TravelAnswer:
        """Raises as `rewind` does; `NotFound` for a changeset there is not."""
        acts = self._acts(request)
        head = await self._writable(caller, (await self._metadata.head(caller, request.namespace)).namespace)

        async def look() -> _Seen:
            found = await self._store.acts(head.namespace, acts, WINDOW_ROWS_MAX)
            if found is None:
                raise HistoryExpired(namespace=head.namespace)
            if acts.changeset is not None and not found.stories:
                raise NotFound(what="The changeset")
            if sum(len(story.rows) for story in found.stories) > WINDOW_ROWS_MAX:
                raise LimitExceeded(what="The number of changes to look at", limit=WINDOW_ROWS_MAX)
            return _Seen(await asyncio.to_thread(_undone, found, acts), found.sequence, found.chain)

        return await self._travel(caller, head, request, key, look, dry_run=request.dry_run)

    # -- From what is asked to what is wanted ------------------------------------------------------------------------------------

    async def _top(self, caller: Caller, request: RewindRequest) -> tuple[NamespaceId, NodeId]:
        """The namespace and the node to rewind; a mount is its namespace's whole tree."""
        if request.path is not None and request.node_id is not None:
            raise InvalidRequest(message="Name the folder by `path` or by `node_id`")
        if request.node_id is not None:
            found = await self._metadata.metadata_by_id(caller, request.node_id, request.namespace)
        else:
            found = await self._metadata.metadata_by_path(caller, request.path or "/", request.namespace)
        entry = found.entry
        if entry is None:
            return found.namespace, NodeId(found.namespace)
        if entry.deleted:
            raise NotFound(what=f"{found.path}, which was deleted,")
        if entry.mount:
            return NamespaceId(entry.node_id), entry.node_id
        return found.namespace, entry.node_id

    async def _writable(self, caller: Caller, namespace: NamespaceId) -> Head:
        head = await self._metadata.head(caller, namespace)
        if not head.access.may_write:
            raise Forbidden(what="write")
        return head

    async def _rewound(self, head: Head, since: Since, top: NodeId, named: str) -> Wanted:
        parents = {row.parent_id for one in since.touched for row in (one.before, one.present) if row is not None}
        around = await self._store.surroundings(head.namespace, list(parents), [], [])
        now = dict(around.nodes)
        now.update((one.node_id, one.present) for one in since.touched if one.present is not None)
        then: dict[NodeId, JournalEntry] = dict(around.nodes)
        for one in since.touched:
            if one.before is None:
                then.pop(one.node_id, None)
            else:
                then[one.node_id] = one.before
            if one.node_id == top and (one.before is None or one.before.deleted):
                raise NotThereThen(what=named)
        root = NodeId(head.namespace)
        under_then = Beneath({top}, root, then)
        # What was carried into a folder after that had left the subtree leaves again as the folder comes back.
        then_rows = (one.before for one in since.touched if one.before is not None and not one.before.deleted)
        tops = {row.node_id for row in then_rows if under_then(row)}
        under_now = Beneath({top, *tops}, root, now)
        return await asyncio.to_thread(lambda: rewound(since.touched, top, under_then=under_then, under_now=under_now))

    def _acts(self, request: UndoRequest) -> Acts:
        if request.changeset is not None:
            if request.device is not None or request.since is not None or request.until is not None:
                raise InvalidRequest(message="Name a changeset, or a device and a time; not both")
            return Acts(changeset=request.changeset)
        if request.device is None or request.since is None:
            raise InvalidRequest(message="An undo takes a device and `since`, or a changeset")
        since_us = _time(request.since, "since")
        until_us = self._clock.now_us() if request.until is None else _time(request.until, "until")
        if until_us < since_us:
            raise InvalidRequest(message="`until` is before `since`")
        return Acts(device=request.device, since_us=since_us, until_us=until_us)

    # -- From what is wanted to a changeset --------------------------------------------------------------------------------------

    async def _travel(
        self, caller: Caller, head: Head, request: RewindRequest | UndoRequest, key: str, look: Look, *, dry_run: bool
    ) -> TravelAnswer:
        async def make() -> Attempt[TravelAnswer]:
            seen = await look()
            found, ground = await self._planned(head, seen.wanted)
            authors = await Authors.of(self._store, [spared.by for spared in found.spared if spared.by is not None])

            def answer(commit: CommitAnswer | None) -> TravelAnswer:
                return report(head.namespace, found, ground, authors, commit, dry_run=dry_run)

            if dry_run or not found.changes:
                return Attempt(None, answer)
            expected = Expected(sequence=seen.sequence, chain=seen.chain)
            return Attempt(CommitRequest(namespace=head.namespace, changes=found.changes, expected=expected), answer)

        if dry_run:
            return (await make()).answer(None)
        asked = type(request).__name__.encode() + msgspec.json.encode(request)
        return await once(self._metadata, caller, head.namespace, key, asked, make, TravelAnswer)

    async def _planned(self, head: Head, wanted: Wanted) -> tuple[Plan, Ground]:
        ground = Ground(root=NodeId(head.namespace), key=key_rule(head.name_key_version))
        ids = {goal.node_id for goal in wanted.goals} | {goal.parent_id for goal in wanted.goals}
        ids |= {spared.node_id for spared in wanted.spared}
        places = {(goal.parent_id, ground.key(goal.name)) for goal in wanted.goals if goal.alive}
        dying = [goal.node_id for goal in wanted.goals if not goal.alive and goal.kind is Kind.DIR]
        around = await self._store.surroundings(head.namespace, list(ids), list(places), dying)
        ground.nodes, ground.children, ground.asked = around.nodes, around.children, places
        ground.holders = {place: row.node_id for place, row in around.holders.items()}
        refs = [(goal.node_id, goal.revision) for goal in wanted.goals if goal.revision]
        ground.kept = {(row.node_id, row.revision): row for row in await self._store.revisions(head.namespace, refs)}
        for _ in range(NAMING_ROUNDS_MAX):
            found = await asyncio.to_thread(plan, wanted.goals, wanted.spared, ground)
            if not found.wants:
                break
            around = await self._store.surroundings(head.namespace, [], list(found.wants), [])
            ground.asked |= found.wants
            ground.holders |= {place: row.node_id for place, row in around.holders.items()}
        return found, ground


class Beneath:
    """Whether a node lies below one of `tops` in a tree given by its rows. Each folder is walked once."""

    def __init__(self, tops: set[NodeId], root: NodeId, rows: dict[NodeId, JournalEntry]) -> None:
        self._rows = rows
        self._known: dict[NodeId, bool] = {root: False} | dict.fromkeys(tops, True)

    def __call__(self, row: JournalEntry) -> bool:
        trail: dict[NodeId, None] = {}
        at = row.parent_id
        while at not in self._known and at not in trail:
            trail[at] = None
            above = self._rows.get(at)
            if above is None:
                break
            at = above.parent_id
        found = self._known.get(at, False)
        self._known.update(dict.fromkeys(trail, found))
        return found


def _undone(found: Stories, acts: Acts) -> Wanted:
    return undone(
        found.stories,
        lambda row: found.start < row.sequence <= found.end and (acts.device is None or row.device == acts.device),
    )


def _time(time: datetime, name: str) -> int:
    if time.tzinfo is None:
        raise InvalidRequest(message=f"`{name}` has no time zone")
    return to_us(time)
