"""The two rules by which names collide, and trees that follow either."""

from __future__ import annotations

import pytest

from syncline.client.trees.trees import Trees
from syncline.model.entries import Kind, RemoteNode
from syncline.model.errors import InvalidRequest
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.paths import EXACT_KEYS, FOLDED_KEYS, exact_key, key_rule, name_key

ROOT = NamespaceId("R")


@pytest.mark.parametrize(
    ("one", "other", "folded", "exact"),
    [
        ("Index.html", "index.html", True, False),
        ("straße", "STRASSE", True, False),
        ("caf\u00e9", "cafe\u0301", True, True),
        ("CAF\u00c9", "cafe\u0301", True, False),
        ("a", "b", False, False),
    ],
)
def test_names_collide_by_the_rule_of_their_namespace(one: str, other: str, folded: bool, exact: bool) -> None:
    assert (key_rule(FOLDED_KEYS)(one) == key_rule(FOLDED_KEYS)(other)) is folded
    assert (key_rule(EXACT_KEYS)(one) == key_rule(EXACT_KEYS)(other)) is exact


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        key_rule(99)


def test_trees_take_up_another_rule_and_look_at_everything_again() -> None:
    trees = Trees(ROOT, key=exact_key)
    for name in ("Readme", "README"):
        trees.put_remote(RemoteNode(id=NodeId(name), namespace=ROOT, parent=trees.root, name=name, kind=Kind.FILE))
    trees.open.clear()
    assert trees.remote.keyed(trees.root, "README") == ("README",)
    trees.use_key(name_key)
    assert set(trees.remote.keyed(trees.root, "readme")) == {"Readme", "README"}
    assert trees.open == {"Readme", "README"}
    assert trees.remote.child(trees.root, "Readme") == trees.remote.get(NodeId("Readme"))
    trees.remove_remote(NodeId("README"))
    assert trees.remote.keyed(trees.root, "readme") == ("Readme",)
