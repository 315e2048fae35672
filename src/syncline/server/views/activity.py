"""Who did what, when and where: changesets of all the caller's namespaces, each in one line, the latest first.

It is read from the journal, so it says what happened and nothing else. Namespaces are read backwards side by side and merged by
time; what a page did not look at is left to the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from syncline.model.errors import NotFound
from syncline.model.ids import DeviceId, NamespaceId, UserId
from syncline.model.journal import JournalEntry
from syncline.model.limits import BATCH_MAX
from syncline.ports.view_store import Deed, ViewStore
from syncline.protocol import views
from syncline.protocol.changes import to_time
from syncline.protocol.views import ActivityPage, Example
from syncline.server.caller import Caller
from syncline.server.views.places import Heads, Places, Scope, path_of, time_of
from syncline.server.views.tokens import TokenCodec

PAGE_MAX: Final = 200
EXAMPLES_SHOWN: Final = 3
ROUNDS_MAX: Final = 20
_WORDS: Final = {
    "create": "created",
    "edit": "edited",
    "move": "moved",
    "delete": "deleted",
    "undelete": "restored",
    "mount": "joined",
    "unmount": "left",
    "settled": "settled",
    "rejected": "rejected",
}


class ActivityToken(Struct, kw_only=True):
    """For each namespace, the sequence below which there is more."""

    below: dict[NamespaceId, int]


class _Reading(Struct, kw_only=True):
    """One namespace, read backwards: deeds found and not told yet, and below which row more may follow."""

    namespace: NamespaceId
    prefix: str
    below: int
    waiting: list[Deed]


class ActivityView:
    def __init__(self, places: Places, views: ViewStore, tokens: TokenCodec) -> None:
        self._places = places
        self._views = views
        self._tokens = tokens

    async def activity(
        self,
        caller: Caller,
        *,
        path: str,
        actor: UserId | None,
        device: DeviceId | None,
        before: str | None,
        limit: int,
    ) -> ActivityPage:
        """Raises `NotFound`, `InvalidRequest`, `CorruptCursor`."""
        limit = min(limit, PAGE_MAX)
        heads = await self._places.heads(caller)
        mounts = await self._places.mounts(caller, heads)
        scope = await self._places.find(caller, path)
        if scope.namespace not in mounts:
            raise NotFound(what=path)
        inner = scope.path.rstrip("/") + "/"
        reached = {one: place for one, place in mounts.items() if one == scope.namespace or place.startswith(inner)}
        readings = await self._begin(caller, heads, reached, before)
        told: list[tuple[_Reading, Deed, list[Example]]] = []
        rounds = 0
        while len(told) < limit and (reading := await self._latest(readings, actor, device)) is not None:
            deed = reading.waiting.pop(0)
            examples = await self._examples(reading, deed, scope)
            if examples:
                told.append((reading, deed, examples))
            reading.below = deed.first
            rounds += 1
            if rounds >= ROUNDS_MAX * limit:
                break
        more = any(reading.below > 1 or reading.waiting for reading in readings)
        token = ActivityToken(below={reading.namespace: reading.below for reading in readings})
        return ActivityPage(
            entries=await self._said(told),
            next=self._tokens.encode(caller.user_id, token) if more else None,
        )

    async def _begin(self, caller: Caller, heads: Heads, reached: dict[NamespaceId, str], before: str | None) -> list[_Reading]:
        below = {one: heads[one].sequence + 1 for one in reached}
        if before is not None and (time_us := time_of(before)) is not None:
            for one in reached:
                position = await self._views.position_at(one, time_us - 1)
                below[one] = min(below[one], 1 if position is None else position.sequence + 1)
        elif before is not None:
            token = self._tokens.decode(caller.user_id, before, ActivityToken)
            below = {one: min(below[one], token.below.get(one, 1)) for one in reached}
        return [_Reading(namespace=one, prefix=prefix, below=below[one], waiting=[]) for one, prefix in reached.items()]

    async def _latest(self, readings: Sequence[_Reading], actor: UserId | None, device: DeviceId | None) -> _Reading | None:
        """The reading whose next deed is the latest of all."""
        for reading in readings:
            for _ in range(ROUNDS_MAX):
                if reading.waiting or reading.below <= 1:
                    break
                found = await self._views.deeds(reading.namespace, reading.below, PAGE_MAX, actor=actor, device=device)
                reading.waiting = list(found.deeds)
                if not found.deeds:
                    reading.below = found.seen
            if not reading.waiting and reading.below > 1:
                return None  # What lies further back there may be later than all the others have.
        ready = [reading for reading in readings if reading.waiting]
        return max(ready, key=lambda one: (one.waiting[0].time_us, one.namespace)) if ready else None

    async def _examples(self, reading: _Reading, deed: Deed, scope: Scope) -> list[Example]:
        """A few of the things a deed touched below the scope; none where it touched nothing there."""
        within = None if reading.namespace != scope.namespace or scope.is_top else scope
        found: list[Example] = []
        rows, after = deed.examples, deed.first + len(deed.examples) - 1
        while True:
            found += await self._among(reading, deed, within, rows, EXAMPLES_SHOWN - len(found))
            if found or within is None or after >= deed.last:
                return found
            rows = await self._views.rows(reading.namespace, after, deed.last, BATCH_MAX)
            after = rows[-1].sequence if rows else deed.last

    async def _among(
        self, reading: _Reading, deed: Deed, within: Scope | None, rows: Sequence[JournalEntry], most: int
    ) -> list[Example]:
        wanted = [(row.node_id, as_of) for row in rows for as_of in (deed.first - 1, deed.last)]
        lineages = await self._views.lineages(reading.namespace, wanted)
        found: list[Example] = []
        for row in rows:
            before = lineages.get((row.node_id, deed.first - 1), [])
            after = lineages.get((row.node_id, deed.last), [row])
            if within is None or within.holds(after) or within.holds(before):
                found.append(_example(row, before, after, reading.prefix))
            if len(found) == most:
                break
        return found

    async def _said(self, told: Sequence[tuple[_Reading, Deed, list[Example]]]) -> list[views.Activity]:
        actors = list({deed.actor for _, deed, _ in told if deed.actor is not None})
        devices = list({deed.device for _, deed, _ in told if deed.device is not None})
        people, machines = await self._views.people(actors, devices)
        said: list[views.Activity] = []
        for reading, deed, examples in told:
            counts = _counts(deed, examples)
            said.append(
                views.Activity(
                    time=to_time(deed.time_us),
                    namespace=reading.namespace,
                    changeset=deed.changeset,
                    what=next(iter(counts)) if len(counts) == 1 else "changed",
                    count=deed.last - deed.first + 1,
                    counts=counts,
                    examples=examples,
                    actor=deed.actor,
                    actor_name=None if deed.actor is None else people.get(deed.actor),
                    device=deed.device,
                    device_name=None if deed.device is None else machines.get(deed.device),
                )
            )
        return said


def _counts(deed: Deed, examples: Sequence[Example]) -> dict[str, int]:
    """How many things a deed did what to. What a mount was, a folder before or nothing, its example says."""
    counts: Counter[str] = Counter()
    shared = sum(example.what == "shared" for example in examples)
    for (op, _, deleted, _), count in deed.counts.items():
        counts["left" if op == "unmount" else "deleted" if deleted else _WORDS.get(op, op)] += count
    if shared:
        counts["joined"] -= shared
        counts["shared"] += shared
    return {what: count for what, count in counts.most_common() if count > 0}


def _example(row: JournalEntry, before: Sequence[JournalEntry], after: Sequence[JournalEntry], prefix: str) -> Example:
    what = _WORDS.get(row.op, row.op)
    was = bool(before) and not before[0].deleted
    if row.op == "mount" and was and not before[0].mount:
        what = "shared"
    path, old = path_of(after, prefix), path_of(before, prefix) if was else None
    moved = old is not None and old != path and (row.parent_id, row.name) != (before[0].parent_id, before[0].name)
    if what == "edited" and moved and row.revision == before[0].revision:
        what = "moved"
    return Example(what=what, path=path, kind=row.kind, node_id=row.node_id, old_path=old if moved else None)
