"""The server's rooms for people over one world of stores, and what a test asks of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.server_metadata.world import Member, World

from syncline.adapters.sql.check import SqlCheckStore
from syncline.model.entries import Access
from syncline.model.ids import NamespaceId, NodeId
from syncline.protocol import doors as plain
from syncline.protocol import sharing as wire
from syncline.protocol.changes import Entry
from syncline.server.check.findings import Finding
from syncline.server.check.metadata import MetadataCheck, Tellers
from syncline.server.metadata.cursors import CursorCodec
from syncline.server.metadata.doors import Doors
from syncline.server.metadata.service import Metadata
from syncline.server.sharing.access import NodeAccess
from syncline.server.sharing.folders import Stores
from syncline.server.sharing.service import Sharing


class Office:
    """A world with sharing. `published` are the heads that were told of."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.published: list[tuple[NamespaceId, int]] = []
        stores = world.stores
        self.access = NodeAccess(stores.shares)
        world.metadata = Metadata(
            stores.metadata,
            CursorCodec(bytes(32)),
            world.machine,
            world.ids,
            lambda *head: world.committed.append(head),
            access=self.access,
        )
        shared = Stores(stores.shares, stores.accounts, stores.metadata)
        self.sharing = Sharing(shared, world.metadata, self.access, world.machine, world.ids, self._publish)
        self.doors = Doors(stores.shares, world.metadata.lookup, self.access, world.machine, world.ids, self._publish)

    def _publish(self, namespace: NamespaceId, head: int) -> None:
        self.published.append((namespace, head))

    async def person(self, name: str, quota_bytes: int | None = None) -> Member:
        return await self.world.person(name, quota_bytes)

    def inside(self, member: Member, folder: str) -> Member:
        """The same person in the namespace of a shared folder."""
        return Member(self.world, member.caller, NamespaceId(self.world.id(folder)))

    async def share(self, member: Member, node: str, *people: tuple[str, Access]) -> list[str | None]:
        """What became of each, or the code of its error."""
        users = [wire.ShareUser(email=f"{name}@example.org", access=access) for name, access in people]
        answer = await self.sharing.share(member.caller, self.world.id(node), wire.ShareRequest(users=users))
        return [one.status or one.error for one in answer.users]

    async def join(self, owner: Member, folder: str, member: Member, name: str, access: Access = Access.WRITE) -> Member:
        """Invites and accepts; the member inside the folder."""
        assert await self.share(owner, folder, (name, access)) == ["invited"]
        await self.sharing.accept(member.caller, NamespaceId(self.world.id(folder)), wire.MountRequest())
        return self.inside(member, folder)

    async def unshare(self, member: Member, node: str, name: str | None = None) -> list[str]:
        email = None if name is None else f"{name}@example.org"
        return (await self.sharing.unshare(member.caller, self.world.id(node), None, email)).ended

    async def move(self, member: Member, key: str | None = None, **fields: Any) -> plain.Placed:
        request = plain.MoveRequest(files=[plain.Move(**fields)])
        return (await self.doors.move(member.caller, request, key)).files[0]

    async def delete(self, member: Member, **fields: Any) -> plain.Placed:
        request = plain.DeleteRequest(files=[plain.Delete(**fields)])
        return (await self.doors.delete(member.caller, request, None)).files[0]

    async def at(self, member: Member, path: str) -> tuple[NamespaceId, Entry]:
        found = await self.world.metadata.metadata_by_path(member.caller, path)
        assert found.entry is not None
        return found.namespace, found.entry

    async def readable(self, member: Member, namespace: NamespaceId, node: NodeId, revision: int = 1) -> bool:
        """Whether every block of a revision has a copy that may be read in that namespace."""
        from syncline.protocol.blocks import RevisionRef

        refs = [RevisionRef(node_id=node, revision=revision)]
        found = (await self.world.metadata.revision_blocks(member.caller, namespace, refs))[0]
        if found.blocks is None:
            return False
        hashes = [block for block, _ in found.blocks]
        return {copy.hash for copy in await self.world.stores.packs.copies(namespace, hashes)} == set(hashes)

    async def check(self, *members: Member) -> None:
        """Every journal explains its tree, and what `admin check` compares agrees."""
        for member in members:
            await member.check()
        if self.world.path is not None:
            assert await findings(self.world.path) == []


async def findings(path: Path) -> list[Finding]:
    """What a check of the whole metadata tells."""
    told: list[Finding] = []
    store = SqlCheckStore.open(path)
    try:
        check = MetadataCheck(store, Tellers(told.append, told.append, told.append))
        for space in await store.namespaces("", 500):
            await check.run(space.id)
    finally:
        await store.close()
    return told
