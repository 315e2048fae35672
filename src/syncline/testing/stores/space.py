"""One namespace's rows in dictionaries: the tree with its indexes, the journal, revisions, possession, and stored answers.

Everything kept is immutable, so a copy of the dictionaries is a copy of it all. What a database's constraints refuse is refused
before anything is changed, with `BrokenConstraint`: only a defect of the rules breaks one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from syncline.model.blocks import Block
from syncline.model.entries import Access, Kind
from syncline.model.ids import DeviceId, Digest, NamespaceId, NodeId, UserId
from syncline.model.journal import EMPTY_CHAIN, JournalEntry, root_text
from syncline.ports.metadata_store import ChainedRow, Head, HeldBlock, NewRevision, Place, StoredAnswer, Written

_NOTHING: Final[dict[str, NodeId]] = {}


class BrokenConstraint(Exception):
    """What the database would have refused to store."""


class Revision(Struct, frozen=True, gc=False):
    """A revision of a file as it was born, with its manifest."""

    entry: JournalEntry
    cut: str
    blocks: tuple[Block, ...]


class Invited(Struct, frozen=True):
    access: Access
    by: UserId
    created_us: int


class Grant(Struct, frozen=True):
    access: Access
    by: UserId
    created_us: int


class Answered(Struct, frozen=True):
    stored: StoredAnswer
    time_us: int


class Space:
    """A namespace. `journal` holds the rows above `pruned`; `keys` the name keys of live nodes; `children` and `gone` index live
    and deleted nodes by parent; `named` are the blocks of retained revisions; `reserved_bytes` those of packs granted only;
    `sources` other namespaces whose packs may serve a block."""

    def __init__(self, namespace: NamespaceId, owner: UserId, name: str, *, is_root: bool, epoch: str, name_keys: int) -> None:
        self.id = namespace
        self.owner = owner
        self.name = name
        self.is_root = is_root
        self.epoch = epoch
        self.name_keys = name_keys
        self.sequence = 0
        self.published = 0
        self.pruned = 0
        self.chain = EMPTY_CHAIN
        self.root = root_text(0)
        self.used_bytes = 0
        self.reserved_bytes = 0
        self.members: dict[UserId, Access] = {}
        self.since: dict[UserId, int] = {}
        self.invitations: dict[UserId, Invited] = {}
        self.grants: dict[tuple[NodeId, UserId], Grant] = {}
        self.sources: dict[Digest, frozenset[NamespaceId]] = {}
        self.nodes: dict[NodeId, JournalEntry] = {}
        self.keys: dict[NodeId, str] = {}
        self.children: dict[NodeId, dict[str, NodeId]] = {}
        self.gone: dict[NodeId, dict[NodeId, None]] = {}
        self.journal: list[ChainedRow] = []
        self.revisions: dict[NodeId, dict[int, Revision]] = {}
        self.named: dict[Digest, int] = {}
        self.held: dict[Digest, HeldBlock] = {}
        self.answers: dict[tuple[DeviceId, str], Answered] = {}

    def copy(self) -> Space:
        """The same rows, to be changed on their own."""
        other = Space.__new__(Space)
        other.__dict__.update(self.__dict__)
        for name in (
            "members",
            "since",
            "invitations",
            "grants",
            "sources",
            "nodes",
            "keys",
            "named",
            "held",
            "answers",
            "journal",
        ):
            setattr(other, name, getattr(self, name).copy())
        for name in ("children", "gone", "revisions"):
            setattr(other, name, {key: inner.copy() for key, inner in getattr(self, name).items()})
        return other

    def head(self, user: UserId) -> Head | None:
        """As this member sees it; None for anybody else."""
        access = self.members.get(user)
        return None if access is None else self._head(access)

    def head_by_grants(self, user: UserId) -> Head | None:
        """As somebody sees it who was granted single files to write; None without any grant."""
        granted = {node: grant.access for (node, whose), grant in self.grants.items() if whose == user and node in self.keys}
        if not granted:
            return None
        writable = frozenset(node for node, access in granted.items() if access.may_write)
        return self._head(Access.WRITE if writable else Access.READ, writable)

    def _head(self, access: Access, only: frozenset[NodeId] | None = None) -> Head:
        return Head(
            namespace=self.id,
            name=self.name,
            owner=self.owner,
            access=access,
            is_root=self.is_root,
            epoch=self.epoch,
            sequence=self.sequence,
            chain=self.chain,
            root=self.root,
            pruned_sequence=self.pruned,
            name_key_version=self.name_keys,
            only=only,
        )

    def row(self, sequence: int) -> ChainedRow | None:
        """The journal row, where it is still kept."""
        return self.journal[sequence - self.pruned - 1] if self.pruned < sequence <= self.sequence else None

    def served_by(self, block: Digest) -> frozenset[NamespaceId]:
        """The namespaces whose packs may serve a block here before it was verified."""
        return self.sources.get(block, frozenset()) | {self.id}

    # -- The tree ------------------------------------------------------------------------------------------------------------

    def some(self, ids: Iterable[NodeId]) -> list[JournalEntry]:
        """Those that exist, once each."""
        nodes = self.nodes
        return [nodes[node] for node in dict.fromkeys(ids) if node in nodes]

    def above(self, ids: Iterable[NodeId]) -> list[JournalEntry]:
        found: dict[NodeId, JournalEntry] = {}
        for node in ids:
            stored = self.nodes.get(node)
            while stored is not None:
                parent = stored.parent_id
                stored = None if parent in found else self.nodes.get(parent)
                if stored is not None:
                    found[parent] = stored
        return list(found.values())

    def holder(self, place: Place) -> JournalEntry | None:
        node = self.children.get(place[0], _NOTHING).get(place[1])
        return None if node is None else self.nodes[node]

    def below(self, ids: Iterable[NodeId], limit: int) -> list[JournalEntry]:
        """The live ones of `ids` and what is live below any of `ids`."""
        found: list[JournalEntry] = []
        frontier = [node for node in dict.fromkeys(ids) if node in self.nodes]
        seen = set(frontier)
        while frontier and len(found) < limit:
            node = frontier.pop()
            if node in self.keys:
                found.append(self.nodes[node])
            for child in self.children.get(node, _NOTHING).values():
                if child not in seen:
                    seen.add(child)
                    frontier.append(child)
        return found

    def deleted_with(self, ids: Iterable[NodeId], limit: int) -> list[JournalEntry]:
        found: list[JournalEntry] = []
        frontier = [node for node in dict.fromkeys(ids) if node in self.nodes and node not in self.keys]
        seen = set(frontier)
        while frontier and len(found) < limit:
            node = self.nodes[frontier.pop()]
            found.append(node)
            for child in self.gone.get(node.node_id, ()):
                if child not in seen and self.nodes[child].changeset == node.changeset:
                    seen.add(child)
                    frontier.append(child)
        return found

    def height(self, node: NodeId) -> int:
        """How many levels of live folders lie below it."""
        level, folders = 0, [node]
        while True:
            below = [child for folder in folders for child in self.children.get(folder, _NOTHING).values()]
            folders = [child for child in below if self.nodes[child].kind is Kind.DIR]
            if not folders:
                return level
            level += 1

    # -- Writing -------------------------------------------------------------------------------------------------------------

    def check(self, written: Written) -> None:
        """Raises `BrokenConstraint` for what the database would refuse, and for raw contents: there are none in memory."""
        if written.raws or written.cut or written.rejected:
            raise BrokenConstraint("raw contents are not kept in memory")
        if (written.device, written.key) in self.answers:
            raise BrokenConstraint(f"an answer is stored under {written.key!r} already")
        for number, row in enumerate(written.rows, start=self.sequence + 1):
            if row.entry.sequence != number:
                raise BrokenConstraint(f"row {row.entry.sequence} does not follow {number - 1}")
            if (row.entry.node_id in written.fresh) is (row.entry.node_id in self.nodes):
                raise BrokenConstraint(f"{row.entry.node_id} is stored, and fresh, or neither")
        self._check_names(written)
        for revision in written.revisions:
            known = self.revisions.get(revision.entry.node_id, {})
            if revision.entry.revision in known or (revision.blocks is None and revision.based_on not in known):
                raise BrokenConstraint(f"a revision of {revision.entry.node_id} is there already, or based on none")
        for block in written.acquired:
            if block.hash in self.held:
                raise BrokenConstraint(f"{block.hash} is held already")

    def _check_names(self, written: Written) -> None:
        freed = set(map(self._place, written.vacated))
        taken: dict[Place, NodeId] = {}
        for row, key in _in_order(written):
            entry = row.entry
            old = self._place(entry.node_id)
            if key is not None:
                place = (entry.parent_id, key)
                holder = taken.get(place) or (None if place in freed else self.children.get(place[0], _NOTHING).get(key))
                if holder not in (None, entry.node_id):
                    raise BrokenConstraint(f"{place} holds {holder} already")
                taken[place] = entry.node_id
            if old is not None:
                freed.add(old)

    def _place(self, node: NodeId) -> Place | None:
        key = self.keys.get(node)
        return None if key is None else (self.nodes[node].parent_id, key)

    def remove(self, node: NodeId) -> None:
        """Takes a node out altogether."""
        self._unplace(node)
        del self.nodes[node]

    def extend(self, rows: list[ChainedRow], keys: list[str | None]) -> None:
        """Journal rows with the nodes as they leave them."""
        for row, key in zip(rows, keys, strict=True):
            self._place_node(row.entry, key)
        self.journal += rows
        if rows:
            self.sequence, self.chain, self.root = rows[-1].entry.sequence, rows[-1].chain, rows[-1].root

    def rename_blocks(self) -> None:
        """Finds out anew which blocks the revisions name."""
        self.named = {}
        for revisions in self.revisions.values():
            for revision in revisions.values():
                for block in revision.blocks:
                    self.named[block.hash] = max(block.size, self.named.get(block.hash, 0))

    def apply(self, written: Written) -> None:
        """Writes what `check` let pass. Never fails half-way."""
        for node in written.vacated:
            self._unplace(node)
        for row in written.rows:
            self._unplace(row.entry.node_id)
        self.extend(written.rows, written.keys)
        for revision in written.revisions:
            self._add_revision(revision)
        for block in written.acquired:
            self.held[block.hash] = HeldBlock(block.size)
            self.used_bytes += block.size
        for block in written.revived:
            self.revive(block.hash)
        self.answers[written.device, written.key] = Answered(written.stored, written.time_us)

    def revive(self, digest: Digest) -> None:
        """A condemned block is held, and counts, again."""
        known = self.held.get(digest)
        if known is not None and known.condemned:
            self.held[digest] = HeldBlock(known.size)
            self.used_bytes += known.size

    def _unplace(self, node: NodeId) -> None:
        """Takes a stored node out of the indexes by parent."""
        stored = self.nodes.get(node)
        if stored is None:
            return
        key = self.keys.pop(node, None)
        if key is not None:
            del self.children[stored.parent_id][key]
        else:
            self.gone.get(stored.parent_id, {}).pop(node, None)

    def _place_node(self, entry: JournalEntry, key: str | None) -> None:
        self.nodes[entry.node_id] = entry
        if key is None:
            self.gone.setdefault(entry.parent_id, {})[entry.node_id] = None
        else:
            self.keys[entry.node_id] = key
            self.children.setdefault(entry.parent_id, {})[key] = entry.node_id

    def _add_revision(self, born: NewRevision) -> None:
        known = self.revisions.setdefault(born.entry.node_id, {})
        if born.blocks is not None:
            revision = Revision(born.entry, born.cut, born.blocks)
        else:
            base = known[born.based_on]
            revision = Revision(born.entry, base.cut, base.blocks)
            for block in base.blocks:
                self.revive(block.hash)
        known[born.entry.revision] = revision
        for block in revision.blocks:
            self.named[block.hash] = max(block.size, self.named.get(block.hash, 0))


def _in_order(written: Written) -> Iterator[tuple[ChainedRow, str | None]]:
    """Rows with their keys, as the database writes them: changed nodes first, then new ones."""
    pairs = list(zip(written.rows, written.keys, strict=True))
    yield from (pair for pair in pairs if pair[0].entry.node_id not in written.fresh)
    yield from (pair for pair in pairs if pair[0].entry.node_id in written.fresh)
