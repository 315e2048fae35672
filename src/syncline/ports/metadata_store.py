"""Where namespaces, their trees and their journals are stored.

Contract: a commit transaction holds its namespace's row lock from enter to exit; leaving it by an exception leaves nothing, leaving
it normally after `write` is durable. What a transaction reads is what stands at its end but for what it writes itself. Reads
outside a transaction see committed state only. Every call is scoped by one namespace or one user. A store that cannot be reached
raises `Unavailable`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from msgspec import Struct, field

from syncline.model.blocks import Block, Manifest
from syncline.model.entries import Access
from syncline.model.ids import DeviceId, Digest, NamespaceId, NodeId, UploadId, UserId
from syncline.model.journal import JournalEntry
from syncline.protocol.blocks import RevisionRef

T = TypeVar("T")

Place = tuple[NodeId, str]
"""A folder and a name key: at most one live node has it."""


class Head(Struct, frozen=True, kw_only=True):
    """A namespace as one member sees it, and where its journal stands.

    Journal rows up to `pruned_sequence` are no longer kept. `root` is the Merkle root as text (`model.journal.root_text`).
    """

    namespace: NamespaceId
    name: str
    owner: UserId
    access: Access
    is_root: bool
    epoch: str
    sequence: int
    chain: Digest
    root: str
    pruned_sequence: int = 0
    name_key_version: int = 1
    only: frozenset[NodeId] | None = None
    """For someone who is no member: the files that were granted to them to write. A member sees everything (None)."""


class ChainedRow(Struct, frozen=True, gc=False):
    """A journal row with the chain and the Merkle root as they stand after it."""

    entry: JournalEntry
    chain: Digest
    root: str


class StoredAnswer(Struct, frozen=True, kw_only=True):
    """What a committed request answered. `body_hash` is the SHA-256 of the request."""

    body_hash: bytes
    answer: bytes


class HeldBlock(Struct, frozen=True, gc=False):
    """A block the namespace possesses. `condemned` ones wait for removal, do not count as used, and revive when they are named
    again."""

    size: int
    condemned: bool = False


class Usage(Struct, frozen=True):
    """What an owner's namespaces hold and have reserved, against the quota (None: no limit)."""

    used_bytes: int
    quota_bytes: int | None


class NewRevision(Struct, frozen=True, kw_only=True):
    """A revision born in a commit: `entry` is the journal row that made it. `blocks` None takes the blocks and the cut of
    `based_on`, an earlier revision of the same node (its attributes changed, its bytes did not)."""

    entry: JournalEntry
    cut: str = ""
    blocks: tuple[Block, ...] | None = None
    based_on: int = 0


class RawObject(Struct, frozen=True, kw_only=True):
    """A whole object that was uploaded plainly and becomes a revision's content before anybody has cut it. `sha256` is what its
    sender declared, if anything."""

    upload: UploadId
    object_key: str
    size: int
    sha256: Digest | None


class RawRevision(Struct, frozen=True):
    """A revision born with such a content."""

    node: NodeId
    revision: int
    object: RawObject


class CutRevision(Struct, frozen=True):
    """A raw revision whose bytes lie in packs by now."""

    node: NodeId
    revision: int
    manifest: Manifest


class NodeText(Struct, frozen=True, kw_only=True):
    """What describes a node without being part of its revision; None leaves what is stored."""

    node_id: NodeId
    mime_type: str | None
    description: str | None


class Written(Struct, kw_only=True):
    """Everything one commit writes.

    `keys` stands beside `rows`: the name key of a live node, None for a deleted one. `fresh` are nodes without a stored row.
    `vacated` lose their name key before any row gets its own, so that names may swap. `acquired` blocks come from namespaces the
    writer may read; `revived` ones are no longer condemned, nor are those of a revision that another is based on. What is revived
    counts as used again.
    """

    rows: list[ChainedRow] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    fresh: set[NodeId] = field(default_factory=set)
    vacated: list[NodeId] = field(default_factory=list)
    texts: list[NodeText] = field(default_factory=list)
    revisions: list[NewRevision] = field(default_factory=list)
    raws: list[RawRevision] = field(default_factory=list)
    """Born in this commit; each ends its upload, which must still be open."""
    cut: list[CutRevision] = field(default_factory=list)
    rejected: list[tuple[NodeId, int]] = field(default_factory=list)
    """Raw revisions that are removed, since their bytes are not those announced, or nobody can name them any more."""
    acquired: list[Block] = field(default_factory=list)
    revived: list[Block] = field(default_factory=list)
    device: DeviceId
    key: str
    stored: StoredAnswer
    time_us: int


