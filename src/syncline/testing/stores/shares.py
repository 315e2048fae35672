"""`ports.share_store.ShareStore` in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from syncline.model.entries import Access
from syncline.model.ids import DeviceId, NamespaceId, NodeId, UserId
from syncline.ports.metadata_store import StoredAnswer
from syncline.ports.share_store import Granted, Joined, Located, Participant, ShareTransaction
from syncline.ports.share_store import Space as SharedSpace
from syncline.testing.stores.sharing import MemoryShareTransaction, seen
from syncline.testing.stores.space import Grant, Invited, Space
from syncline.testing.stores.state import Shared


class MemoryShares:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def transaction(
        self, seen_by: Mapping[NamespaceId, UserId], locked: Iterable[NamespaceId] = ()
    ) -> AbstractAsyncContextManager[ShareTransaction]:
        return MemoryShareTransaction(self._shared, seen_by, locked)

    async def reach(self, user: UserId, node: NodeId, namespace: NamespaceId | None) -> list[Located]:
        await self._shared.reading()
        found: list[tuple[tuple[bool, bool, str], Located]] = []
        for space in self._shared.state.spaces.values():
            located = _located(space, user, node)
            if located is not None and namespace in (None, space.id):
                found.append(((not located.member, not (space.is_root and space.owner == user), space.id), located))
        return [located for _, located in sorted(found, key=lambda one: one[0])]

    async def granted(self, user: UserId, namespace: NamespaceId, nodes: Sequence[NodeId]) -> list[NodeId]:
        space = await self._space(namespace)
        return [] if space is None else [node for node in nodes if (node, user) in space.grants and node in space.keys]

    async def granted_to_write(self, user: UserId, namespace: NamespaceId) -> bool:
        space = await self._space(namespace)
        grants = {} if space is None else space.grants
        return any(
            whose == user and grant.access.may_write and space is not None and node in space.keys
            for (node, whose), grant in grants.items()
        )

    async def answered(self, user: UserId, device: DeviceId, key: str) -> StoredAnswer | None:
        await self._shared.reading()
        mine = [space for space in self._shared.state.spaces.values() if user in space.members]
        found = [space.answers[device, key].stored for space in mine if (device, key) in space.answers]
        return found[0] if found else None

    async def space(self, namespace: NamespaceId) -> SharedSpace | None:
        space = await self._space(namespace)
        return None if space is None else seen(self._shared.state, space)

    async def members(self, namespace: NamespaceId, limit: int) -> list[Participant]:
        space = await self._space(namespace)
        since = {} if space is None else space.since
        return self._people(
            ((user, access, since.get(user, 0), None) for user, access in space.members.items()) if space else (), limit
        )

    async def invitations(self, namespace: NamespaceId, limit: int) -> list[Participant]:
        space = await self._space(namespace)
        waiting: Mapping[UserId, Invited] = {} if space is None else space.invitations
        return self._people(((user, one.access, one.created_us, one.by) for user, one in waiting.items()), limit)

    async def grants(self, namespace: NamespaceId, node: NodeId, limit: int) -> list[Participant]:
        space = await self._space(namespace)
        given: Mapping[tuple[NodeId, UserId], Grant] = {} if space is None else space.grants
        here = ((user, one.access, one.created_us, one.by) for (of, user), one in given.items() if of == node)
        return self._people(here, limit)

    async def joined(self, user: UserId, limit: int) -> list[Joined]:
        await self._shared.reading()
        state = self._shared.state
        found = [
            Joined(space=seen(state, space), access=space.members[user], since_us=space.since.get(user, 0))
            for space in state.spaces.values()
            if user in space.members and not space.is_root
        ]
        return sorted(found, key=_by_name)[:limit]

    async def invited(self, user: UserId, limit: int) -> list[Joined]:
        await self._shared.reading()
        state = self._shared.state
        found = [
            Joined(space=seen(state, space), access=one.access, since_us=one.created_us, invited_by=state.users[one.by].email)
            for space in state.spaces.values()
            if (one := space.invitations.get(user)) is not None
        ]
        return sorted(found, key=_by_name)[:limit]

    async def granted_to(self, user: UserId, limit: int) -> list[Granted]:
        await self._shared.reading()
        return self._granted(lambda space, whom, grant: whom == user, limit)

    async def granted_by(self, user: UserId, limit: int) -> list[Granted]:
        await self._shared.reading()
        return self._granted(lambda space, whom, grant: user in (grant.by, space.owner), limit)

    async def mounted(self, root: NamespaceId, namespaces: Sequence[NamespaceId]) -> dict[NamespaceId, str]:
        space = await self._space(root)
        found: dict[NamespaceId, str] = {}
        for namespace in namespaces if space is not None else ():
            assert space is not None
            node = space.nodes.get(NodeId(namespace))
            if node is None or node.deleted or not node.mount:
                continue
            names = [node.name]
            while (node := space.nodes.get(node.parent_id)) is not None:
                names.append(node.name)
            found[namespace] = "/" + "/".join(reversed(names))
        return found

    async def _space(self, namespace: NamespaceId) -> Space | None:
        await self._shared.reading()
        return self._shared.state.spaces.get(namespace)

    def _people(self, rows: Iterable[tuple[UserId, Access, int, UserId | None]], limit: int) -> list[Participant]:
        users = self._shared.state.users
        found = [
            Participant(user=user, email=users[user].email, name=users[user].name, access=access, since_us=since, by=by)
            for user, access, since, by in rows
        ]
        return sorted(found, key=lambda one: one.email)[:limit]

    def _granted(self, wanted: _Wanted, limit: int) -> list[Granted]:
        users = self._shared.state.users
        found = [
            Granted(
                namespace=space.id,
                owner_email=users[space.owner].email,
                entry=space.nodes[node],
                email=users[whom].email,
                by_email=users[grant.by].email,
                access=grant.access,
                created_us=grant.created_us,
            )
            for space in self._shared.state.spaces.values()
            for (node, whom), grant in space.grants.items()
            if node in space.keys and wanted(space, whom, grant)
        ]
        return sorted(found, key=lambda one: (one.entry.name, one.entry.node_id, one.email))[:limit]


_Wanted = Callable[[Space, UserId, Grant], bool]


def _located(space: Space, user: UserId, node: NodeId) -> Located | None:
    access, entry = space.members.get(user), space.nodes.get(node)
    if entry is not None and entry.mount and entry.deleted:
        entry = None
    if access is not None and (entry is not None or node == NodeId(space.id)):
        return Located(namespace=space.id, owner=space.owner, access=access, member=True, entry=entry)
    grant = space.grants.get((node, user))
    if access is not None or grant is None or node not in space.keys:
        return None
    return Located(namespace=space.id, owner=space.owner, access=grant.access, member=False, entry=entry)


def _by_name(one: Joined) -> tuple[str, str]:
    return one.space.name, one.space.namespace
