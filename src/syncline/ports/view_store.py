"""What looking about a namespace asks of its store: past states, names, sizes, and who did what.

Contract: reads of committed state only. Every call is scoped by namespaces that the caller of the rules above may see, which those
have asked for; nothing here decides access. Every list has a bound that the call names, and work that finds little is bounded too:
where an answer says how far it looked, ask again from there. A store that cannot be reached raises `Unavailable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct, field

from syncline.model.entries import Kind
from syncline.model.ids import ChangesetId, DeviceId, Digest, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry

AsOf = tuple[NodeId, int]
"""A node, and the sequence as of which it is asked for."""


class Position(Struct, frozen=True):
    """After a journal row: its sequence, and the chain there. Zero and the empty chain before the first."""

    sequence: int
    chain: Digest


class Folded(Struct, frozen=True):
    """The last rows of nodes within a window, by sequence. Rows up to `seen` were looked at: there is no more up to there."""

    entries: list[JournalEntry]
    seen: int


class Wanted(Struct, frozen=True, kw_only=True):
    """A search: every one of `words` occurs in the folded name; every one of `globs` matches it whole (`*` stands for anything).
    `whole` is all that was asked for, for ranking. Where `below` is given, only what lies below that folder."""

    whole: str
    words: Sequence[str] = ()
    globs: Sequence[str] = ()
    kind: Kind | None = None
    below: NodeId | None = None


class Hit(Struct, frozen=True):
    """A node whose name matches, and how well: 0 the whole name, 1 its beginning, 2 whole words, 3 somewhere."""

    rank: int
    entry: JournalEntry


class FolderSize(Struct, kw_only=True):
    """What lies in a folder itself and in folders below it that have no row of their own: those deeper than asked for."""

    folder: NodeId
    parent: NodeId
    name: str
    level: int
    size: int = 0
    files: int = 0
    folders: int = 0


class Shares(Struct, frozen=True):
    """The plain bytes a namespace holds, told apart by what needs them: the present files, else older versions of them, else
    deleted files; `pending` ones no revision names (they arrive before their file, or wait to be collected)."""

    live_bytes: int
    version_bytes: int
    trash_bytes: int
    pending_bytes: int


class Deed(Struct, frozen=True, kw_only=True):
    """A changeset: its rows are `first`..`last`. `counts` are its rows by (op, kind, deleted, mount); `examples` its first rows."""

    changeset: ChangesetId
    first: int
    last: int
    time_us: int
    actor: UserId | None
    device: DeviceId | None
    counts: dict[tuple[str, str, bool, bool], int] = field(default_factory=dict)
    examples: list[JournalEntry] = field(default_factory=list)


class Deeds(Struct, frozen=True):
    """Changesets, the latest first. Rows down to `seen` were looked at (1: all there are)."""

    deeds: list[Deed]
    seen: int


class ViewStore(Protocol):
    # -- The past ----------------------------------------------------------------------------------------------------------

    async def position_at(self, namespace: NamespaceId, time_us: int) -> Position | None:
        """After the last row that is no later than `time_us`, by the server's clock as it stood. None where the rows that would say
        are no longer kept."""
        ...

    async def folded(self, namespace: NamespaceId, after: int, upto: int, limit: int) -> Folded:
        """Of each node with rows above `after` and up to `upto`, the last one: the next `limit` of them."""
        ...

    async def lineages(self, namespace: NamespaceId, wanted: Sequence[AsOf]) -> dict[AsOf, list[JournalEntry]]:
        """Each node as it stood then, and the folders above it as they stood then, upwards. What did not exist then, or is not
        kept, is left out."""
        ...

    async def node_rows(self, namespace: NamespaceId, node: NodeId, after: int, limit: int) -> list[JournalEntry]:
        """The journal rows of one node above `after`, in order."""
        ...

    async def unchanged_below(
        self, namespace: NamespaceId, folder: NodeId, since: int, after: NodeId | None, limit: int
    ) -> list[JournalEntry]:
        """The live nodes below a folder whose last row is not above `since`, by id, those above `after`."""
        ...

    async def homes(self, user: UserId, node: NodeId) -> list[NamespaceId]:
        """The namespaces of this user's that have this node, deleted or not."""
        ...

    # -- Names -------------------------------------------------------------------------------------------------------------

    async def search(self, namespace: NamespaceId, wanted: Wanted, after: tuple[int, int, NodeId] | None, limit: int) -> list[Hit]:
        """Live nodes by (rank, newest first, id), those beyond `after` (rank, time, id)."""
        ...

    async def people(self, users: Sequence[UserId], devices: Sequence[DeviceId]) -> tuple[dict[UserId, str], dict[DeviceId, str]]:
        """Names of people and devices, of those that still exist."""
        ...

    # -- Sizes -------------------------------------------------------------------------------------------------------------

    async def sizes(self, namespace: NamespaceId, folder: NodeId, depth: int) -> list[FolderSize]:
        """The folder itself (level 0) and the live folders down to `depth` levels below it."""
        ...

    async def shares(self, namespace: NamespaceId) -> Shares: ...

    # -- Deeds -------------------------------------------------------------------------------------------------------------

    async def deeds(
        self, namespace: NamespaceId, before: int, limit: int, *, actor: UserId | None, device: DeviceId | None
    ) -> Deeds:
        """Changesets whose last row is below `before`, by this actor and device where they are given; at most `limit`."""
        ...

    async def rows(self, namespace: NamespaceId, after: int, upto: int, limit: int) -> list[JournalEntry]:
        """Journal rows above `after` and up to `upto`, in order."""
        ...
