"""The journal's rows: every field counts in the chain, and no two trees have one root by the way they are written."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from syncline.model.entries import Kind
from syncline.model.ids import ChangesetId, DeviceId, Digest, NodeId, UserId, ulid
from syncline.model.journal import EMPTY_CHAIN, JournalEntry, chain_after, chain_over, node_term, root_text, row_bytes

ids = st.integers(0, 5).map(lambda number: ulid(number, bytes(10)))
digests = st.none() | st.sampled_from(["a", "b"]).map(lambda text: Digest(hashlib.sha256(text.encode()).hexdigest()))
entries = st.builds(
    JournalEntry,
    sequence=st.integers(0, 1 << 60),
    changeset=ids.map(ChangesetId),
    op=st.sampled_from(["create", "edit", "move", "delete"]),
    node_id=ids.map(NodeId),
    parent_id=ids.map(NodeId),
    name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8),
    kind=st.sampled_from(Kind),
    revision=st.integers(0, 1 << 40),
    content_hash=digests,
    size=st.integers(0, 1 << 42),
    executable=st.booleans(),
    mtime_us=st.integers(-(1 << 62), 1 << 62),
    deleted=st.booleans(),
    mount=st.booleans(),
    actor=st.none() | ids.map(UserId),
    device=st.none() | ids.map(DeviceId),
    time_us=st.integers(-(1 << 62), 1 << 62),
)


@given(entries, entries)
def test_different_rows_have_different_bytes(one: JournalEntry, other: JournalEntry) -> None:
    assert (row_bytes(one) == row_bytes(other)) == (one == other)


@given(entries)
def test_every_field_counts(entry: JournalEntry) -> None:
    others = [
        replace(entry, sequence=entry.sequence + 1),
        replace(entry, name=entry.name + "x"),
        replace(entry, executable=not entry.executable),
        replace(entry, deleted=not entry.deleted),
        replace(entry, mount=not entry.mount),
        replace(entry, mtime_us=entry.mtime_us + 1),
        replace(entry, time_us=entry.time_us + 1),
        replace(entry, kind=Kind.DIR if entry.kind is Kind.FILE else Kind.FILE),
    ]
    assert len({chain_after(EMPTY_CHAIN, each) for each in (entry, *others)}) == len(others) + 1


@given(st.lists(entries, max_size=4), st.integers(0, 4))
def test_a_chain_can_be_taken_up_anywhere(rows: list[JournalEntry], at: int) -> None:
    assert chain_over(chain_over(EMPTY_CHAIN, rows[:at]), rows[at:]) == chain_over(EMPTY_CHAIN, rows)


def test_the_bytes_of_a_row_are_fixed_for_ever() -> None:
    entry = JournalEntry(
        sequence=7,
        changeset=ChangesetId(ulid(1, bytes(10))),
        op="create",
        node_id=NodeId(ulid(2, bytes(10))),
        parent_id=NodeId(ulid(3, bytes(10))),
        name="é.txt",
        kind=Kind.FILE,
        revision=1,
        size=3,
        executable=True,
        mtime_us=-1,
        time_us=2,
    )
    assert hashlib.sha256(row_bytes(entry)).hexdigest() == "347454187cc511acce579b337b02cd12d313e758e0043e297efaf7ac04c02602"


@given(st.tuples(ids, ids, st.text("ab-xfile", min_size=1, max_size=6), st.sampled_from(Kind), st.booleans(), digests), st.data())
def test_different_nodes_have_different_terms(node: tuple[str, str, str, Kind, bool, Digest | None], data: st.DataObject) -> None:
    other = data.draw(
        st.tuples(ids, ids, st.text("ab-xfile", min_size=1, max_size=6), st.sampled_from(Kind), st.booleans(), digests)
    )
    assert (node_term(*node) == node_term(*other)) == (node == other)  # type: ignore[arg-type]


def test_a_root_does_not_depend_on_the_order_and_goes_back_to_nothing() -> None:
    terms = [node_term(NodeId(ulid(n, bytes(10))), NodeId(ulid(9, bytes(10))), f"n{n}", Kind.DIR, False, None) for n in range(4)]
    assert root_text(sum(terms)) == root_text(sum(reversed(terms)))
    assert root_text(sum(terms) - sum(terms)) == "0" * 64
    assert len(root_text(-1)) == 64
