"""Where a caller's things are: their root, the namespaces mounted into it, and the paths both give.

Everything a view reads is found here first, so a view sees just the namespaces its caller is a member of at this instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct

from syncline.model.errors import HistoryExpired, InvalidRequest, NotFound
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.ports.metadata_store import Head, MetadataStore
from syncline.ports.view_store import ViewStore
from syncline.protocol import tree
from syncline.protocol.changes import to_us
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata

Heads = dict[NamespaceId, Head]


class Scope(Struct, frozen=True, kw_only=True):
    """A place in the caller's tree: what lies at and below `node` of `namespace`; the top of a namespace has its id."""

    namespace: NamespaceId
    node: NodeId
    path: str

    @property
    def is_top(self) -> bool:
        return self.node == NodeId(self.namespace)

    def holds(self, lineage: Sequence[JournalEntry]) -> bool:
        """Whether a node of the scope's namespace, with what is above it, lies here."""
        return self.is_top or any(entry.node_id == self.node for entry in lineage)


class Places:
    def __init__(self, metadata: Metadata, store: MetadataStore, views: ViewStore) -> None:
        self.metadata = metadata
        self._store = store
        self._views = views

    async def heads(self, caller: Caller) -> Heads:
        """The namespaces the caller may see, by id; their own root first."""
        return {head.namespace: head for head in await self._store.heads(caller.user_id)}

    async def find(self, caller: Caller, path: str) -> Scope:
        """What is at a path now. Raises `NotFound`, `InvalidName`."""
        found = await self.metadata.metadata_by_path(caller, path)
        if found.entry is None:
            return Scope(namespace=found.namespace, node=NodeId(found.namespace), path="/")
        namespace = NamespaceId(found.entry.node_id) if found.entry.mount else found.namespace
        return Scope(namespace=namespace, node=found.entry.node_id, path=found.path)

    async def entry(self, caller: Caller, path: str) -> tree.Metadata:
        """The node at a path now. Raises `NotFound`, `InvalidName`."""
        return await self.metadata.metadata_by_path(caller, path)

    async def mounts(self, caller: Caller, heads: Heads) -> dict[NamespaceId, str]:
        """The paths at which namespaces lie in the caller's tree: "" for the root itself. Those not mounted are left out."""
        root = own_root(caller, heads)
        entries = await self._store.nodes(root.namespace, [NodeId(one) for one in heads if one != root.namespace])
        mounted = [(entry.node_id, root.sequence) for entry in entries if entry.mount and not entry.deleted]
        lineages = await self._views.lineages(root.namespace, mounted)
        paths = {NamespaceId(node): path_of(lineage) for (node, _), lineage in lineages.items()}
        return {root.namespace: ""} | {namespace: path for namespace, path in paths.items() if namespace in heads}

    async def home(self, caller: Caller, node: NodeId, namespace: NamespaceId | None) -> Head:
        """The namespace a node is in, the caller's own root before others. Raises `NotFound`, for others' nodes too."""
        heads = await self.heads(caller)
        homes = await self._views.homes(caller.user_id, node)
        found = next((head for head in heads.values() if head.namespace in homes and namespace in (None, head.namespace)), None)
        if found is None:
            raise NotFound(what="The file")
        return found


def own_root(caller: Caller, heads: Heads) -> Head:
    """Raises `NotFound` for a user without a tree."""
    root = next((head for head in heads.values() if head.is_root and head.owner == caller.user_id), None)
    if root is None:
        raise NotFound(what="The namespace")
    return root


def path_of(lineage: Sequence[JournalEntry], prefix: str = "") -> str:
    """The path of a node given with what is above it, below `prefix`."""
    return prefix + "/" + "/".join(entry.name for entry in reversed(lineage))


def time_of(text: str) -> int | None:
    """Microseconds of an RFC 3339 time; None for a text that is none. Raises `InvalidRequest` for a time without a zone."""
    try:
        time = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
    except ValueError:
        return None
    if time.tzinfo is None:
        raise InvalidRequest(message=f"The time {text[:40]} has no time zone: end it with Z")
    return to_us(time.astimezone(UTC))


async def since_sequence(views: ViewStore, head: Head, time_us: int) -> int:
    """The sequence a namespace's journal stood at. Raises `HistoryExpired`."""
    position = await views.position_at(head.namespace, time_us)
    if position is None:
        raise HistoryExpired(namespace=head.namespace)
    return min(position.sequence, head.sequence)
