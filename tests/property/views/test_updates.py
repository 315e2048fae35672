"""Folded updates against a naive replay of the journal: random histories, windows, places and page sizes.

The replay builds both trees of a window from nothing but rows, walks every path, and says what must be told; the service must tell
exactly that, each node once, whatever the size of its pages.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.unit.server_metadata.world import Member, World, fresh_database
from tests.unit.server_views.kit import updates, views_of

from syncline.model.entries import Kind
from syncline.model.errors import CommitRefused
from syncline.model.ids import NodeId
from syncline.model.journal import JournalEntry
from syncline.protocol.commits import Change
from syncline.protocol.views import MovedPath, Update

SEEDS = 8
CHANGESETS = 60
BYTES = (b"one", b"two", b"three")

Tree = dict[NodeId, JournalEntry]
Told = tuple[NodeId, str, str | None, str | None]


def tree_at(rows: list[JournalEntry], sequence: int) -> Tree:
    state = {row.node_id: row for row in rows if row.sequence <= sequence}
    return {node: row for node, row in state.items() if not row.deleted}


def path_in(tree: Tree, node: NodeId) -> str:
    names: list[str] = []
    while node in tree:
        names.append(tree[node].name)
        node = tree[node].parent_id
    return "/" + "/".join(reversed(names))


def lies_in(tree: Tree, node: NodeId, scope: NodeId, root: NodeId) -> bool:
    while node in tree:
        if node == scope:
            return True
        node = tree[node].parent_id
    return scope == root


def expected(rows: list[JournalEntry], after: int, upto: int, scope: NodeId, root: NodeId) -> set[Told]:
    before, now = tree_at(rows, after), tree_at(rows, upto)
    touched = {row.node_id for row in rows if after < row.sequence <= upto}
    told: set[Told] = set()
    for node in before.keys() | now.keys():
        old, new = before.get(node), now.get(node)
        was = old is not None and lies_in(before, node, scope, root)
        here = new is not None and lies_in(now, node, scope, root)
        paths = (path_in(before, node) if old else None, path_in(now, node) if new else None)
        if old is None and here:
            told.add((node, "created", None, paths[1]))
        elif new is None and was:
            told.add((node, "deleted", paths[0], None))
        elif old is not None and new is not None:
            if (here and not was) or (was and not here and node in touched):
                told.add((node, "moved", *paths))
            elif was and here and (old.revision != new.revision or (old.kind is Kind.FILE and old.mtime_us != new.mtime_us)):
                told.add((node, "modified", *paths))
            elif was and here and (old.parent_id, old.name) != (new.parent_id, new.name):
                told.add((node, "moved", *paths))
    return told


def as_told(entry: Update) -> Told:
    match entry.filepath, entry.status:
        case MovedPath(old=old, new=new), status:
            return entry.node_id, status, old, new
        case path, "created":
            return entry.node_id, "created", None, str(path)
        case path, "deleted":
            return entry.node_id, "deleted", str(path), None
        case path, status:
            return entry.node_id, status, str(path), str(path)
    raise AssertionError(entry)


def drawn(chance: random.Random, member: Member, names: list[str]) -> Change:
    """Any change, sensible or not: what the service refuses changes nothing."""
    node = chance.choice(names)
    parent = chance.choice([None, *(name for name in names if name.startswith("d"))])
    match chance.randrange(8):
        case 0 | 1 if node.startswith("d"):
            return member.mkdir(node, parent)
        case 0 | 1:
            return member.create(node, parent, data=chance.choice(BYTES))
        case 6 | 7:
            folder = chance.choice([name for name in names if name.startswith("d")])
            return member.move(folder, parent)
        case 2:
            return member.move(node, parent, chance.choice((node, node + "'", node + "2")))
        case 3:
            return member.edit(node, chance.choice((1, 1, 2, 3)), chance.choice(BYTES))
        case 4 if node.startswith("d"):
            return member.delete(node, recursive=True, subtree_as_of=1 << 40)
        case 4:
            return member.delete(node, chance.choice((1, 1, 2, 3)))
        case _:
            return member.undelete(node, recursive=node.startswith("d"), parent_id=member.parent(parent), name=node)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_updates_are_what_a_replay_says(seed: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    chance = random.Random(seed)
    await fresh_database(tmp_path / "metadata.db", tmp_path_factory)
    async with World.opened(tmp_path / "metadata.db") as world:
        ada = await world.person("ada")
        await ada.put(*BYTES)
        views = views_of(world)
        names = [f"d{n}" for n in range(7)] + [f"f{n}" for n in range(14)]
        marks: list[tuple[int, str | None]] = [(0, None)]
        committed = entries = 0
        for _ in range(CHANGESETS * 20):
            try:
                await ada.commit(*(drawn(chance, ada, names) for _ in range(chance.choice((1, 1, 1, 1, 2)))))
            except CommitRefused:
                continue
            committed += 1
            entries += await _compare(chance, world, ada, marks)
            if committed % 3 == 0:
                sequence = (await world.metadata.latest(ada.caller)).sequence
                marks.append((sequence, (await updates(views, ada))[1]))
            if committed == CHANGESETS:
                break
        assert committed == CHANGESETS
        assert entries > CHANGESETS


async def _compare(chance: random.Random, world: World, ada: Member, marks: list[tuple[int, str | None]]) -> int:
    """One window at one place; how many entries it had."""
    rows = await ada.rows()
    live = tree_at(rows, rows[-1].sequence)
    folders = [node for node, row in live.items() if row.kind is Kind.DIR]
    led = [row.parent_id for row in rows[-8:] if row.op == "move" and row.parent_id in live]
    scope = chance.choice(led if led and chance.random() < 0.6 else [ada.root, *folders, *folders])
    after, since = chance.choice(marks)
    page_size = chance.choice((1, 2, 5, 1000))
    path = path_in(live, scope)
    found, _ = await updates(views_of(world), ada, path, since=since, page_size=page_size)
    told = [as_told(entry) for entry in found]
    assert len(told) == len(set(told)), (path, since)
    assert set(told) == expected(rows, after, rows[-1].sequence, scope, ada.root), (path, after)
    return len(told)
