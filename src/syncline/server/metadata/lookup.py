"""Looking at a tree without syncing it: by path, by id, by folder, by version; and which blocks make a revision."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence

from syncline.model.entries import Access, Kind
from syncline.model.errors import CorruptCursor, LimitExceeded, NotFound
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.model.limits import BATCH_MAX
from syncline.model.paths import key_rule, split_path
from syncline.ports.freshness import check_newest
from syncline.ports.metadata_store import MetadataStore, RevisionBlocks
from syncline.protocol.blocks import RevisionRef
from syncline.protocol.changes import Entry
from syncline.protocol.tree import ChildrenPage, Metadata, Versions
from syncline.server.caller import Caller
from syncline.server.metadata.history import History, bounded
from syncline.server.sharing.access import NodeAccess


class Lookup:
    def __init__(self, store: MetadataStore, history: History, access: NodeAccess | None) -> None:
        self._access = access
        self._store = store
        self._history = history

    async def by_path(self, caller: Caller, path: str, namespace: NamespaceId | None) -> Metadata:
        """The live node at `path`, going through mounts. Raises `NotFound`, `InvalidName`."""
        names = split_path(path)
        head = await self._history.head(caller, namespace)
        folder = NodeId(head.namespace)
        entry: JournalEntry | None = None
        for name in names:
            if entry is not None and entry.mount:
                head = await self._history.head(caller, NamespaceId(entry.node_id))
            entry = await self._store.child(head.namespace, (folder, key_rule(head.name_key_version)(name)))
            if entry is None:
                raise NotFound(what="/" + "/".join(names))
            folder = entry.node_id
        return Metadata(namespace=head.namespace, path="/" + "/".join(names), entry=None if entry is None else Entry.of(entry))

    async def by_id(self, caller: Caller, node: NodeId, namespace: NamespaceId | None) -> Metadata:
        """The node, deleted or not, and its path in its namespace (a deleted node's last); for someone it was granted to alone, its
        name. Raises `NotFound`."""
        here, entry, member = await self._reach(caller, namespace, node)
        if entry is None:
            return Metadata(namespace=here, path="/", entry=None)
        if not member:
            return Metadata(namespace=here, path=f"/{entry.name}", entry=Entry.of(entry))
        above = {one.node_id: one for one in await self._store.ancestors(here, node)}
        names = [entry.name]
        at = above.get(entry.parent_id)
        while at is not None:
            names.append(at.name)
            at = above.get(at.parent_id)
        return Metadata(namespace=here, path="/" + "/".join(reversed(names)), entry=Entry.of(entry))

    async def child(self, caller: Caller, namespace: NamespaceId, folder: NodeId, name: str) -> JournalEntry | None:
        head = await self._history.head(caller, namespace)
        return await self._store.child(head.namespace, (folder, key_rule(head.name_key_version)(name)))

    async def children(
        self, caller: Caller, namespace: NamespaceId | None, folder: NodeId, page: str | None, limit: int
    ) -> ChildrenPage:
        """Live children by name key; of a mount those of its shared folder. Raises `NotFound` unless `folder` is a live folder,
        `CorruptCursor` for a wrong page."""
        limit = bounded(limit)
        here, entry, member = await self._reach(caller, namespace, folder)
        if not member or (entry is not None and (entry.deleted or entry.kind is not Kind.DIR)):
            raise NotFound(what="The folder")
        if entry is not None and entry.mount:
            here = (await self._history.head(caller, NamespaceId(folder))).namespace
        after = None if page is None else _decode(page)
        found = await self._store.children(here, folder, after, limit + 1)
        more = len(found) > limit
        found = found[:limit]
        return ChildrenPage(
            namespace=here,
            entries=[Entry.of(child) for _, child in found],
            next=urlsafe_b64encode(found[-1][0].encode()).decode() if more else None,
        )

    async def versions(self, caller: Caller, namespace: NamespaceId | None, node: NodeId) -> Versions:
        """The newest `BATCH_MAX` revisions of a file, deleted or not. Raises `NotFound`."""
        here, entry, _ = await self._reach(caller, namespace, node)
        if entry is None:
            raise NotFound(what="The node")
        rows = await self._store.versions(here, node, BATCH_MAX)
        return Versions(namespace=here, entries=[Entry.of(row) for row in rows])

    async def revision_blocks(self, caller: Caller, namespace: NamespaceId, refs: Sequence[RevisionRef]) -> list[RevisionBlocks]:
        if len(refs) > BATCH_MAX:
            raise LimitExceeded(what="The number of revisions", limit=BATCH_MAX)
        if await self._store.head(caller.user_id, namespace) is not None:
            manifests = await self._store.revision_blocks(namespace, refs)
            if any(manifest.blocks is None and not manifest.raw for manifest in manifests):
                check_newest("The newest state of the namespace")
            return manifests
        granted = await self._granted(caller, namespace, [ref.node_id for ref in refs])
        found = iter(await self._store.revision_blocks(namespace, [ref for ref in refs if ref.node_id in granted]))
        nothing = [RevisionBlocks(node_id=ref.node_id, revision=ref.revision) for ref in refs]
        return [next(found) if ref.node_id in granted else none for ref, none in zip(refs, nothing, strict=True)]

    async def may_send(self, caller: Caller, namespace: NamespaceId) -> Access:
        head = await self._store.head(caller.user_id, namespace)
        if head is not None:
            return head.access
        if self._access is not None and await self._access.may_send(caller, namespace):
            return Access.WRITE
        raise NotFound(what="The namespace")

    async def _granted(self, caller: Caller, namespace: NamespaceId, nodes: Sequence[NodeId]) -> frozenset[NodeId]:
        """Raises `NotFound` where none of these was granted to the caller."""
        granted = frozenset[NodeId]() if self._access is None else await self._access.granted(caller, namespace, nodes)
        if not granted:
            raise NotFound(what="The namespace")
        return granted

    async def _reach(
        self, caller: Caller, namespace: NamespaceId | None, node: NodeId
    ) -> tuple[NamespaceId, JournalEntry | None, bool]:
        """Where the node lives, its state (None: that namespace's own root folder), and whether the caller is a member there."""
        if self._access is not None:
            reach = await self._access.may_read(caller, namespace, node)
            return reach.namespace, reach.entry, reach.is_member
        here = (await self._history.head(caller, namespace)).namespace
        return here, None if node == NodeId(here) else await self._node(here, node), True

    async def _node(self, namespace: NamespaceId, node: NodeId) -> JournalEntry:
        found = await self._store.nodes(namespace, [node])
        if not found:
            raise NotFound(what="The node")
        return found[0]


def _decode(page: str) -> str:
    try:
        return b64decode(page, altchars=b"-_", validate=True).decode()
    except (Base64Error, ValueError):
        raise CorruptCursor from None
