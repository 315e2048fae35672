"""The Merkle sums over what is here: equal to sums taken anew whatever was done to the trees, and to the server's only in truth."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from syncline.client.trees.here import Here
from syncline.client.trees.trees import Trees
from syncline.model.entries import Kind, LocalNode, RemoteNode, Signature, SyncedNode
from syncline.model.ids import Digest, NamespaceId, NodeId, ulid
from syncline.model.journal import node_term, root_text

ROOT, OTHER = NamespaceId(ulid(1, bytes(10))), NamespaceId(ulid(3, bytes(10)))
IDS = [NodeId(ulid(2, bytes([number] * 10))) for number in range(4)]
ONE, TWO = Digest("1" * 64), Digest("2" * 64)
SEEN = Signature(1, 2, 3, 4, 5)


def there(number: int, **fields: object) -> RemoteNode:
    made = RemoteNode(id=IDS[number], namespace=ROOT, parent=NodeId(ROOT), name=f"n{number}", kind=Kind.FILE, content_hash=ONE)
    return replace(made, **fields)


def here(number: int, **fields: object) -> LocalNode:
    made = LocalNode(id=IDS[number], parent=NodeId(ROOT), name=f"n{number}", kind=Kind.FILE, signature=SEEN, content_hash=ONE)
    return replace(made, **fields)


def base(number: int, **fields: object) -> SyncedNode:
    made = SyncedNode(id=IDS[number], namespace=ROOT, parent=NodeId(ROOT), name=f"n{number}", kind=Kind.FILE, content_hash=ONE)
    return replace(made, **fields)


def servers_root(*nodes: RemoteNode) -> str:
    return root_text(sum(node_term(n.id, n.parent, n.name, n.kind, n.executable, n.content_hash) for n in nodes))


def agreed(*numbers: int) -> Trees:
    trees = Trees(ROOT)
    for number in numbers:
        trees.put_remote(there(number))
        trees.put_local(here(number))
        trees.put_synced(base(number))
    trees.here.fold()
    return trees


def test_agreement_adds_up_to_the_servers_root() -> None:
    trees = agreed(0, 1)
    assert trees.here.root(ROOT) == servers_root(there(0), there(1))
    assert trees.here.not_here(ROOT) == 0
    assert trees.here.disk_agrees


def test_a_file_that_is_gone_edited_moved_or_extra_on_disk_is_a_difference() -> None:
    for change in ("gone", "edited", "moved", "extra", "unread"):
        trees = agreed(0, 1)
        if change == "gone":
            trees.remove_local(IDS[0])
        elif change == "extra":
            trees.put_local(here(2))
        else:
            trees.put_local(
                {
                    "edited": here(0, content_hash=TWO),
                    "moved": here(0, name="elsewhere"),
                    "unread": here(0, content_hash=None),
                }[change]
            )
        assert trees.here.disk_agrees, "answers are as of the last fold"
        trees.here.fold()
        assert not trees.here.disk_agrees, change
        assert trees.here.root(ROOT) == servers_root(there(0), there(1)), change


def test_what_the_server_has_and_nobody_brought_here_is_counted_apart() -> None:
    trees = agreed(0)
    trees.put_remote(there(1))
    trees.here.fold()
    assert trees.here.root(ROOT) == servers_root(there(0), there(1))
    assert trees.here.not_here(ROOT) == 1
    trees.put_synced(base(1))
    trees.here.fold()
    assert trees.here.not_here(ROOT) == 0
    assert not trees.here.disk_agrees
    trees.remove_remote(IDS[0])
    trees.here.fold()
    assert trees.here.root(ROOT) == servers_root(there(0), there(1)), "the base alone counts, until it is forgotten too"


def test_a_remote_change_that_no_base_followed_is_a_difference() -> None:
    trees = agreed(0)
    trees.put_remote(there(0, content_hash=TWO))
    trees.here.fold()
    assert trees.here.root(ROOT) == servers_root(there(0)) != servers_root(there(0, content_hash=TWO))


def test_a_disk_that_knows_no_executable_bit_agrees_with_the_base() -> None:
    trees = agreed(0)
    trees.put_remote(there(0, executable=True))
    trees.put_synced(base(0, executable=True))
    trees.here.fold()
    assert trees.here.disk_agrees
    trees.put_local(here(0, executable=False))
    trees.here.fold()
    assert not trees.here.disk_agrees


def test_namespaces_have_roots_of_their_own() -> None:
    trees = agreed(0)
    trees.put_remote(there(1, namespace=OTHER))
    trees.put_synced(base(1, namespace=OTHER))
    trees.put_local(here(1))
    trees.here.fold()
    assert trees.here.root(ROOT) == servers_root(there(0))
    assert trees.here.root(OTHER) == servers_root(there(1))
    assert trees.here.disk_agrees


def test_sums_that_are_wrong_are_noticed_when_counted_whole() -> None:
    trees = agreed(0, 1)
    assert trees.here.count()
    trees.synced.put(base(1, content_hash=TWO))  # Behind its back.
    assert trees.here.root(ROOT) == servers_root(there(0), there(1))
    assert not trees.here.count()
    assert trees.here.root(ROOT) != servers_root(there(0), there(1))
    assert trees.here.count()


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["remote", "local", "synced"]),
        st.integers(0, 3),
        st.sampled_from([None, "put"]),
        st.sampled_from(["a", "b"]),
        st.sampled_from([ONE, TWO, None]),
        st.sampled_from([True, False, None]),
        st.sampled_from([ROOT, OTHER]),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(CHANGES, st.sets(st.integers(0, 39)))
def test_sums_kept_in_step_are_sums_taken_anew(changes: list[tuple[object, ...]], folds: set[int]) -> None:
    trees = Trees(ROOT)
    for at, (tree, number, act, name, content, executable, space) in enumerate(changes):
        if act is None:
            getattr(trees, f"remove_{tree}")(IDS[number])  # type: ignore[call-overload]
        elif tree == "local":
            trees.put_local(here(number, name=name, content_hash=content, executable=executable))
        else:
            make = there if tree == "remote" else base
            node = make(number, name=name, content_hash=content, executable=bool(executable), namespace=space)
            getattr(trees, f"put_{tree}")(node)
        if at in folds:
            trees.here.fold()
    trees.here.fold()
    fresh = Here(trees.remote, trees.local, trees.synced)
    fresh.count()
    for space in (ROOT, OTHER):
        assert trees.here.root(space) == fresh.root(space)
        assert trees.here.not_here(space) == fresh.not_here(space)
    assert trees.here.disk_agrees == fresh.disk_agrees
    assert trees.here.count()


def test_every_change_of_a_tree_makes_a_new_version() -> None:
    trees = agreed(0)
    for change in (
        lambda: trees.put_remote(there(1)),
        lambda: trees.put_local(here(1)),
        lambda: trees.put_synced(base(1)),
        lambda: trees.remove_local(IDS[1]),
    ):
        before = trees.version
        change()
        assert trees.version > before
