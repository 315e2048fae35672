"""Where it is stored who shares what: members, invitations and grants, and transactions over several namespaces.

Contract: a transaction locks its namespaces in the order of their ids, so that two of them never wait for each other, and holds the
locks to its end; leaving it by an exception leaves nothing, in none of them. Reads outside a transaction see committed state only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from syncline.model.entries import Access
from syncline.model.ids import NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry


class Located(Struct, frozen=True, kw_only=True):
    """A node that somebody may read: as a member of its namespace, or by a grant of it alone. `entry` is None for a namespace's
    own root folder."""

    namespace: NamespaceId
    owner: UserId
    access: Access
    member: bool
    entry: JournalEntry | None


class ShareStore(Protocol):
    async def reach(self, user: UserId, node: NodeId, namespace: NamespaceId | None) -> list[Located]:
        """Where the user may read this node: in `namespace`, or anywhere. Their own root first, then other namespaces they are
        members of, then grants (of live nodes only), each by namespace id."""
        ...

    async def granted(self, user: UserId, namespace: NamespaceId, nodes: Sequence[NodeId]) -> list[NodeId]:
        """Which of these live nodes were granted to the user."""
        ...
