"""What a commit's rules must know of the stored tree, gathered in a handful of set-based questions before any rule runs.

Everything is read under the namespace's row lock, so it stays true until the transaction ends; the rules after it are pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct, field

from syncline.model.entries import Kind
from syncline.model.errors import LimitExceeded, NotFound
from syncline.model.ids import Digest, NamespaceId, NodeId, UserId, is_digest, is_ulid
from syncline.model.journal import JournalEntry
from syncline.model.limits import COMMIT_NODES_MAX
from syncline.model.paths import key_rule, name_problem
from syncline.ports.metadata_store import CommitTransaction, HeldBlock, Place, RawObject
from syncline.protocol.commits import Change, Op


class Facts(Struct, kw_only=True):
    """`nodes` holds every stored node the changes name, everything above where they lead, and everything below what they move or
    delete whole; what is not there does not exist. `children` and `gone` are the live tree below the latter, and what was deleted
    together with folders to be restored. `elsewhere` are sizes of blocks the writer may read in other namespaces."""

    namespace: NamespaceId
    now_us: int
    key: Callable[[str], str]
    """The namespace's rule for colliding names. No rule goes without saying: a name kept under another's is never found again."""
    nodes: dict[NodeId, JournalEntry] = field(default_factory=dict)
    holders: dict[Place, NodeId] = field(default_factory=dict)
    children: dict[NodeId, list[NodeId]] = field(default_factory=dict)
    gone: dict[NodeId, list[NodeId]] = field(default_factory=dict)
    child_counts: dict[NodeId, int] = field(default_factory=dict)
    heights: dict[NodeId, int] = field(default_factory=dict)
    joined: frozenset[NamespaceId] = frozenset()
    """Of the shared folders whose mounts are to come back: those the caller is a member of."""
    taken: frozenset[NodeId] = frozenset()
    """Of the ids of what is new here: those that the caller's other namespaces have, be it in their trash, or are the ids of. An
    id that comes to be twice in one person's tree is never sorted out again."""
    kept: dict[tuple[NodeId, int], JournalEntry] = field(default_factory=dict)
    """The earlier revisions that changes name."""
    purged: dict[NodeId, int] = field(default_factory=dict)
    """The last revisions of nodes that were purged: numbers go on after them."""
    held: dict[Digest, HeldBlock] = field(default_factory=dict)
    elsewhere: dict[Digest, int] = field(default_factory=dict)
    raws: Mapping[NodeId, RawObject] = field(default_factory=dict)
    """Objects uploaded plainly, by the node whose content they become."""

    @property
    def root(self) -> NodeId:
        """The id of the namespace's root folder, which is no stored node."""
        return NodeId(self.namespace)

    def block_size(self, block: Digest) -> int | None:
        """The plain size of a block the commit may name; None for one it may not."""
        held = self.held.get(block)
        return held.size if held is not None else self.elsewhere.get(block)


async def gather(transaction: CommitTransaction, user: UserId, changes: Sequence[Change], now_us: int) -> Facts:
    """Raises `LimitExceeded` when recursive changes reach more nodes than one commit may touch."""
    head = transaction.head
    facts = Facts(namespace=head.namespace, now_us=now_us, key=key_rule(head.name_key_version))
    named = {change.node_id for change in changes} | {change.parent_id for change in changes if change.parent_id is not None}
    _keep(facts, await transaction.nodes(list(named)))
    await _gather_past(transaction, facts, user, changes)
    placing = [change for change in changes if change.op in (Op.CREATE, Op.MOVE, Op.UNDELETE)]
    leads = {change.parent_id or change.node_id for change in placing} - {facts.root}
    _keep(facts, await transaction.ancestors([node for node in leads if node in facts.nodes]))
    await _gather_subtrees(transaction, facts, changes)
    mounts = [NamespaceId(node.node_id) for node in facts.nodes.values() if node.mount and node.deleted]
    facts.joined = frozenset(await transaction.joined(user, mounts)) if mounts else frozenset()
    places = {place for change in placing if (place := _place(facts, change)) is not None}
    holders = await transaction.holders(list(places))
    _keep(facts, holders)
    facts.holders = {(node.parent_id, facts.key(node.name)): node.node_id for node in holders}
    await _gather_blocks(transaction, facts, user, changes)
    return facts


