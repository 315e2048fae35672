"""Random changesets against a small model that knows only what is right, not how it is checked.

The model applies a changeset to a dictionary and then looks at the *whole* tree: every live node has a live folder above it, no two
live siblings share a name key, nothing lies inside itself. The service must accept exactly what leaves such a tree, write what the
model says, refuse the rest without a trace, name failures whose removal makes the remainder acceptable, and keep chain and root
such that both can be recomputed from the journal alone.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.unit.server_metadata.world import Member, World, content, fresh_database

from syncline.model.entries import Kind
from syncline.model.errors import CommitRefused
from syncline.model.ids import Digest, NodeId
from syncline.model.paths import name_key
from syncline.protocol.commits import Change, Op

SEEDS = 6
MEMORY_SEEDS = 30
CHANGESETS = 40
NAMES = ("a", "A", "b", "é", "e\u0301", "c")
BYTES = (b"", b"one", b"two", b"three")


@dataclass(frozen=True)
class Modelled:
    parent: NodeId
    name: str
    kind: Kind
    revision: int = 0
    content: Digest | None = None
    executable: bool = False
    deleted: bool = False
    sequence: int = 0
    changeset: int = 0


Tree = dict[NodeId, Modelled]


class Wrong(Exception):
    """The changeset cannot be applied."""


def applied(tree: Tree, changes: list[Change], root: NodeId, number: int) -> Tree:
    """The tree after a changeset. Raises `Wrong`."""
    seen: dict[NodeId, set[Op]] = {}
    for change in changes:
        ops = seen.setdefault(change.node_id, set())
        if ops and (change.op in ops or (ops | {change.op}) & {Op.CREATE, Op.DELETE}):
            raise Wrong
        ops.add(change.op)
    after = dict(tree)
    named = {change.node_id for change in changes if change.op is Op.UNDELETE}
    for change in changes:
        if change.op is not Op.DELETE:
            _apply(after, tree, change, named, number)
    for change in changes:
        if change.op is Op.DELETE:
            _delete(after, tree, change, number)
    _check(after, root)
    return after


def _apply(after: Tree, before: Tree, change: Change, named: set[NodeId], number: int) -> None:
    node = after.get(change.node_id)
    if node is None and change.op in (Op.CREATE, Op.UNDELETE):
        if change.parent_id is None or change.name is None or change.kind is None:
            raise Wrong
        file = change.kind is Kind.FILE
        hash_ = change.content_hash if file else None
        after[change.node_id] = Modelled(change.parent_id, change.name, change.kind, int(file), hash_, changeset=number)
        return
    if node is None or (node.deleted and change.op is not Op.UNDELETE):
        raise Wrong
    base = before[change.node_id].revision if change.node_id in before else 0
    stale = change.base_revision is not None and change.base_revision != base
    same_place = change.parent_id in (None, node.parent) and change.name in (None, node.name)
    same_bytes = change.content_hash in (None, node.content) and change.executable in (None, node.executable)
    if change.op is Op.CREATE or (change.op is Op.UNDELETE and not node.deleted):
        if change.kind not in (None, node.kind) or not same_place or not same_bytes:
            raise Wrong
        return
    if change.op is Op.EDIT and node.kind is Kind.FILE and not same_bytes:
        if stale:
            raise Wrong
        after[change.node_id] = _with_bytes(node, change, base)
    if change.op is Op.MOVE:
        if stale and node.kind is Kind.FILE:
            raise Wrong
        after[change.node_id] = replace(node, parent=change.parent_id or node.parent, name=change.name or node.name)
    if change.op is Op.UNDELETE:
        if stale:
            raise Wrong
        back = replace(node, deleted=False, parent=change.parent_id or node.parent, name=change.name or node.name)
        after[change.node_id] = back if same_bytes else _with_bytes(back, change, base)
        if change.recursive:
            _undelete_below(after, change.node_id, node.changeset, named)


def _with_bytes(node: Modelled, change: Change, base: int) -> Modelled:
    executable = node.executable if change.executable is None else change.executable
    return replace(node, revision=base + 1, content=change.content_hash or node.content, executable=executable)


def _undelete_below(after: Tree, top: NodeId, changeset: int, named: set[NodeId]) -> None:
    for node_id, node in list(after.items()):
        if node.parent == top and node.deleted and node.changeset == changeset and node_id not in named:
            after[node_id] = replace(node, deleted=False)
            _undelete_below(after, node_id, changeset, named)


def _delete(after: Tree, before: Tree, change: Change, number: int) -> None:
    node = after.get(change.node_id)
    if node is None:
        raise Wrong
    if node.deleted:
        return
    if node.kind is Kind.FILE:
        if change.base_revision != before[change.node_id].revision:
            raise Wrong
    elif change.recursive:
        _delete_below(after, before, change, change.node_id, number)
    after[change.node_id] = replace(node, deleted=True, changeset=number)


def _delete_below(after: Tree, before: Tree, change: Change, top: NodeId, number: int) -> None:
    """What lies below goes too, but for what this changeset itself has changed."""
    for node_id, node in before.items():
        if node.parent != top or node.deleted:
            continue
        now = after[node_id]
        if not now.deleted and now != node:
            continue
        if not now.deleted:
            assert change.subtree_as_of is not None
            if node.sequence > change.subtree_as_of:
                raise Wrong
            after[node_id] = replace(now, deleted=True, changeset=number)
        _delete_below(after, before, change, node_id, number)


def _check(tree: Tree, root: NodeId) -> None:
    taken: set[tuple[NodeId, str]] = set()
    for node_id, node in tree.items():
        if node.deleted:
            continue
        place = (node.parent, name_key(node.name))
        if place in taken:
            raise Wrong
        taken.add(place)
        above, seen = node.parent, {node_id}
        while above != root:
            folder = tree.get(above)
            if folder is None or folder.deleted or folder.kind is not Kind.DIR or above in seen:
                raise Wrong
            seen.add(above)
            above = folder.parent


class Draw:
    """Random changes, mostly sensible ones."""

    def __init__(self, seed: int, ada: Member) -> None:
        self.random = random.Random(seed)
        self.ada = ada
        self.born = 0

    def changeset(self, tree: Tree, head: int) -> list[Change]:
        count = self.random.choice((1, 1, 2, 3, 5, 8))
        fresh: list[NodeId] = []
        return [self.change(tree, head, fresh) for _ in range(count)]

    def change(self, tree: Tree, head: int, fresh: list[NodeId]) -> Change:
        live = [node_id for node_id, node in tree.items() if not node.deleted]
        gone = [node_id for node_id, node in tree.items() if node.deleted]
        op = self.random.choice((Op.CREATE, Op.CREATE, Op.EDIT, Op.MOVE, Op.MOVE, Op.DELETE, Op.UNDELETE))
        if op is Op.CREATE or not tree:
            return self.create(tree, live, fresh)
        if op is Op.UNDELETE and gone:
            return self.undelete(tree, self.random.choice(gone), live, fresh)
        node_id = self.random.choice(live or gone)
        node = tree[node_id]
        base = node.revision if self.random.random() < 0.9 else node.revision + 1
        if op is Op.EDIT and node.kind is Kind.FILE:
            given = content(self.random.choice(BYTES)) if self.random.random() < 0.7 else {}
            bit = self.random.choice((None, True, False))
            return Change(op=Op.EDIT, node_id=node_id, base_revision=base, executable=bit, **given)
        if op is Op.DELETE:
            recursive = self.random.random() < 0.6
            as_of = head if self.random.random() < 0.8 else max(0, head - 5)
            return Change(op=op, node_id=node_id, base_revision=base, recursive=recursive, subtree_as_of=as_of)
        return Change(op=Op.MOVE, node_id=node_id, base_revision=base, parent_id=self.folder(tree, live, fresh), name=self.name())

    def create(self, tree: Tree, live: list[NodeId], fresh: list[NodeId]) -> Change:
        self.born += 1
        node_id = self.ada.world.id(f"n{self.born}")
        parent = self.folder(tree, live, fresh)
        if self.random.random() < 0.5:
            fresh.append(node_id)
            return Change(op=Op.CREATE, node_id=node_id, parent_id=parent, name=self.name(), kind=Kind.DIR)
        given = content(self.random.choice(BYTES))
        return Change(op=Op.CREATE, node_id=node_id, parent_id=parent, name=self.name(), kind=Kind.FILE, **given)

    def undelete(self, tree: Tree, node_id: NodeId, live: list[NodeId], fresh: list[NodeId]) -> Change:
        place = {"parent_id": self.folder(tree, live, fresh), "name": self.name()} if self.random.random() < 0.6 else {}
        given = {}
        if tree[node_id].kind is Kind.FILE and self.random.random() < 0.3:
            given = content(self.random.choice(BYTES))
        return Change(op=Op.UNDELETE, node_id=node_id, recursive=self.random.random() < 0.5, **place, **given)

    def folder(self, tree: Tree, live: list[NodeId], fresh: list[NodeId]) -> NodeId:
        folders = [node_id for node_id in live if tree[node_id].kind is Kind.DIR] + fresh
        if self.random.random() < 0.03 and tree:
            return self.random.choice(list(tree))
        return self.ada.root if not folders or self.random.random() < 0.3 else self.random.choice(folders)

    def name(self) -> str:
        return self.random.choice(NAMES)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_the_service_agrees_with_the_model(seed: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path / "metadata.db"
    await fresh_database(path, tmp_path_factory)
    async with World.opened(path) as world:
        await _agrees(world, seed)


@pytest.mark.parametrize("seed", range(SEEDS, SEEDS + MEMORY_SEEDS))
async def test_the_service_agrees_with_the_model_over_stores_in_memory(seed: int) -> None:
    await _agrees(World.in_memory(), seed)


async def _agrees(world: World, seed: int) -> None:
    ada = await world.person("ada")
    await ada.put(*[data for data in BYTES if data])
    draw = Draw(seed, ada)
    tree: Tree = {}
    accepted = 0
    for number in range(1, CHANGESETS + 1):
        head = (await world.metadata.latest(ada.caller)).sequence
        changes = draw.changeset(tree, head)
        tree, fine = await _step(ada, tree, changes, number)
        accepted += fine
    assert accepted > CHANGESETS // 4
    await ada.check()


async def _step(ada: Member, tree: Tree, changes: list[Change], number: int) -> tuple[Tree, bool]:
    try:
        expected = applied(tree, changes, ada.root, number)
    except Wrong:
        expected = None
    before = (await ada.world.metadata.latest(ada.caller)).cursor
    refused = await _refused(ada, changes)
    if refused is not None:
        assert expected is None, f"refused what is right: {refused} in {changes}"
        assert await ada.entries(before) == []
        rest = [change for index, change in enumerate(changes) if index not in refused]
        if not rest:
            return tree, False
        expected = applied(tree, rest, ada.root, number)
        await ada.commit(*rest)
    assert expected is not None, f"accepted what is wrong: {changes}"
    return await _compared(ada, expected, before), True


async def _refused(ada: Member, changes: list[Change]) -> dict[int, str] | None:
    """The codes of what was refused, by index; None when all of it was accepted."""
    try:
        await ada.commit(*changes)
    except CommitRefused as refusal:
        return {failure["index"]: failure["code"] for failure in refusal.fields["failures"]}
    return None


async def _compared(ada: Member, expected: Tree, before: str) -> Tree:
    """The model's tree with the sequences the service gave, once both agree on everything else."""
    rows = {entry.node_id: entry for entry in await ada.entries(before)}
    found = {
        node_id: replace(node, sequence=rows[node_id].sequence if node_id in rows else node.sequence)
        for node_id, node in expected.items()
    }
    live = {
        entry.node_id: (entry.parent_id, entry.name, entry.kind, entry.revision, entry.content_hash, entry.executable)
        for entry in await ada.live()
    }
    assert live == {
        node_id: (node.parent, node.name, node.kind, node.revision, node.content, node.executable)
        for node_id, node in found.items()
        if not node.deleted
    }
    return found
