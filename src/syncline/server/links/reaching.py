"""Where a link leads at this instant, and whether its maker may still go there. Nothing of it is kept: whoever makes a link lends
their own access, and takes it along."""

from __future__ import annotations

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.errors import Forbidden, NotFound
from syncline.model.ids import DeviceId, NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.ports.account_store import AccountStore
from syncline.ports.link_store import LinkRow
from syncline.ports.metadata_store import MetadataStore
from syncline.protocol.links import LinkKind
from syncline.server.caller import Caller
from syncline.server.links.tokens import no_such_link
from syncline.server.sharing.access import NodeAccess, Reach
from syncline.server.sharing.rules import Act


class Visit(Struct, frozen=True, kw_only=True):
    """A link that works now. `entry` is None for the whole of a shared folder; `as_maker` acts in the maker's name."""

    link: LinkRow
    reach: Reach
    as_maker: Caller
    maker_name: str
    name: str
    modified_us: int

    @property
    def namespace(self) -> NamespaceId:
        return self.reach.namespace

    @property
    def entry(self) -> JournalEntry | None:
        return self.reach.entry

    @property
    def is_folder(self) -> bool:
        return self.entry is None or self.entry.kind is Kind.DIR


class Reaching:
    def __init__(self, access: NodeAccess, accounts: AccountStore, metadata: MetadataStore) -> None:
        self._access = access
        self._accounts = accounts
        self._metadata = metadata

    async def visit(self, link: LinkRow) -> Visit:
        """Raises `NotFound` where the node is gone, its maker disabled or without the access that the link lends."""
        user = await self._accounts.user(link.created_by)
        if user is None or user.disabled:
            raise no_such_link()
        as_maker = Caller(link.created_by, DeviceId(f"link:{link.id}"))
        act = Act.CHANGE if link.kind is LinkKind.DROP else Act.READ
        try:
            reach = await self.reach(act, as_maker, link.node)
        except (NotFound, Forbidden):
            raise no_such_link() from None
        if link.kind is LinkKind.DROP and reach.entry is not None and reach.entry.kind is not Kind.DIR:
            raise no_such_link()
        name, modified_us = await self._described(as_maker, reach)
        return Visit(link=link, reach=reach, as_maker=as_maker, maker_name=user.name, name=name, modified_us=modified_us)

    async def reach(self, act: Act, caller: Caller, node: NodeId, namespace: NamespaceId | None = None) -> Reach:
        """A live node, wherever it lives; a mount is the shared folder itself. Raises `NotFound`, `Forbidden`."""
        found = await self._access.may(act, caller, namespace, node)
        if found.entry is not None and found.entry.mount:
            found = await self._access.may(act, caller, NamespaceId(node), node)
        if found.entry is not None and found.entry.deleted:
            raise NotFound(what="The node")
        return found

    async def holds(self, visit: Visit, namespace: NamespaceId, node: NodeId) -> bool:
        """Whether this live node is what the link leads to, or lies below it."""
        if namespace != visit.namespace:
            return False
        found = await self._metadata.nodes(namespace, [node])
        if not found or found[0].deleted:
            return False
        if visit.entry is None or node == visit.link.node:
            return True
        return any(above.node_id == visit.link.node for above in await self._metadata.ancestors(namespace, node))

    async def _described(self, caller: Caller, reach: Reach) -> tuple[str, int]:
        if reach.entry is not None:
            entry = reach.entry
            return entry.name, entry.mtime_us if entry.kind is Kind.FILE else entry.time_us
        head = await self._metadata.head(caller.user_id, reach.namespace)
        if head is None:
            raise no_such_link()
        return head.name, 0
