"""Names that tell of a conflict, and the bound on the book."""

from __future__ import annotations

import pytest
from tests.unit.client.kit import ONE, TWO, local_of, node_id

from syncline.client.inbox import close_settled, find_conflict, inbox
from syncline.client.trees import trees as trees_module
from syncline.client.trees.trees import Trees
from syncline.model.conflicts import OpenConflict, Reason
from syncline.model.errors import ConflictNotFound
from syncline.model.paths import conflict_name, conflict_origin
from syncline.testing.journal_remote import HOME


def conflict(number: int, original: int | None = None) -> OpenConflict:
    return OpenConflict(
        copy=node_id(number),
        original=None if original is None else node_id(original),
        reason=Reason.BOTH_EDITED,
        path="f",
        copy_path=f"copy {number}",
        device="laptop",
        time_us=0,
    )


@pytest.mark.parametrize("name", ["a.txt", "a", ".hidden", "archive.tar.gz", "a (b).c", "ü's (x).ods"])
@pytest.mark.parametrize("device", ["laptop", "Ada's laptop", "(x)"])
@pytest.mark.parametrize("number", [1, 7])
def test_a_copys_name_tells_its_origin(name: str, device: str, number: int) -> None:
    once = conflict_name(name, device, "2026-01-02", number)
    assert conflict_origin(once) == (name, device)
    assert conflict_origin(conflict_name(once, "other", "2026-01-03")) == (once, "other"), "a copy of a copy is the copy's"
    assert conflict_origin(name) is None


def test_a_name_alone_opens_nothing() -> None:
    trees = Trees(HOME)
    name = conflict_name("f", "laptop", "2026-01-02")
    trees.put_local(local_of(node_id(1), name, content=ONE))
    assert inbox(trees) == [], "nothing stands beside it"
    trees.put_local(local_of(node_id(2), "f", content=ONE, inode=2))
    assert inbox(trees) == [], "both hold the same"
    trees.put_local(local_of(node_id(2), "f", content=TWO, inode=2))
    (found,) = inbox(trees)
    assert (found.reason, found.origin, found.path, found.copy) == (Reason.FOUND, "laptop", "f", name)
    assert find_conflict(trees, "f").copy == find_conflict(trees, name).copy == node_id(1)
    with pytest.raises(ConflictNotFound):
        find_conflict(trees, "g")


def test_bytes_nobody_has_read_yet_settle_nothing() -> None:
    trees = Trees(HOME)
    trees.put_local(local_of(node_id(1), "copy", content=None))
    trees.put_local(local_of(node_id(2), "f", content=None, inode=2))
    trees.put_conflict(conflict(1, 2))
    assert close_settled(trees) == []
    assert len(inbox(trees)) == 1


def test_a_copy_that_becomes_another_node_takes_its_conflict_along() -> None:
    trees = Trees(HOME)
    trees.put_local(local_of(node_id(1), "copy", content=ONE))
    trees.put_local(local_of(node_id(2), "f", content=TWO, inode=2))
    trees.put_conflict(conflict(1, 2))
    trees.drain()
    trees.rekey_local(node_id(1), node_id(3))
    changes = trees.drain()
    assert [each.copy for each in changes.conflict_put] == [node_id(3)]
    assert changes.conflict_remove == [node_id(1)]
    trees.rekey_local(node_id(2), node_id(4))
    assert trees.conflicts[node_id(3)].original == node_id(4)


def test_the_book_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees_module, "CONFLICTS_MAX", 2)
    trees = Trees(HOME)
    for number in range(4):
        trees.put_conflict(conflict(number))
    assert sorted(trees.conflicts) == [node_id(0), node_id(1)]
    assert [each.copy for each in trees.drain().conflict_put] == [node_id(0), node_id(1)]
    trees.remove_conflict(node_id(0))
    changes = trees.drain()
    assert changes.conflict_remove == [node_id(0)]
    trees.undrain(changes)
    assert trees.drain().conflict_remove == [node_id(0)]