async def ground(transaction: CommitTransaction, parent: NodeId, names: Sequence[str], now_us: int) -> Facts:
    """What must be known to put one node into a folder under one of these names: the folder, what is above it, and who has the
    names. Raises `NotFound` where there is no such folder, or it is a mount (what lies there is of another namespace)."""
    head = transaction.head
    facts = Facts(namespace=head.namespace, now_us=now_us, key=key_rule(head.name_key_version))
    if parent != facts.root:
        known = await transaction.nodes([parent])
        if not known or known[0].deleted or known[0].kind is not Kind.DIR or known[0].mount:
            raise NotFound(what="The folder it would lie in")
        _keep(facts, known)
        _keep(facts, await transaction.ancestors([parent]))
    holders = await transaction.holders([(parent, facts.key(name)) for name in names])
    _keep(facts, holders)
    facts.holders = {(node.parent_id, facts.key(node.name)): node.node_id for node in holders}
    return facts


async def _gather_past(transaction: CommitTransaction, facts: Facts, user: UserId, changes: Sequence[Change]) -> None:
    refs = [(change.node_id, change.from_revision) for change in changes if change.from_revision is not None]
    if refs:
        facts.kept = {(row.node_id, row.revision): row for row in await transaction.revisions(refs)}
    placed = [change for change in changes if change.op in (Op.CREATE, Op.UNDELETE) and change.node_id not in facts.nodes]
    new = [change for change in placed if is_ulid(change.node_id)]
    if new:
        unknown = [change.node_id for change in new]
        facts.purged = await transaction.tombstones(unknown)
        taken = set(await transaction.elsewhere(user, unknown))
        folders = [NamespaceId(change.node_id) for change in new if change.kind is not Kind.FILE and change.content_hash is None]
        taken |= {NodeId(space) for space in await transaction.joined(user, folders)} if folders else set()
        facts.taken = frozenset(taken)


async def _gather_subtrees(transaction: CommitTransaction, facts: Facts, changes: Sequence[Change]) -> None:
    folders = [change for change in changes if (node := facts.nodes.get(change.node_id)) is not None and node.kind is Kind.DIR]
    deletes = [change for change in folders if change.op is Op.DELETE]
    moves = [change for change in folders if change.op is Op.MOVE]
    whole = [change.node_id for change in deletes if change.recursive]
    whole += [change.node_id for change in moves if change.subtree_as_of is not None]
    below = await transaction.below(whole, COMMIT_NODES_MAX + 1)
    restored = [change.node_id for change in folders if change.op is Op.UNDELETE and change.recursive]
    gone = await transaction.deleted_with(restored, COMMIT_NODES_MAX + 1)
    if len(below) + len(gone) > COMMIT_NODES_MAX:
        raise LimitExceeded(what="The number of nodes in one commit", limit=COMMIT_NODES_MAX)
    _keep(facts, below)
    _keep(facts, gone)
    facts.children = _by_parent(below)
    facts.gone = _by_parent(gone)
    facts.child_counts = await transaction.child_counts([change.node_id for change in deletes if not change.recursive])
    facts.heights = await transaction.heights([change.node_id for change in moves if change.parent_id is not None])


async def _gather_blocks(transaction: CommitTransaction, facts: Facts, user: UserId, changes: Sequence[Change]) -> None:
    wanted = list({block for change in changes for block in change.blocks or () if is_digest(block)})
    if not wanted:
        return
    facts.held = await transaction.held(wanted)
    unknown = [block for block in wanted if block not in facts.held]
    if unknown:
        facts.elsewhere = await transaction.readable_elsewhere(user, unknown)


def _place(facts: Facts, change: Change) -> Place | None:
    """Where a change leads, if a stored node could be there already."""
    stored = facts.nodes.get(change.node_id)
    parent = change.parent_id or (stored.parent_id if stored is not None else None)
    name = change.name if change.name is not None else (stored.name if stored is not None else None)
    if parent is None or name is None or (parent not in facts.nodes and parent != facts.root):
        return None
    if name_problem(name) is not None:
        return None
    return parent, facts.key(name)


def _keep(facts: Facts, nodes: Iterable[JournalEntry]) -> None:
    facts.nodes.update((node.node_id, node) for node in nodes)


def _by_parent(nodes: Iterable[JournalEntry]) -> dict[NodeId, list[NodeId]]:
    children: dict[NodeId, list[NodeId]] = defaultdict(list)
    for node in nodes:
        children[node.parent_id].append(node.node_id)
    return dict(children)
