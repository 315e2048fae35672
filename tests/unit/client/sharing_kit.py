"""A server on which a user's folder becomes a shared one, and a device that looks at it."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace
from tests.unit.client.kit import Watching

from syncline.model.entries import Access, Kind
from syncline.model.errors import Unavailable
from syncline.model.ids import EMPTY_DIGEST, ChangesetId, Digest, NamespaceId, NodeId, ulid
from syncline.model.journal import JournalEntry, chain_after, node_term, root_text
from syncline.protocol.changes import ChangesPage, SnapshotPage
from syncline.protocol.commits import Change, Op
from syncline.protocol.sessions import Namespaces
from syncline.testing.journal_remote import HOME, JournalRemote

ONE: Final = Digest("1" * 64)


class Sharing(JournalRemote):
    """A user's own namespace, one folder of which may be made a namespace of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.shared: JournalRemote | None = None
        self.is_listed = False
        self.is_mounted = True

    def folder(self, name: str, *, parent: str = HOME) -> NodeId:
        made = NodeId(ulid(7, (len(self.nodes) + 1).to_bytes(10, "big")))
        self.change(Change(op=Op.CREATE, node_id=made, parent_id=NodeId(parent), name=name, kind=Kind.DIR))
        return made

    def share(self, folder: NodeId) -> None:
        """One row in this journal, the first changeset of another."""
        self.shared = there = JournalRemote(NamespaceId(folder))
        changeset = ChangesetId(ulid(4, self.head.to_bytes(10, "big")))
        frontier, below = [folder], list[JournalEntry]()
        while frontier:
            at = frontier.pop(0)
            found = [row for row in self.nodes.values() if row.parent_id == at and not row.deleted]
            frontier += [row.node_id for row in found]
            below += found
        for row in below:
            there._record(replace(row, sequence=there.head + 1, changeset=changeset, op="create"))
        mount = replace(self.nodes[folder], sequence=self.head + 1, changeset=changeset, op="mount", mount=True)
        chain, root = self.heads[-1]
        left = sum(node_term(row.node_id, row.parent_id, row.name, row.kind, row.executable, row.content_hash) for row in below)
        for row in below:
            del self.nodes[row.node_id]
        self.journal.append(mount)
        self.nodes[folder] = mount
        self.heads.append((chain_after(chain, mount), root_text(int(root, 16) - left)))
        self.is_listed = True

    async def namespaces(self) -> Namespaces:
        own = await super().namespaces()
        if self.shared is None or not self.is_listed:
            return own
        (theirs,) = (await self.shared.namespaces()).namespaces
        return replace(
            own,
            namespaces=[*own.namespaces, replace(theirs, name="d", access=Access.OWNER, is_root=False, mounted=self.is_mounted)],
        )

    def _of(self, namespace: NamespaceId) -> JournalRemote | None:
        return self.shared if self.shared is not None and namespace == self.shared.namespace else None

    async def changes(self, namespace: NamespaceId, cursor: str) -> ChangesPage:
        there = self._of(namespace)
        return await (super().changes(namespace, cursor) if there is None else there.changes(namespace, cursor))

    async def snapshot(self, namespace: NamespaceId, page: str | None = None) -> SnapshotPage:
        there = self._of(namespace)
        return await (super().snapshot(namespace, page) if there is None else there.snapshot(namespace, page))


async def looked(device: Watching) -> None:
    device.contact.want()
    assert await device.contact.look()


def put(remote: JournalRemote, name: str, parent: NodeId) -> NodeId:
    """Ids in the order of the names, whatever the namespace."""
    return remote.put(name, parent=parent, node=ulid(6, name.encode().ljust(10)), content=ONE)


async def agreed_tree(remote: Sharing, device: Watching) -> tuple[NodeId, set[NodeId], NodeId]:
    """A folder with something in it, all of it here and agreed on: the folder, what is in it, and a file beside it."""
    folder = remote.folder("d")
    deep = remote.folder("deep", parent=folder)
    inside = {put(remote, "a", folder), put(remote, "b", deep), deep}
    beside = remote.put("beside", content=EMPTY_DIGEST)
    await looked(device)
    device.agree()
    device.trees.open.clear()
    return folder, inside, beside


async def looked_in_vain(remote: Sharing, device: Watching) -> None:
    """The root is read, and the line is lost before the server says what may be seen."""

    def lose_the_line(call: str, is_after: bool) -> None:
        if call == "namespaces":
            raise Unavailable(what="The server")

    remote.fault = lose_the_line
    device.contact.want()
    assert not await device.contact.look()
