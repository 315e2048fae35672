"""A tree's indexes say what its nodes say, whatever was put and removed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from syncline.client.trees.tree import Tree
from syncline.client.trees.trees import Trees
from syncline.model.entries import Access, Kind, LocalNode, RemoteNode, Signature, SyncedNode
from syncline.model.ids import Digest, NamespaceId, NodeId, ulid
from syncline.model.limits import DEPTH_MAX
from syncline.model.paths import name_key

ROOT = NamespaceId(ulid(1, bytes(10)))
IDS = [NodeId(ulid(2, bytes([number] * 10))) for number in range(6)]
NAMES = ["a", "A", "b", "é", "e\u0301"]
CONTENTS = [None, Digest("1" * 64), Digest("2" * 64)]

node_ids = st.sampled_from(IDS)
local_nodes = st.builds(
    lambda id, parent, name, kind, content: LocalNode(
        id=id, parent=parent, name=name, kind=kind, signature=Signature(1, 2, 3, 4, 5), content_hash=content
    ),
    node_ids,
    st.sampled_from([NodeId(ROOT), *IDS]),
    st.sampled_from(NAMES),
    st.sampled_from(Kind),
    st.sampled_from(CONTENTS),
)


def local(
    number: int, parent: str = ROOT, name: str | None = None, kind: Kind = Kind.FILE, content: Digest | None = None
) -> LocalNode:
    signature = Signature(1, number, 0, 0, 0)
    return LocalNode(
        id=IDS[number], parent=NodeId(parent), name=name or f"n{number}", kind=kind, signature=signature, content_hash=content
    )


class Indexes(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.tree: Tree[LocalNode] = Tree()
        self.model: dict[NodeId, LocalNode] = {}

    @rule(node=local_nodes)
    def put(self, node: LocalNode) -> None:
        self.tree.put(node)
        self.model[node.id] = node

    @rule(node_id=node_ids)
    def remove(self, node_id: NodeId) -> None:
        assert self.tree.remove(node_id) == self.model.pop(node_id, None)

    @rule()
    def clear(self) -> None:
        self.tree.clear()
        self.model.clear()

    @invariant()
    def agrees_with_a_plain_dictionary(self) -> None:
        assert len(self.tree) == len(self.model)
        assert set(self.tree.ids()) == set(self.model)
        for parent in (NodeId(ROOT), *IDS):
            below = [node for node in self.model.values() if node.parent == parent]
            assert sorted(node.id for node in self.tree.children(parent)) == sorted(node.id for node in below)
            assert self.tree.has_children(parent) == bool(below)
            for name in NAMES:
                assert set(self.tree.keyed(parent, name_key(name))) == {n.id for n in below if name_key(n.name) == name_key(name)}
                child = self.tree.child(parent, name)
                assert (child is not None) == any(node.name == name for node in below)
                assert child is None or (child.name == name and child.parent == parent)
        for content in CONTENTS[1:]:
            assert content is not None
            assert set(self.tree.with_content(content)) == {node.id for node in self.model.values() if node.content_hash == content}

    @invariant()
    def walks_end(self) -> None:
        for node_id in IDS:
            assert len(list(self.tree.ancestors(node_id))) <= DEPTH_MAX + 2
            self.tree.path(node_id, NodeId(ROOT))
            below = [node.id for node in self.tree.descendants(node_id)]
            assert len(below) == len(set(below))


TestIndexes = Indexes.TestCase
TestIndexes.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_paths_lead_to_nodes_and_back() -> None:
    tree: Tree[LocalNode] = Tree()
    tree.put(local(0, name="d", kind=Kind.DIR))
    tree.put(local(1, IDS[0], "E", kind=Kind.DIR))
    tree.put(local(2, IDS[1], "f"))
    root = NodeId(ROOT)
    assert tree.path(IDS[2], root) == "d/E/f"
    assert tree.find("d/E/f", root) == IDS[2]
    assert tree.find("", root) == root
    assert tree.find("d/e/f", root) is None, "paths are exact"
    assert tree.path(root, root) == ""
    assert tree.path(IDS[5], root) is None
    assert [node.id for node in tree.descendants(IDS[0])] == [IDS[1], IDS[2]]
    assert list(tree.ancestors(IDS[2])) == [IDS[1], IDS[0], root]
    assert tree.is_below(IDS[2], IDS[0])
    assert not tree.is_below(IDS[0], IDS[2])


def test_the_deepest_allowed_path_is_found() -> None:
    tree: Tree[LocalNode] = Tree()
    parent = NodeId(ROOT)
    for depth in range(DEPTH_MAX + 1):
        node_id = NodeId(ulid(3, depth.to_bytes(10, "big")))
        tree.put(LocalNode(id=node_id, parent=parent, name="d", kind=Kind.DIR, signature=Signature(1, 2, 3, 4, 5)))
        if depth < DEPTH_MAX:
            assert tree.path(node_id, NodeId(ROOT)) == "/".join(["d"] * (depth + 1))
            assert list(tree.ancestors(node_id))[-1] == ROOT
        parent = node_id


# -- three together ----------------------------------------------------------------------------------------------------------------


def test_what_changed_is_drained_once_and_stays_open() -> None:
    trees = Trees(ROOT)
    trees.put_local(local(0))
    trees.put_local(local(1))
    trees.remove_local(IDS[1])
    trees.remove_remote(IDS[2])
    changes = trees.drain()
    assert changes.local_put == [local(0)]
    assert changes.local_remove == [IDS[1]]
    assert not changes.remote_remove
    assert trees.open == {IDS[0], IDS[1]}
    again = trees.drain()
    assert not again.local_put
    assert not again.local_remove


def test_loading_opens_everything_and_writes_nothing() -> None:
    trees = Trees(ROOT)
    remote = RemoteNode(id=IDS[0], namespace=ROOT, parent=NodeId(ROOT), name="a", kind=Kind.FILE)
    synced = SyncedNode(id=IDS[1], namespace=ROOT, parent=NodeId(ROOT), name="b", kind=Kind.FILE)
    trees.load([remote], [local(2)], [synced])
    assert trees.open == set(IDS[:3])
    changes = trees.drain()
    assert [changes.remote_put, changes.local_put, changes.synced_put] == [[], [], []]


@given(st.lists(st.integers(1, 5), unique=True))
def test_a_new_identity_takes_the_children_along(children: list[int]) -> None:
    trees = Trees(ROOT)
    trees.put_local(local(0, kind=Kind.DIR))
    for number in children:
        trees.put_local(local(number, IDS[0], content=CONTENTS[1]))
    new = NodeId(ulid(9, bytes(10)))
    trees.drain()
    trees.rekey_local(IDS[0], new)
    assert IDS[0] not in trees.local
    assert {node.id for node in trees.local.children(new)} == {IDS[number] for number in children}
    assert all(trees.local[IDS[number]].content_hash == CONTENTS[1] for number in children)
    changes = trees.drain()
    assert changes.local_remove == [IDS[0]]
    assert {node.id for node in changes.local_put} == {new, *(IDS[number] for number in children)}
    assert {IDS[0], new} <= trees.open


def test_nodes_below_a_mount_lie_in_its_namespace() -> None:
    mounted = NamespaceId(IDS[0])
    trees = Trees(ROOT, {ROOT: Access.OWNER, mounted: Access.READ})
    trees.put_local(local(0, kind=Kind.DIR))
    trees.put_local(local(1, IDS[0], kind=Kind.DIR))
    trees.put_local(local(2, IDS[1]))
    trees.put_local(local(3))
    assert trees.namespace_of_local(IDS[2]) == mounted
    assert trees.namespace_of_local(IDS[1]) == mounted
    assert trees.namespace_of_local(IDS[0]) == ROOT, "the mount itself lies in the namespace it is mounted in"
    assert trees.namespace_of_local(IDS[3]) == ROOT
