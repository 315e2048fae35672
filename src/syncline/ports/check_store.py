"""What a server's database says, read for checking: whole tables in bounded pages, each row beside those it must agree with.

Contract: nothing is written. Pages are ordered by their key and start after a given one ("" and 0 come before every key), so a
check holds a page at a time however many rows there are. Between entering and leaving `steady` every answer is of one state,
whatever others commit meanwhile; outside of it each answer is of the state at its own instant. Hold it for one namespace at a time:
what is held back from the database's housekeeping grows with it. Raises `Unavailable`, `Corrupt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from syncline.model.blocks import Codec
from syncline.model.ids import Digest, NamespaceId, NodeId, PackId
from syncline.model.journal import JournalEntry
from syncline.ports.pack_store import PackRow


class CheckedNamespace(Struct, frozen=True, kw_only=True):
    """A namespace's row. `owner` is how people know its owner (an e-mail address)."""

    id: NamespaceId
    owner: str
    name: str
    sequence: int
    pruned_sequence: int
    chain: Digest
    root: str
    name_key_version: int
    used_bytes: int


class CheckedFolder(Struct, frozen=True, gc=False):
    id: NodeId
    parent: NodeId
    name: str
    deleted: bool


class CheckedRow(Struct, frozen=True, gc=False):
    """A journal row, and the sequence that its node's own row names (None where there is no such node). `left` says that the node
    is in a shared folder by now that was a folder of this namespace."""

    entry: JournalEntry
    chain: Digest
    root: str
    node_sequence: int | None
    left: bool = False


class CheckedNode(Struct, frozen=True, gc=False):
    """A node's row; the journal's row at the sequence it names, and the revision it names, where there are such."""

    entry: JournalEntry
    name_key: str | None
    row: JournalEntry | None
    revision: JournalEntry | None


class Twins(Struct, frozen=True, gc=False):
    """Live nodes that hold one place."""

    parent: NodeId
    key: str
    ids: tuple[NodeId, ...]


class CheckedRevision(Struct, frozen=True, gc=False):
    """A revision's row, and the journal's row at the sequence it names, where that is still kept. `raw` says that a raw object
    waits to be its content."""

    entry: JournalEntry
    row: JournalEntry | None
    raw: bool = False


class CheckedRaw(Struct, frozen=True, kw_only=True):
    """A raw object that is a revision's content until it was taken in (`waiting`), or will be removed."""

    object_key: str
    size: int
    namespace: NamespaceId
    node: NodeId
    revision: int
    waiting: bool


class CheckedBlock(Struct, frozen=True, gc=False):
    """One block of a revision. `held_size` is what possession says in its namespace (None: not possessed); `readable` that a copy
    of this size, which this namespace may read, lies in a pack that is done."""

    node: NodeId
    revision: int
    index: int
    hash: Digest
    size: int
    held_size: int | None
    condemned: bool
    readable: bool


class CheckedCopy(Struct, frozen=True, gc=False):
    hash: Digest
    pack: PackId
    offset: int
    length: int
    plain_size: int
    codec: Codec
    state: str


class Amount(Struct, frozen=True):
    count: int
    size: int


class CheckStore(Protocol):
    def steady(self) -> AbstractAsyncContextManager[None]: ...

    async def damage(self, *, deep: bool) -> list[str]:
        """What the database engine finds wrong with its own files, a bounded list; `deep` also compares indexes with tables."""
        ...

    async def namespaces(self, after: str, limit: int) -> list[CheckedNamespace]: ...

    async def namespace(self, namespace: NamespaceId) -> CheckedNamespace | None: ...

    async def folders(self, namespace: NamespaceId, after: str, limit: int) -> list[CheckedFolder]: ...

    async def rows(self, namespace: NamespaceId, after: int, limit: int) -> list[CheckedRow]: ...

    async def nodes(self, namespace: NamespaceId, after: str, limit: int) -> list[CheckedNode]: ...

    async def twins(self, namespace: NamespaceId, limit: int) -> list[Twins]: ...

    async def revisions(self, namespace: NamespaceId, after: tuple[str, int], limit: int) -> list[CheckedRevision]: ...

    async def blocks(self, namespace: NamespaceId, after: tuple[str, int, int], limit: int) -> list[CheckedBlock]:
        """In order of node, revision and index."""
        ...

    async def held_bytes(self, namespace: NamespaceId) -> int:
        """The plain sizes of all blocks the namespace possesses."""
        ...

    async def amount_of_revisions(self, namespace: NamespaceId) -> Amount: ...

    async def amount_of_packs(self) -> Amount:
        """Of those that are done."""
        ...

    async def packs(self, after_object: str, limit: int) -> list[PackRow]:
        """In whatever state, by object key."""
        ...

    async def pack(self, pack: PackId) -> PackRow | None: ...

    async def pack_of_object(self, object_key: str) -> PackRow | None: ...

    async def raws(self, after_object: str, limit: int) -> list[CheckedRaw]:
        """By object key."""
        ...

    async def awaits(self, object_key: str) -> bool:
        """Whether it is a raw object, or that of an upload which is not done."""
        ...

    async def copies_in(self, pack: PackId) -> list[CheckedCopy]:
        """By offset."""
        ...

    async def made_of(self, namespace: NamespaceId, hashes: Sequence[Digest], limit: int) -> list[JournalEntry]:
        """Revisions of the namespace that name one of these blocks."""
        ...

    async def copies_of(self, namespace: NamespaceId, hashes: Sequence[Digest]) -> list[CheckedCopy]:
        """Every copy of these that the namespace may read, in packs that are done."""
        ...
