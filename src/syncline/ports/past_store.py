"""Looking back and forgetting: the journal by time and by cause, the trash, old versions, and what removes them for good.

Contract: reads see committed state; `since` and `acts` read all they give in one state and say which head it had. What removes
something takes the namespace's row lock, looks again under it, and is one transaction of a bounded size. A store that cannot be
reached raises `Unavailable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct, field

from syncline.model.ids import ChangesetId, DeviceId, Digest, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.ports.metadata_store import Place


class Touched(Struct, frozen=True):
    """A node that the journal changed since a position: as it was there (None: it was not there yet), and as it is (None: its rows
    are gone from this namespace; `purged` says for good)."""

    node_id: NodeId
    before: JournalEntry | None
    present: JournalEntry | None
    purged: bool = False


class Since(Struct, frozen=True, kw_only=True):
    """Everything changed after `position`, read when the head stood at `sequence` and `chain`."""

    sequence: int
    chain: Digest
    position: int
    touched: list[Touched]


class Acts(Struct, frozen=True, kw_only=True):
    """Which rows to take back: one changeset's, or a device's within a time."""

    changeset: ChangesetId | None = None
    device: DeviceId | None = None
    since_us: int = 0
    until_us: int = 0


class Story(Struct, frozen=True):
    """One node's rows from the first of the acts on, what it was before (None: it was not there), and as it is."""

    node_id: NodeId
    before: JournalEntry | None
    rows: list[JournalEntry]
    present: JournalEntry | None
    purged: bool = False


class Stories(Struct, frozen=True, kw_only=True):
    """What was found when the head stood at `sequence` and `chain`. The acts lie above sequence `start`, up to `end`."""

    sequence: int
    chain: Digest
    start: int
    end: int
    stories: list[Story]


class Surroundings(Struct, kw_only=True):
    """`nodes` asked for and everything above them, deleted or not; who holds the places asked for; the live children of folders."""

    nodes: dict[NodeId, JournalEntry] = field(default_factory=dict)
    holders: dict[Place, JournalEntry] = field(default_factory=dict)
    children: dict[NodeId, list[JournalEntry]] = field(default_factory=dict)


class Person(Struct, frozen=True):
    name: str
    email: str


class Names(Struct, frozen=True):
    """Who and what ids stand for; those that are no more are left out."""

    people: dict[UserId, Person]
    devices: dict[DeviceId, str]


class VersionRow(Struct, frozen=True, gc=False):
    """A stored revision, as thinning sees it: whether it is its node's `present` one, and `settled`, its hash known."""

    namespace: NamespaceId
    node_id: NodeId
    revision: int
    time_us: int
    present: bool
    settled: bool


class Purged(Struct, frozen=True):
    """What was removed for good, and by how many bytes the namespace's use fell."""

    nodes: int = 0
    freed_bytes: int = 0


class Swept(Struct, frozen=True):
    """Where a sweep of possession goes on (None: it is through), and how many blocks it removed."""

    next: str | None
    removed: int


class PastStore(Protocol):
    async def since(self, namespace: NamespaceId, time_us: int, limit: int) -> Since | None:
        """What the journal changed after the last row written at `time_us` or before; at most `limit` nodes and one more. None
        where the kept journal does not reach back so far."""
        ...

    async def acts(self, namespace: NamespaceId, acts: Acts, limit: int) -> Stories | None:
        """The stories of all nodes that the acts changed; at most `limit` rows and one more. None where the kept journal does not
        reach back so far."""
        ...

    async def surroundings(
        self, namespace: NamespaceId, ids: Sequence[NodeId], places: Sequence[Place], folders: Sequence[NodeId]
    ) -> Surroundings: ...

    async def revisions(self, namespace: NamespaceId, refs: Sequence[tuple[NodeId, int]]) -> list[JournalEntry]:
        """Those of these revisions that are kept."""
        ...

    async def versions(self, namespace: NamespaceId, node: NodeId, below: int | None, limit: int) -> list[JournalEntry]:
        """A file's kept revisions, newest first, those below a number."""
        ...

    async def names(self, users: Sequence[UserId], devices: Sequence[DeviceId]) -> Names: ...

    async def owner(self, namespace: NamespaceId) -> UserId | None: ...

    # -- Trash ---------------------------------------------------------------------------------------------------------------

    async def trash(self, namespace: NamespaceId, below: tuple[int, int] | None, limit: int) -> list[JournalEntry]:
        """The top-most deleted nodes of each deletion, newest first: those whose folder was not deleted by the same changeset.
        `below` is the (time, sequence) of the last one seen."""
        ...

    async def deleted_with(self, namespace: NamespaceId, ids: Sequence[NodeId], limit: int) -> list[JournalEntry]:
        """The deleted ones of `ids` and what the same changeset deleted below them, at most `limit`."""
        ...

    async def purge(self, namespace: NamespaceId, nodes: Sequence[tuple[NodeId, int]], now_us: int) -> Purged:
        """Removes those of these (node, sequence) that are still deleted by that very row: node, revisions, blocks' names and
        base; a tombstone stays, and blocks that nothing names any more are condemned."""
        ...

    async def purged(self, namespace: NamespaceId, ids: Sequence[NodeId]) -> set[NodeId]:
        """Those of these that were purged once."""
        ...

    async def due(self, before_us: int, limit: int) -> list[tuple[NamespaceId, NodeId, int]]:
        """Nodes (namespace, id, sequence) deleted before then, of any namespace, what lay inside before what it lay in."""
        ...

    # -- Versions and possession -----------------------------------------------------------------------------------------------

    async def version_rows(self, after: tuple[str, str], limit: int) -> list[VersionRow]:
        """Revisions in order of (namespace, node, revision), across namespaces: those of nodes after a (namespace, node), about
        `limit` of them, never only a part of a node's."""
        ...

    async def drop(self, namespace: NamespaceId, refs: Sequence[tuple[NodeId, int]], now_us: int) -> Purged:
        """Removes those of these revisions that are not their node's present one."""
        ...

    async def sweep(self, after: str, limit: int, *, abandoned_us: int, removed_us: int, now_us: int) -> Swept:
        """Looks at about `limit` blocks' possession after a place, of any namespace: what no revision has named since
        `abandoned_us` is condemned, what was condemned before `removed_us` goes."""
        ...

    async def remembered(self, key: str) -> str:
        """What a bounded job wrote down to go on from; empty at first."""
        ...

    async def remember(self, key: str, value: str) -> None: ...