class CommitTransaction(Protocol):
    @property
    def head(self) -> Head:
        """As locked."""
        ...

    async def stored_answer(self, device: DeviceId, key: str) -> StoredAnswer | None: ...

    async def chain_at(self, sequence: int) -> Digest | None:
        """The chain after a journal row; None where there is none that the user may see."""
        ...

    async def nodes(self, ids: Sequence[NodeId]) -> list[JournalEntry]:
        """Those that exist, deleted ones too: each as its last journal row left it."""
        ...

    async def ancestors(self, ids: Sequence[NodeId]) -> list[JournalEntry]:
        """Every node above any of `ids`, once, without the namespace's root."""
        ...

    async def holders(self, places: Sequence[Place]) -> list[JournalEntry]:
        """The live nodes at these places."""
        ...

    async def below(self, ids: Sequence[NodeId], limit: int) -> list[JournalEntry]:
        """The live ones of `ids` and every live node below them, once; at most `limit`."""
        ...

    async def deleted_with(self, ids: Sequence[NodeId], limit: int) -> list[JournalEntry]:
        """The deleted ones of `ids`, and every node below them that the same changeset deleted; at most `limit`."""
        ...

    async def child_counts(self, ids: Sequence[NodeId]) -> dict[NodeId, int]:
        """How many live children these folders have; those without any may be left out."""
        ...

    async def heights(self, ids: Sequence[NodeId]) -> dict[NodeId, int]:
        """How many levels of live folders lie below each of these; those without any may be left out."""
        ...

    async def held(self, hashes: Sequence[Digest]) -> dict[Digest, HeldBlock]: ...

    async def readable_elsewhere(self, user: UserId, hashes: Sequence[Digest]) -> dict[Digest, int]:
        """Plain sizes of the blocks that a retained revision of another of the user's namespaces names, where a verified copy
        exists: those may be copied in."""
        ...

    async def raw_waits(self, node: NodeId, revision: int) -> bool:
        """Whether this is a raw revision that was neither cut nor rejected."""
        ...

    async def earlier(self, node: NodeId, revision: int) -> JournalEntry | None:
        """The newest revision of the file before this one."""

    async def joined(self, user: UserId, namespaces: Sequence[NamespaceId]) -> list[NamespaceId]:
        """Those of these namespaces that the user is a member of."""

    async def elsewhere(self, user: UserId, ids: Sequence[NodeId]) -> dict[NodeId, NamespaceId]:
        """Where else among the user's namespaces these nodes are; those that are nowhere are left out."""
        ...

    async def usage(self) -> Usage:
        """Of the namespace's owner."""
        ...

    async def revisions(self, refs: Sequence[tuple[NodeId, int]]) -> list[JournalEntry]:
        """Those of these revisions that are kept: the rows that made them."""
        ...

    async def tombstones(self, ids: Sequence[NodeId]) -> dict[NodeId, int]:
        """The last revision of those that were purged and are no nodes now."""
        ...

    async def write(self, written: Written) -> None: ...


class JournalPage(Struct, frozen=True):
    """Rows in sequence, whole changesets; `chain` and `root` are those after the last one (None where there is none)."""

    entries: list[JournalEntry]
    chain: Digest | None
    root: str | None
    has_more: bool


class RevisionBlocks(Struct, frozen=True, kw_only=True):
    """A revision's manifest: all its blocks in order. `blocks` None means that there is no such revision (or none to be seen), or
    that it is `raw`: its blocks are not known yet."""

    node_id: NodeId
    revision: int
    content_hash: Digest = Digest("")
    size: int = 0
    cut: str = ""
    blocks: list[tuple[Digest, int]] | None = None
    raw: bool = False


