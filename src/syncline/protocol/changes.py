"""The journal as devices read it, snapshots, and the long poll (`protocol.md` §4, §8)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.ids import ChangesetId, DeviceId, Digest, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_time(time_us: int) -> datetime:
    """RFC 3339 on the wire, microseconds since 1970 inside; times outside years 1–9999 are clamped."""
    try:
        return _EPOCH + timedelta(microseconds=time_us)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if time_us > 0 else datetime.min.replace(tzinfo=UTC)


def to_text(time_us: int) -> str:
    """RFC 3339 to the second, for people and their scripts."""
    return to_time(time_us).isoformat(timespec="seconds").replace("+00:00", "Z")


def to_us(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


RAW: Final = "raw"
SETTLED: Final = "settled"
"""The op of a row that tells what a raw revision holds."""
REJECTED: Final = "rejected"
"""The op of a row that takes a raw revision back."""


class Entry(Struct, kw_only=True, omit_defaults=True, gc=False):
    """A journal row on the wire: the whole placed state of a node after a change. `content` is `raw` for a file that was uploaded
    plainly and whose hash is not known yet: a row `settled` (or `rejected`) for it follows."""

    sequence: int
    changeset: ChangesetId
    op: str
    node_id: NodeId
    parent_id: NodeId
    name: str
    kind: Kind
    mtime: datetime
    time: datetime
    revision: int = 0
    content_hash: Digest | None = None
    size: int = 0
    executable: bool = False
    deleted: bool = False
    mount: bool = False
    actor: UserId | None = None
    device: DeviceId | None = None
    content: str | None = None

    @classmethod
    def of(cls, row: JournalEntry) -> Entry:
        return cls(
            sequence=row.sequence,
            changeset=row.changeset,
            op=row.op,
            node_id=row.node_id,
            parent_id=row.parent_id,
            name=row.name,
            kind=row.kind,
            mtime=to_time(row.mtime_us),
            time=to_time(row.time_us),
            revision=row.revision,
            content_hash=row.content_hash,
            size=row.size,
            executable=row.executable,
            deleted=row.deleted,
            mount=row.mount,
            actor=row.actor,
            device=row.device,
            content=RAW if row.content_hash is None and row.kind is Kind.FILE and row.op != REJECTED else None,
        )

    def row(self) -> JournalEntry:
        return JournalEntry(
            sequence=self.sequence,
            changeset=self.changeset,
            op=self.op,
            node_id=self.node_id,
            parent_id=self.parent_id,
            name=self.name,
            kind=self.kind,
            revision=self.revision,
            content_hash=self.content_hash,
            size=self.size,
            executable=self.executable,
            mtime_us=to_us(self.mtime),
            deleted=self.deleted,
            mount=self.mount,
            actor=self.actor,
            device=self.device,
            time_us=to_us(self.time),
        )


class ChangesPage(Struct, kw_only=True):
    """`GET /v1/changes?namespace=&cursor=&limit=`: whole changesets, parents before children.

    `sequence`, `chain` and `root` are those of the last entry (of the cursor where there is none); `cursor` stands there too.
    Where `limit` would split a changeset the page is longer.
    """

    namespace: NamespaceId
    epoch: str
    entries: list[Entry]
    cursor: str
    has_more: bool
    sequence: int
    chain: Digest
    root: str
    head_sequence: int


class SnapshotPage(Struct, kw_only=True):
    """`GET /v1/snapshot?namespace=&page=`: the live nodes, in any order, and the cursor to go on from.

    `cursor` and `sequence` are the head's at the first page. Nodes that change while the pages are read show up in the changes
    after `cursor`, so: collect every page, apply the changes after `cursor`, then diff. `next` None ends it.
    """

    namespace: NamespaceId
    epoch: str
    entries: list[Entry]
    next: str | None
    cursor: str
    sequence: int
    chain: Digest


class LatestAnswer(Struct, kw_only=True):
    """`GET /v1/changes/latest?namespace=`: the head, and the cursor that stands there ("from now")."""

    namespace: NamespaceId
    epoch: str
    cursor: str
    sequence: int
    chain: Digest
    root: str


class PollRequest(Struct, kw_only=True):
    """`POST /v1/notifications/poll`: answers at once when a namespace has moved past its cursor, else when one does."""

    cursors: list[str]
    timeout: int = 60


class PollAnswer(Struct, kw_only=True, omit_defaults=True):
    """Hints only: head sequences of namespaces that moved; `sync` at the timeout says "look anyway". `delay`: look after so many
    seconds, since very many were told at once."""

    changed: bool
    namespaces: dict[NamespaceId, int] = {}
    sync: bool = False
    delay: float | None = None
