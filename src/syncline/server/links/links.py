"""Links as those see them who make them: making, listing, changing and revoking.

Laws: a link is made by whoever may share the node (`Act.GRANT`, and `Act.CHANGE` to drop files), and lends no more than that person
may do at the moment it is used; its maker alone changes it; its maker and the owner of the folder it leads into see and revoke it.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from syncline.model.entries import Kind
from syncline.model.errors import InvalidRequest, LimitExceeded, NotFound, SynclineError
from syncline.model.ids import LinkId, NamespaceId, NodeId, is_ulid
from syncline.model.limits import LINKS_PER_PERSON_MAX
from syncline.ports.clock import Chance, Clock, Ids
from syncline.ports.link_store import LinkRow, LinkStore
from syncline.protocol.changes import to_time, to_us
from syncline.protocol.links import ChangeLink, CreatedLink, Link, LinkKind, Links, NewLink
from syncline.server.accounts.passwords import Passwords
from syncline.server.caller import Caller
from syncline.server.links.reaching import Reaching
from syncline.server.links.tokens import fresh_token, token_hash
from syncline.server.metadata.service import Metadata
from syncline.server.sharing.access import Reach
from syncline.server.sharing.rules import Act, Standing


class LinkBook:
    """The links of everybody, asked by one."""

    def __init__(
        self,
        store: LinkStore,
        reaching: Reaching,
        metadata: Metadata,
        passwords: Passwords,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self._store = store
        self._reaching = reaching
        self._metadata = metadata
        self._passwords = passwords
        self._clock = clock
        self._chance = chance
        self._ids = Ids(clock, chance)

    async def make(self, caller: Caller, wanted: NewLink) -> CreatedLink:
        """A new link; its `url` is the path alone. Raises `NotFound`, `Forbidden`, `InvalidRequest`, `LimitExceeded`."""
        node, namespace = await self._named(caller, wanted)
        reach = await self._reaching.reach(Act.GRANT, caller, node, namespace)
        if wanted.kind is LinkKind.DROP:
            reach.check(Act.CHANGE)
            if reach.entry is not None and reach.entry.kind is not Kind.DIR:
                raise InvalidRequest(message="Files are dropped into folders: this is a file")
        await self._check_not_everything(caller, reach)
        if await self._store.count_of(caller.user_id) >= LINKS_PER_PERSON_MAX:
            raise LimitExceeded(what="The number of links", limit=LINKS_PER_PERSON_MAX)
        token = fresh_token(reach.namespace, self._chance)
        row = LinkRow(
            id=LinkId(self._ids.fresh()),
            namespace=reach.namespace,
            token_hash=token_hash(token),
            node=node,
            kind=wanted.kind,
            created_by=caller.user_id,
            created_us=self._clock.now_us(),
            password_hash=None if wanted.password is None else await self._passwords.hash(wanted.password),
            expires_us=self._expiry(wanted.expires),
            downloads_max=wanted.downloads_max,
        )
        await self._store.add(row)
        shown = await self._shown(caller, row)
        told = {name: getattr(shown, name) for name in shown.__struct_fields__}
        return CreatedLink(**told, url=f"/s/{token}", token=token)

    async def list(self, caller: Caller, node: NodeId | None, cursor: str | None, limit: int) -> Links:
        """The caller's own links; with `node` those that lead to it, to its owner also those of others. Raises `NotFound`."""
        after = None if cursor is None else _link_id(cursor)
        if node is None:
            rows = await self._store.of_person(caller.user_id, after, limit + 1)
        else:
            reach = await self._reaching.reach(Act.READ, caller, node)
            rows = await self._store.of_node(node, after, limit + 1)
            if reach.standing is not Standing.OWNER:
                more = len(rows) > limit
                shown = [await self._shown(caller, row) for row in rows[:limit] if row.created_by == caller.user_id]
                return Links(links=shown, cursor=rows[limit - 1].id if more else None)
        more = len(rows) > limit
        return Links(links=[await self._shown(caller, row) for row in rows[:limit]], cursor=rows[limit - 1].id if more else None)

    async def change(self, caller: Caller, link: str, change: ChangeLink) -> Link:
        """Raises `NotFound` for links the caller did not make, `InvalidRequest`."""
        row = await self._store.link(_link_id(link))
        if row is None or row.created_by != caller.user_id:
            raise NotFound(what="This link")
        if not isinstance(change.password, UnsetType):
            hashed = None if change.password is None else await self._passwords.hash(change.password)
            row = replace(row, password_hash=hashed)
        if not isinstance(change.expires, UnsetType):
            row = replace(row, expires_us=self._expiry(change.expires))
        if change.downloads_max is not UNSET:
            row = replace(row, downloads_max=change.downloads_max)
        if not await self._store.change(row):
            raise NotFound(what="This link")
        return await self._shown(caller, row)

    async def revoke(self, caller: Caller, link: str) -> None:
        """Ends a link at once. Raises `NotFound` for links that are neither the caller's nor lead into what they own."""
        row = await self._store.link(_link_id(link))
        if row is None or not (row.created_by == caller.user_id or await self._owns(caller, row)):
            raise NotFound(what="This link")
        if not await self._store.remove(row.namespace, row.id):
            raise NotFound(what="This link")

    async def _owns(self, caller: Caller, row: LinkRow) -> bool:
        try:
            return (await self._reaching.reach(Act.READ, caller, row.node)).standing is Standing.OWNER
        except NotFound:
            return False

    async def _named(self, caller: Caller, wanted: NewLink) -> tuple[NodeId, NamespaceId | None]:
        if (wanted.path is None) == (wanted.node_id is None):
            raise InvalidRequest(message="Name the file or folder by `path` or by `node_id`")
        if wanted.path is None:
            assert wanted.node_id is not None
            return wanted.node_id, wanted.namespace
        found = await self._metadata.metadata_by_path(caller, wanted.path, wanted.namespace)
        return NodeId(found.namespace) if found.entry is None else found.entry.node_id, found.namespace

    async def _check_not_everything(self, caller: Caller, reach: Reach) -> None:
        """A link to somebody's whole tree is a slip."""
        if reach.entry is None:
            spaces = await self._metadata.namespaces(caller)
            if any(one.id == reach.namespace and one.is_root for one in spaces.namespaces):
                raise InvalidRequest(message="/ itself cannot be linked: name a file or folder in it")

    def _expiry(self, expires: datetime | None) -> int | None:
        if expires is None:
            return None
        if expires.tzinfo is None:
            raise InvalidRequest(message="`expires` needs a time zone, such as Z")
        expires_us = to_us(expires)
        if expires_us <= self._clock.now_us():
            raise InvalidRequest(message="`expires` has passed already")
        return expires_us

    async def _shown(self, caller: Caller, row: LinkRow) -> Link:
        name, path = await self._place(caller, row)
        return Link(
            link_id=row.id,
            kind=row.kind,
            namespace=row.namespace,
            node_id=row.node,
            created=to_time(row.created_us),
            created_by=row.created_by,
            downloads=row.downloads,
            downloads_max=row.downloads_max,
            expires=None if row.expires_us is None else to_time(row.expires_us),
            has_password=row.password_hash is not None,
            name=name,
            path=path,
        )

    async def _place(self, caller: Caller, row: LinkRow) -> tuple[str | None, str | None]:
        """Name and path of the node as the caller sees it now."""
        try:
            reach = await self._reaching.reach(Act.READ, caller, row.node)
        except SynclineError:
            return None, None
        name = reach.entry.name if reach.entry is not None else None
        path = await path_of(self._metadata, caller, reach)
        return name or (path or "").rpartition("/")[2] or None, path


async def path_of(metadata: Metadata, caller: Caller, reach: Reach) -> str | None:
    """A node's path in the caller's tree, through the mount it lies below; None where it is mounted nowhere in it."""
    try:
        below = await metadata.metadata_by_id(caller, reach.node, reach.namespace)
        above = await metadata.metadata_by_id(caller, NodeId(reach.namespace), None)
    except NotFound:
        return None
    if above.entry is not None and above.entry.deleted:
        return None
    return f"{above.path.rstrip('/')}/{below.path.strip('/')}".rstrip("/")


def _link_id(text: str) -> LinkId:
    if not is_ulid(text):
        raise NotFound(what="This link")
    return LinkId(text)
