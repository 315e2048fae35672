"""Who did what: changesets, read from the journal backwards.

A changeset's rows lie together, so a page of rows is a few whole changesets and perhaps the end of a large one, whose beginning and
counts are asked for by themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, select

from syncline.adapters.sql.rows import entry_of, fetch, placed
from syncline.adapters.sql.schema import journal
from syncline.adapters.sql.trees import NAMESPACE
from syncline.model.ids import DeviceId, NamespaceId, UserId
from syncline.model.journal import JournalEntry
from syncline.ports.view_store import Deed, Deeds

ROWS_AT_ONCE: Final = 512
LOOKED_AT_ONCE: Final = 20_000
EXAMPLES_MAX: Final = 20
"""Rows of a changeset that come with it: enough to find a few that one may speak of."""

_HERE: Final = journal.c.namespace_id == NAMESPACE
_BACKWARDS: Final = (
    select(*placed(journal))
    .where(_HERE, journal.c.sequence < bindparam("before"), journal.c.sequence >= bindparam("floor"))
    .order_by(journal.c.sequence.desc())
    .limit(bindparam("limit"))
)
_BY_ACTOR: Final = _BACKWARDS.where(journal.c.actor == bindparam("actor"))
_BY_DEVICE: Final = _BACKWARDS.where(journal.c.device == bindparam("device"))
_BY_BOTH: Final = _BY_ACTOR.where(journal.c.device == bindparam("device"))
_BEFORE_IT: Final = (
    select(journal.c.sequence)
    .where(_HERE, journal.c.sequence < bindparam("before"), journal.c.changeset != bindparam("changeset"))
    .order_by(journal.c.sequence.desc())
    .limit(1)
)
_RANGE: Final = (_HERE, journal.c.sequence >= bindparam("first"), journal.c.sequence <= bindparam("last"))
_FIRST_KEPT: Final = select(func.min(journal.c.sequence)).where(_HERE)
_COUNTS: Final = (
    select(journal.c.op, journal.c.kind, journal.c.deleted, journal.c.mount, func.count())
    .where(*_RANGE)
    .group_by(journal.c.op, journal.c.kind, journal.c.deleted, journal.c.mount)
)
_FIRST_ROWS: Final = select(*placed(journal)).where(*_RANGE).order_by(journal.c.sequence).limit(bindparam("limit"))


def deeds(
    connection: Connection, namespace: NamespaceId, before: int, limit: int, actor: UserId | None, device: DeviceId | None
) -> Deeds:
    floor = max(1, before - LOOKED_AT_ONCE)
    given: dict[str, Any] = {"namespace": namespace, "before": before, "floor": floor, "limit": ROWS_AT_ONCE}
    given |= {} if actor is None else {"actor": actor}
    given |= {} if device is None else {"device": device}
    by = {(False, False): _BACKWARDS, (True, False): _BY_ACTOR, (False, True): _BY_DEVICE, (True, True): _BY_BOTH}
    rows = list(map(entry_of, fetch(connection, by[actor is not None, device is not None], **given)))
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row.changeset)]
    cut = bool(groups) and (len(rows) == ROWS_AT_ONCE or groups[-1][-1].sequence == floor > 1)
    if cut and len(groups) > 1:
        groups.pop()
        cut = False
        seen = groups[-1][-1].sequence
    else:
        seen = floor
    found = [_small(group) for group in groups[:limit]]
    if cut:
        found = [_large(connection, namespace, groups[0])]
        seen = found[0].first
    elif len(groups) > limit:
        seen = found[-1].first
    return Deeds(found, seen)


def _small(group: Sequence[JournalEntry]) -> Deed:
    """A changeset whose rows are all there, the last one first."""
    rows = group[::-1]
    return _deed(
        rows, rows[0].sequence, rows[-1].sequence, Counter((row.op, row.kind.value, row.deleted, row.mount) for row in rows)
    )


def _large(connection: Connection, namespace: NamespaceId, group: Sequence[JournalEntry]) -> Deed:
    last, changeset = group[0].sequence, group[0].changeset
    before = fetch(connection, _BEFORE_IT, namespace=namespace, before=last, changeset=changeset)
    first = before[0][0] + 1 if before else fetch(connection, _FIRST_KEPT, namespace=namespace)[0][0]
    given = {"namespace": namespace, "first": first, "last": last}
    counts = Counter({(row[0], row[1], row[2] == 1, row[3] == 1): row[4] for row in fetch(connection, _COUNTS, **given)})
    rows = list(map(entry_of, fetch(connection, _FIRST_ROWS, **given, limit=EXAMPLES_MAX)))
    return _deed(rows, first, last, counts)


def _deed(rows: Sequence[JournalEntry], first: int, last: int, counts: Counter[tuple[str, str, bool, bool]]) -> Deed:
    return Deed(
        changeset=rows[0].changeset,
        first=first,
        last=last,
        time_us=rows[0].time_us,
        actor=rows[0].actor,
        device=rows[0].device,
        counts=dict(counts),
        examples=list(rows[:EXAMPLES_MAX]),
    )
