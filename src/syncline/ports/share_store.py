"""Where it is stored who shares what: members, invitations and grants, and transactions over several namespaces.

Contract: a transaction locks its namespaces in the order of their ids, so that two of them never wait for each other, and holds the
locks to its end; leaving it by an exception leaves nothing, in none of them. What it reads is what stands at its beginning but for
what its commits write. Reads outside a transaction see committed state only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from syncline.model.entries import Access
from syncline.model.ids import DeviceId, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.ports.metadata_store import ChainedRow, CommitTransaction, StoredAnswer


class Located(Struct, frozen=True, kw_only=True):
    """A node that somebody may read: as a member of its namespace, or by a grant of it alone. `entry` is None for a namespace's
    own root folder."""

    namespace: NamespaceId
    owner: UserId
    access: Access
    member: bool
    entry: JournalEntry | None


class Space(Struct, frozen=True, kw_only=True):
    """A namespace as sharing sees it."""

    namespace: NamespaceId
    name: str
    owner: UserId
    owner_email: str
    is_root: bool
    name_key_version: int
    used_bytes: int
    members: int


class Participant(Struct, frozen=True, kw_only=True):
    """Somebody and what they may do: a member, someone invited (`by` says by whom), or someone a file was granted to."""

    user: UserId
    email: str
    name: str
    access: Access
    since_us: int
    by: UserId | None = None


class Joined(Struct, frozen=True, kw_only=True):
    """A shared folder of one user, or an invitation to one (`invited_by`: an e-mail address)."""

    space: Space
    access: Access
    since_us: int
    invited_by: str | None = None


class Granted(Struct, frozen=True, kw_only=True):
    """A live file that was shared by itself: by and with whom (e-mail addresses), out of whose namespace."""

    namespace: NamespaceId
    owner_email: str
    entry: JournalEntry
    email: str
    by_email: str
    access: Access
    created_us: int


class Conversion(Struct, frozen=True, kw_only=True):
    """A folder becomes a namespace of the same id. `rows` are its whole first journal: each node that goes with it, as it stands
    there from now on."""

    source: NamespaceId
    folder: NodeId
    owner: UserId
    name: str
    epoch: str
    name_key_version: int
    rows: Sequence[ChainedRow]
    time_us: int


class Copying(Struct, frozen=True, gc=False):
    """The content, cut and texts of a revision are to be those of the first revision of another node."""

    node: NodeId
    revision: int
    new: NodeId


class ShareTransaction(Protocol):
    def of(self, namespace: NamespaceId) -> CommitTransaction:
        """The commit on one of its namespaces, as the user sees it for whom it was opened."""
        ...

    async def space(self, namespace: NamespaceId) -> Space | None: ...

    async def member(self, namespace: NamespaceId, user: UserId) -> Access | None: ...

    async def invited(self, namespace: NamespaceId, user: UserId) -> Access | None: ...

    async def tree(self, namespace: NamespaceId, folder: NodeId, limit: int) -> list[JournalEntry]:
        """Every node below a folder, deleted ones too, parents before children; at most `limit`."""
        ...

    async def convert(self, conversion: Conversion) -> None:
        """Makes the namespace with its owner as its first member, and gives it what its rows name: nodes, revisions with their
        blocks, grants, contents that are still being taken in, and possession, which the source keeps only where it still names a
        block. Revisions stand before the first row of their new journal."""
        ...

    async def copy(self, source: NamespaceId, target: NamespaceId, copies: Sequence[Copying], now_us: int) -> None:
        """Gives new files in `target`, already written there, the content of files in `source`, and `target` the possession."""
        ...

    async def set_member(self, namespace: NamespaceId, user: UserId, access: Access, now_us: int) -> None: ...

    async def drop_member(self, namespace: NamespaceId, user: UserId) -> None:
        """And what was granted there by them, or to them."""
        ...

    async def set_owner(self, namespace: NamespaceId, user: UserId) -> None:
        """Whose quota the namespace counts against."""
        ...

    async def set_invitation(self, namespace: NamespaceId, user: UserId, access: Access, by: UserId, now_us: int) -> None: ...

    async def drop_invitation(self, namespace: NamespaceId, user: UserId) -> None: ...

    async def set_grant(
        self, namespace: NamespaceId, node: NodeId, user: UserId, access: Access, by: UserId, now_us: int
    ) -> None: ...

    async def drop_grant(self, namespace: NamespaceId, node: NodeId, user: UserId) -> None: ...


class ShareStore(Protocol):
    def transaction(
        self, seen_by: Mapping[NamespaceId, UserId], locked: Iterable[NamespaceId] = ()
    ) -> AbstractAsyncContextManager[ShareTransaction]:
        """Locks these namespaces: those of `seen_by` to commit to as one of their members, those of `locked` to say who may do what
        in them. Raises `NotFound` for one that is not there, or whose user is no member, and `TooBusy`."""
        ...

    async def reach(self, user: UserId, node: NodeId, namespace: NamespaceId | None) -> list[Located]:
        """Where the user may read this node: in `namespace`, or anywhere. Their own root first, then other namespaces they are
        members of, then grants (of live nodes only), each by namespace id. A mount that is gone is no place of its folder."""
        ...

    async def granted(self, user: UserId, namespace: NamespaceId, nodes: Sequence[NodeId]) -> list[NodeId]:
        """Which of these live nodes were granted to the user."""
        ...

    async def granted_to_write(self, user: UserId, namespace: NamespaceId) -> bool:
        """Whether any live file there was granted to the user to write."""
        ...

    async def answered(self, user: UserId, device: DeviceId, key: str) -> StoredAnswer | None:
        """What a committed request of this device under this key answered, in any of the user's namespaces."""
        ...

    async def space(self, namespace: NamespaceId) -> Space | None: ...

    async def members(self, namespace: NamespaceId, limit: int) -> list[Participant]:
        """By e-mail address."""
        ...

    async def invitations(self, namespace: NamespaceId, limit: int) -> list[Participant]:
        """By e-mail address."""
        ...

    async def grants(self, namespace: NamespaceId, node: NodeId, limit: int) -> list[Participant]:
        """By e-mail address."""
        ...

    async def joined(self, user: UserId, limit: int) -> list[Joined]:
        """The shared folders the user is a member of, by name."""
        ...

    async def invited(self, user: UserId, limit: int) -> list[Joined]:
        """The invitations waiting for the user's answer, by name."""
        ...

    async def granted_to(self, user: UserId, limit: int) -> list[Granted]:
        """Files shared with the user one by one, by name."""
        ...

    async def granted_by(self, user: UserId, limit: int) -> list[Granted]:
        """Files the user shared one by one, and those that others shared out of the user's namespaces, by name."""
        ...

    async def mounted(self, root: NamespaceId, namespaces: Sequence[NamespaceId]) -> dict[NamespaceId, str]:
        """At which paths of a root namespace these are mounted now."""
        ...
