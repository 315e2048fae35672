"""Merkle roots: the same code on both sides, whatever the order, one sum for each namespace."""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.client.kit import ONE, TWO, node_id, remote_of

from syncline.client.proof import Roots
from syncline.model.ids import NamespaceId
from syncline.model.journal import root_text
from syncline.testing.journal_remote import HOME, JournalRemote

A, B = remote_of(node_id(1), "a"), remote_of(node_id(2), "b")
OTHER = NamespaceId("other")


def test_nothing_is_zero() -> None:
    assert Roots().text(HOME) == root_text(0) == "0" * 64


def test_the_order_does_not_matter_and_what_goes_leaves_no_trace() -> None:
    assert Roots([A, B]).text(HOME) == Roots([B, A]).text(HOME) != Roots([A]).text(HOME)
    roots = Roots([A])
    roots.replace(None, B)
    roots.replace(B, replace(B, name="c"))
    roots.replace(replace(B, name="c"), None)
    assert roots.text(HOME) == Roots([A]).text(HOME)


def test_every_placed_field_counts() -> None:
    changed = [
        replace(A, id=node_id(3)),
        replace(A, parent=node_id(3)),
        replace(A, name="A"),
        replace(A, executable=True),
        replace(A, content_hash=TWO),
    ]
    assert len({Roots([node]).text(HOME) for node in (A, *changed)}) == 6
    assert Roots([replace(A, mtime_us=5)]).text(HOME) == Roots([A]).text(HOME)


def test_namespaces_have_sums_of_their_own() -> None:
    roots = Roots([A, replace(B, namespace=OTHER)])
    assert roots.text(HOME) == Roots([A]).text(HOME)
    assert roots.text(OTHER) != roots.text(HOME)
    assert roots.text(NamespaceId("none")) == root_text(0)


def test_the_root_after_changes_that_are_not_made_yet() -> None:
    roots = Roots([A])
    before = roots.text(HOME)
    after = roots.text_after(HOME, [(A, None), (None, B), (None, replace(B, namespace=OTHER))])
    assert roots.text(HOME) == before
    assert after == Roots([B]).text(HOME)


def test_it_is_the_servers_root() -> None:
    remote = JournalRemote()
    for number, content in enumerate((ONE, TWO, ONE)):
        remote.put(f"f{number}", node=node_id(number), content=content)
    mine = [remote_of(node_id(number), f"f{number}", content=content) for number, content in enumerate((ONE, TWO, ONE))]
    assert Roots(mine).text(HOME) == remote.heads[-1][1]