class Pruned(Struct, frozen=True):
    """What a pruning removed; `more` says that another call would remove more."""

    journal_rows: int
    answers: int
    more: bool


class MetadataStore(Protocol):
    async def server_id(self) -> str: ...

    def commit(self, namespace: NamespaceId, user: UserId) -> AbstractAsyncContextManager[CommitTransaction]:
        """Raises `NotFound` unless the user is a member or was granted a file in it, `TooBusy` when too many commits wait already.
        For someone with grants alone (`Head.only`), `held` are the blocks of the granted files, and those that they sent
        themselves."""
        ...

    async def decided(self, namespace: NamespaceId, user: UserId, decide: Callable[[CommitTransaction], Awaitable[T]]) -> T:
        """What `decide` gives within one `commit`. It awaits nothing but the transaction's answers, so all of it can happen where
        the connection is, instead of a hop for every question; and it may be asked again from the beginning, where the database
        gave the transaction up for another's sake."""
        ...

    async def heads(self, user: UserId) -> list[Head]:
        """Every namespace the user is a member of, the user's own root first."""
        ...

    async def head(self, user: UserId, namespace: NamespaceId) -> Head | None:
        """None unless the user is a member."""
        ...

    async def chains(self, user: UserId, positions: Sequence[tuple[NamespaceId, int]]) -> dict[tuple[NamespaceId, int], Digest]:
        """The chain after each of these journal rows, where it exists and the user is a member."""
        ...

    async def version_of(self, namespace: NamespaceId) -> str | None:
        """What `journal`, `live` and `children` gave under one version they give as long as it stands: the chain after the newest
        row, and how far rows were pruned. None for an unknown namespace. Read from the very copy of the database that those are
        read from, should there be several."""
        ...

    async def journal(self, namespace: NamespaceId, after: int, limit: int) -> JournalPage:
        """Rows with a sequence above `after`: `limit` of them, and as many more as complete the last changeset."""
        ...

    async def live(self, namespace: NamespaceId, after: NodeId | None, limit: int) -> list[JournalEntry]:
        """Live nodes by id, those above `after`."""
        ...

    async def nodes(self, namespace: NamespaceId, ids: Sequence[NodeId]) -> list[JournalEntry]: ...

    async def ancestors(self, namespace: NamespaceId, node: NodeId) -> list[JournalEntry]: ...

    async def child(self, namespace: NamespaceId, place: Place) -> JournalEntry | None: ...

    async def children(
        self, namespace: NamespaceId, folder: NodeId, after_key: str | None, limit: int
    ) -> list[tuple[str, JournalEntry]]:
        """Live children with their name keys, by name key, those above `after_key`."""
        ...

    async def versions(self, namespace: NamespaceId, node: NodeId, limit: int) -> list[JournalEntry]:
        """The rows that made a revision of a file, newest first, also where the journal no longer keeps them."""
        ...

    async def revision_blocks(self, namespace: NamespaceId, refs: Sequence[RevisionRef]) -> list[RevisionBlocks]:
        """In request order."""
        ...

    async def revisions(self, namespace: NamespaceId, refs: Sequence[RevisionRef]) -> list[RevisionBlocks]:
        """The same without the blocks: `blocks` is empty where there are some to be had."""
        ...

    async def usage(self, user: UserId) -> Usage:
        """Raises `NotFound` for an unknown user."""
        ...

    async def unpublished(self, limit: int) -> list[tuple[NamespaceId, int]]:
        """Namespaces whose head has moved past what was published, and their heads: the outbox."""
        ...

    async def mark_published(self, heads: Sequence[tuple[NamespaceId, int]]) -> None:
        """Never takes a mark back. A namespace with a commit under way may stay unmarked, and so be found unpublished again."""
        ...

    async def prune(self, *, journal_before_us: int, answers_before_us: int, limit: int) -> Pruned:
        """Removes journal rows and stored answers older than given, at most `limit` of each; a namespace's newest changeset
        always stays, so that its chain can be checked."""
        ...
