"""Access to one node: the only place where it is decided whether a caller may read or change it.

Asked anew at every call, so that what was taken away is gone at once. Whoever may not even read gets `NotFound`, as for an id that
there is not. Membership of a whole namespace is the store's to say (`MetadataStore.head`); what single files are granted to
somebody is said here, beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from syncline.model.errors import Forbidden, NotFound
from syncline.model.ids import NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.ports.share_store import ShareStore
from syncline.server.caller import Caller
from syncline.server.sharing.rules import Act, Standing, may


class Reach(Struct, frozen=True, kw_only=True):
    """A node that the caller may read, and as what.

    `namespace` is where it lives now: ask with that from here on. `entry` is its placed state, deleted ones too (never for someone
    who was granted the file alone); None for a namespace's own root folder. `owner` pays for what it takes.
    """

    namespace: NamespaceId
    node: NodeId
    entry: JournalEntry | None
    owner: UserId
    standing: Standing

    @property
    def is_member(self) -> bool:
        return self.standing in (Standing.OWNER, Standing.WRITE, Standing.READ)

    def check(self, act: Act) -> None:
        """Raises `Forbidden`."""
        if not may(act, self.standing):
            raise Forbidden(what=act.value)


class NodeAccess:
    def __init__(self, store: ShareStore) -> None:
        self._store = store

    async def may_read(self, caller: Caller, namespace: NamespaceId | None, node: NodeId) -> Reach:
        """The node in `namespace`; without one, wherever the caller may read it: their own root first, then shared folders, then
        what was granted to them. Raises `NotFound`."""
        return await self.may(Act.READ, caller, namespace, node)

    async def may_write(self, caller: Caller, namespace: NamespaceId | None, node: NodeId) -> Reach:
        """The same for a new version of its content. Raises `NotFound`, `Forbidden`."""
        return await self.may(Act.EDIT, caller, namespace, node)

    async def may(self, act: Act, caller: Caller, namespace: NamespaceId | None, node: NodeId) -> Reach:
        """The node, for an act of the table. Raises `NotFound` where it may not even be read, `Forbidden` where only the act is
        not allowed."""
        found = await self._store.reach(caller.user_id, node, namespace)
        if not found:
            raise NotFound(what="The node")
        first = found[0]
        reach = Reach(
            namespace=first.namespace,
            node=node,
            entry=first.entry,
            owner=first.owner,
            standing=Standing.of_member(first.access) if first.member else Standing.of_grant(first.access),
        )
        reach.check(act)
        return reach

    async def granted(self, caller: Caller, namespace: NamespaceId, nodes: Sequence[NodeId]) -> frozenset[NodeId]:
        """Which of these files were granted to the caller one by one, whatever they are to the namespace besides."""
        return frozenset(await self._store.granted(caller.user_id, namespace, nodes))

    async def may_send(self, caller: Caller, namespace: NamespaceId) -> bool:
        """Whether the caller was granted any file there to write, and so may send blocks."""
        return await self._store.granted_to_write(caller.user_id, namespace)

    async def namespace_of(self, caller: Caller, namespace: NamespaceId | None, node: NodeId) -> NamespaceId | None:
        """Where a live file lies that was granted to the caller at this instant: in `namespace`, or anywhere. None for others."""
        found = await self._store.reach(caller.user_id, node, namespace)
        return next((one.namespace for one in found if not one.member), None)
