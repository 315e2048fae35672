"""A namespace as the server has it, collected whole: every live node, then the changes made while the pages were read."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from syncline.model.entries import RemoteNode
from syncline.model.errors import Corrupt
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.model.journal import JournalEntry, chain_over
from syncline.ports.remote import Remote

SNAPSHOT_PAGES_MAX: Final = 100_000
REPLAY_PAGES_MAX: Final = 1_000_000


class Collected(Struct, frozen=True):
    """`root` is the server's word for `sequence`; whether the nodes add up to it is for the caller to see."""

    nodes: dict[NodeId, RemoteNode]
    cursor: str
    epoch: str
    sequence: int
    chain: Digest
    root: str


async def collect(remote: Remote, namespace: NamespaceId) -> Collected:
    """Raises `Corrupt` where the history is not one, and what the remote raises."""
    nodes: dict[NodeId, RemoteNode] = {}
    page = await remote.snapshot(namespace, None)
    epoch, sequence, chain = page.epoch, page.sequence, page.chain
    cursor = page.cursor
    for _ in range(SNAPSHOT_PAGES_MAX):
        for entry in page.entries:
            nodes[entry.node_id] = remote_node(namespace, entry.row())
        if page.next is None:
            break
        page = await remote.snapshot(namespace, page.next)
    root, mounted = "", False
    for _ in range(REPLAY_PAGES_MAX):
        changes = await remote.changes(namespace, cursor)
        entries = [entry.row() for entry in changes.entries]
        replay(namespace, nodes, entries)
        mounted = mounted or any(entry.mount for entry in entries)
        chain = chain_over(chain, entries)
        if (changes.epoch, changes.chain) != (epoch, chain):
            raise Corrupt(what=f"The snapshot of {namespace}", reason="the history changed while it was read")
        cursor, sequence, root = changes.cursor, changes.sequence, changes.root
        if not changes.has_more:
            break
    if mounted:
        drop_carried(namespace, nodes)
    return Collected(nodes, cursor, epoch, sequence, chain, root)


def replay(namespace: NamespaceId, nodes: dict[NodeId, RemoteNode], entries: list[JournalEntry]) -> None:
    """Brings `nodes` to the state after these rows."""
    for entry in entries:
        if entry.deleted:
            nodes.pop(entry.node_id, None)
        else:
            nodes[entry.node_id] = remote_node(namespace, entry)


def drop_carried(namespace: NamespaceId, nodes: dict[NodeId, RemoteNode]) -> None:
    """Leaves what hangs below the namespace's root without a mount between. A folder that was shared while pages were read took all
    below it along, of which earlier pages may have listed some, and later ones not the folders above those."""
    children: dict[NodeId, list[NodeId]] = {}
    for node in nodes.values():
        children.setdefault(node.parent, []).append(node.id)
    kept, frontier = set[NodeId](), [NodeId(namespace)]
    while frontier:
        below = children.pop(frontier.pop(), [])
        kept.update(below)
        frontier += [node for node in below if not nodes[node].mount]
    for node_id in nodes.keys() - kept:
        del nodes[node_id]


def remote_node(namespace: NamespaceId, entry: JournalEntry) -> RemoteNode:
    """The node as a journal row places it."""
    return RemoteNode(
        id=entry.node_id,
        namespace=namespace,
        parent=entry.parent_id,
        name=entry.name,
        kind=entry.kind,
        revision=entry.revision,
        content_hash=entry.content_hash,
        size=entry.size,
        executable=entry.executable,
        mtime_us=entry.mtime_us,
        mount=entry.mount,
    )
