"""A folder of the user's own tree that becomes a shared one keeps its id, and so does everything in it: only whose journal tells of
them changes (`docs/protocol.md` §5).

The root's journal has one row for it, the folder as a mount, with which all that lies below leaves the root namespace at that very
point. Both sides do the same sum: the row carries the whole subtree over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from msgspec.structs import replace

from syncline.client.observe.snapshot import remote_node
from syncline.client.trees.tree import Tree
from syncline.client.trees.trees import Trees
from syncline.model.entries import Access, RemoteNode
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.journal import EMPTY_CHAIN, JournalEntry
from syncline.model.limits import DEPTH_MAX
from syncline.ports.tree_store import CursorRow


def after(namespace: NamespaceId, entries: Sequence[JournalEntry], remote: Tree[RemoteNode]) -> dict[NodeId, RemoteNode | None]:
    """What becomes of every node that these rows touch (None: it goes), while the tree stays as it is."""
    changed: dict[NodeId, RemoteNode | None] = {}
    for entry in entries:
        changed[entry.node_id] = None if entry.deleted else remote_node(namespace, entry)
        if entry.mount and not entry.deleted:
            for node in _below(entry.node_id, namespace, changed, remote):
                changed[node.id] = replace(node, namespace=NamespaceId(entry.node_id))
    return changed


def carry_over(
    trees: Trees, folder: NodeId, namespace: NamespaceId, spaces: Collection[NamespaceId]
) -> list[tuple[RemoteNode, RemoteNode]]:
    """The folder is a mount now: all of `namespace` that lies below it belongs to the shared namespace. Each node as it was and as
    it is. `spaces`: as for `rebase_below`."""
    shared = NamespaceId(folder)
    moved = [(old, replace(old, namespace=shared)) for old in _below(folder, namespace, {}, trees.remote)]
    for _, new in moved:
        trees.put_remote(new)
    rebase_below(trees, folder, spaces)
    return moved


def rebase_below(trees: Trees, folder: NodeId, spaces: Collection[NamespaceId]) -> None:
    """A base is of the namespace in which its place lies: what was agreed on below the folder goes with it. So it does where the
    server has moved it out since (it moves here too, and nobody here took it anywhere), and where it was deleted there (it is in
    the shared folder's trash, and goes here too). `spaces` are the shared folders that are known of: they are in no other."""
    namespace, frontier, seen = NamespaceId(folder), [folder], {folder}
    while frontier:
        for base in trees.synced.children(frontier.pop()):
            if base.id in seen or NamespaceId(base.id) in spaces:  # Bases of different instants may form rings.
                continue
            if base.namespace != namespace:
                trees.put_synced(replace(base, namespace=namespace))
            seen.add(base.id)
            frontier.append(base.id)


def unread_row(trees: Trees, namespace: NamespaceId) -> CursorRow:
    """Where a namespace stands that nodes were carried into and that was not read yet: nowhere, under its folder's name."""
    folder = NodeId(namespace)
    known = trees.remote.get(folder) or trees.synced.get(folder) or trees.local.get(folder)
    return CursorRow(
        namespace=namespace,
        name="" if known is None else known.name,
        access=trees.access.get(namespace, Access.READ),
        is_root=False,
        cursor="",
        epoch="",
        sequence=0,
        chain=EMPTY_CHAIN,
        root="",
    )


def _below(
    folder: NodeId, namespace: NamespaceId, changed: dict[NodeId, RemoteNode | None], remote: Tree[RemoteNode]
) -> Iterator[RemoteNode]:
    """The nodes of `namespace` below `folder`, as they are with what has `changed`; a bounded walk, each node once."""
    arrived: dict[NodeId, list[RemoteNode]] = {}
    for node in changed.values():
        if node is not None:
            arrived.setdefault(node.parent, []).append(node)
    seen, frontier = {folder}, [folder]
    for _ in range(DEPTH_MAX + 1):
        found = [
            node
            for above in frontier
            for node in (*(child for child in remote.children(above) if child.id not in changed), *arrived.get(above, ()))
            if node.namespace == namespace and node.id not in seen
        ]
        if not found:
            return
        seen.update(node.id for node in found)
        frontier = [node.id for node in found]
        yield from found
