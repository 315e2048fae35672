"""The commit's rules, one by one (`protocol.md` §3): what each change does, and how each refusal is provoked."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.unit.server_metadata.world import Member, content, digest, ref

from syncline.model.entries import Kind
from syncline.model.ids import NodeId
from syncline.model.limits import DEPTH_MAX
from syncline.protocol.commits import Change, Op

THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


# -- Create ----------------------------------------------------------------------------------------------------------------------


async def test_creates_a_tree_in_any_order_and_lists_parents_first(ada: Member) -> None:
    await ada.put(b"hello")
    answer = await ada.commit(ada.create("f", "b", data=b"hello", mtime=THEN), ada.mkdir("b", "a"), ada.mkdir("a"))
    assert [result.revision for result in answer.results] == [1, 0, 0]
    rows = await ada.rows()
    assert [row.name for row in rows] == ["a", "b", "f"]
    assert {row.op for row in rows} == {"create"}
    assert {row.changeset for row in rows} == {answer.changeset}
    assert (rows[2].actor, rows[2].device) == (ada.caller.user_id, ada.caller.device_id)
    assert (await ada.entries())[2].mtime == THEN
    assert answer.results[0].sequence == 3
    assert ada.world.committed == [(ada.namespace, 3)]
    await ada.check()


async def test_an_equal_create_is_adopted(ada: Member) -> None:
    await ada.commit(ada.mkdir("a"), ada.create("f"))
    answer = await ada.commit(ada.mkdir("a"), ada.create("f"))
    assert [(result.adopted, result.revision, result.sequence) for result in answer.results] == [(True, 0, 1), (True, 1, 2)]
    assert len(await ada.entries()) == 2
    assert len(ada.world.committed) == 1


async def test_an_unequal_create_of_a_known_id_is_refused(ada: Member) -> None:
    await ada.put(b"x")
    await ada.commit(ada.mkdir("a"), ada.create("f"), ada.create("g"))
    await ada.commit(ada.delete("g", 1))
    failures = await ada.refused(
        ada.create("f", name="other"), ada.mkdir("f2", name="ok"), ada.create("a", data=b"x"), ada.create("g")
    )
    assert {index: failure.code for index, failure in failures.items()} == {0: "node.exists", 2: "node.exists", 3: "node.deleted"}
    assert failures[0].present is not None
    assert failures[0].present.name == "f"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "a\x00b", "x" * 256, "é" * 128, ".syncline", ".SyncLine", "SYNCLI~1"]
)
async def test_refuses_names_that_cannot_be(ada: Member, name: str) -> None:
    create = Change(op=Op.CREATE, node_id=ada.world.id("x"), parent_id=ada.root, name=name, kind=Kind.DIR)
    assert await ada.refused_codes(create) == {0: "name.invalid"}


async def test_refuses_a_taken_name_and_says_by_whom(ada: Member) -> None:
    await ada.commit(ada.mkdir("a", name="Straße"))
    failures = await ada.refused(ada.mkdir("b", name="STRASSE"), ada.mkdir("c"))
    assert list(failures) == [0]
    assert failures[0].code == "name.taken"
    assert failures[0].by is not None
    assert failures[0].by.node_id == ada.world.id("a")


async def test_of_two_equal_names_in_one_changeset_the_later_fails(ada: Member) -> None:
    failures = await ada.refused(ada.mkdir("a", name="n"), ada.mkdir("b", name="N"))
    assert {index: failure.code for index, failure in failures.items()} == {1: "name.taken"}
    assert failures[1].by is not None
    assert failures[1].by.node_id == ada.world.id("a")


async def test_refuses_parents_that_are_missing_deleted_or_files(ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), ada.create("f"))
    await ada.commit(ada.delete("d"))
    codes = await ada.refused_codes(ada.mkdir("x", "nowhere"), ada.mkdir("y", "d"), ada.mkdir("z", "f"), ada.mkdir("ok"))
    assert codes == {0: "parent.gone", 1: "parent.gone", 2: "parent.gone"}


async def test_what_hangs_on_a_refused_create_fails_with_it(ada: Member) -> None:
    await ada.commit(ada.mkdir("a", name="n"))
    changes = [ada.mkdir("b", name="n"), ada.mkdir("c", "b"), ada.create("f", "c"), ada.mkdir("ok")]
    assert await ada.refused_codes(*changes) == {0: "name.taken", 1: "parent.gone", 2: "parent.gone"}
    await ada.commit(changes[3])


@pytest.mark.parametrize(
    "fields",
    [
        {"content_hash": None},
        {"size": None},
        {"blocks": None},
        {"size": 4},
        {"size": -1},
        {"content_hash": "00" * 32},
        {"content_hash": "XY"},
        {"blocks": []},
        {"blocks": ["nothing"]},
        {"mtime": datetime(2026, 1, 1)},
    ],
)
async def test_refuses_content_that_contradicts_itself(ada: Member, fields: dict[str, object]) -> None:
    await ada.put(b"hello")
    assert await ada.refused_codes(ada.create("f", data=b"hello", **fields)) == {0: "request.invalid"}


async def test_several_blocks_add_up_and_say_how_they_were_cut(ada: Member) -> None:
    await ada.put(b"one", b"three")
    pieces = [b"one", b"three", b"one"]
    assert await ada.refused_codes(ada.create("f", **content(pieces) | {"cut": None})) == {0: "request.invalid"}
    await ada.commit(ada.create("f", **content(pieces)))
    (found,) = await ada.world.metadata.revision_blocks(ada.caller, ada.namespace, [ref(ada, "f", 1)])
    assert found.blocks == [(digest(piece), len(piece)) for piece in pieces]
    assert (found.size, found.cut, found.content_hash) == (11, "test-1", digest(b"".join(pieces)))


async def test_ids_of_new_nodes_are_fresh_ulids(ada: Member) -> None:
    for node_id in (NodeId("short"), ada.root):
        create = Change(op=Op.CREATE, node_id=node_id, parent_id=ada.root, name="n", kind=Kind.DIR)
        assert await ada.refused_codes(create) == {0: "request.invalid"}


# -- Edit ------------------------------------------------------------------------------------------------------------------------


async def test_an_edit_makes_the_next_revision(ada: Member) -> None:
    await ada.put(b"one", b"two")
    await ada.commit(ada.create("f", data=b"one"))
    answer = await ada.commit(ada.edit("f", 1, b"two"))
    assert answer.results[0].revision == 2
    versions = await ada.world.metadata.versions(ada.caller, ada.namespace, ada.world.id("f"))
    assert [(entry.revision, entry.content_hash) for entry in versions.entries] == [(2, digest(b"two")), (1, digest(b"one"))]
    await ada.check()


async def test_a_stale_edit_is_refused_with_the_present_state(ada: Member) -> None:
    await ada.put(b"one", b"two", b"three")
    await ada.commit(ada.create("f", data=b"one"))
    await ada.commit(ada.edit("f", 1, b"two"))
    failures = await ada.refused(ada.edit("f", 1, b"three"))
    assert failures[0].code == "revision.stale"
    assert failures[0].present is not None
    assert (failures[0].present.revision, failures[0].present.content_hash) == (2, digest(b"two"))


async def test_an_equal_edit_is_adopted_even_on_a_stale_base(ada: Member) -> None:
    await ada.put(b"one", b"two")
    await ada.commit(ada.create("f", data=b"one"))
    await ada.commit(ada.edit("f", 1, b"two"))
    answer = await ada.commit(ada.edit("f", 1, b"two", executable=False))
    assert (answer.results[0].adopted, answer.results[0].revision, answer.sequence) == (True, 2, 2)


async def test_an_mtime_alone_is_no_change(ada: Member) -> None:
    await ada.commit(ada.create("f"))
    answer = await ada.commit(ada.edit("f", 1, mtime=THEN))
    assert answer.results[0].adopted
    assert answer.sequence == 1


async def test_an_executable_bit_makes_a_revision_of_the_same_blocks(ada: Member) -> None:
    await ada.put(b"a", b"b")
    await ada.commit(ada.create("f", **content([b"a", b"b"])))
    answer = await ada.commit(ada.edit("f", 1, executable=True))
    assert (answer.results[0].revision, answer.results[0].adopted) == (2, False)
    first, second = await ada.world.metadata.revision_blocks(ada.caller, ada.namespace, [ref(ada, "f", 1), ref(ada, "f", 2)])
    assert (first.blocks, first.cut) == (second.blocks, second.cut)
    assert await ada.refused_codes(ada.edit("f", 1, executable=False)) == {0: "revision.stale"}
    await ada.check()


async def test_a_description_is_a_row_but_no_revision(ada: Member) -> None:
    await ada.commit(ada.create("f"), ada.mkdir("d"))
    answer = await ada.commit(ada.edit("f", 1, description="mine"), ada.edit("d", None, description="ours"))
    assert [result.revision for result in answer.results] == [1, 0]
    assert answer.sequence == 4
    assert await ada.refused_codes(ada.edit("f", 1, description="x" * 5000)) == {0: "limit.exceeded"}


async def test_refuses_edits_of_what_is_not_there(ada: Member) -> None:
    await ada.put(b"x")
    await ada.commit(ada.create("f"), ada.mkdir("d"))
    await ada.commit(ada.delete("f", 1))
    changes = [ada.edit("f", 1, b"x"), ada.edit("nothing", 1, b"x"), ada.edit("d", None, b"x")]
    failures = await ada.refused(*changes)
    assert {index: failure.code for index, failure in failures.items()} == {
        0: "node.deleted",
        1: "node.missing",
        2: "request.invalid",
    }
    assert failures[0].present is not None
    assert failures[0].present.deleted


async def test_an_edit_takes_a_base_revision(ada: Member) -> None:
    await ada.put(b"x")
    await ada.commit(ada.create("f"))
    assert await ada.refused_codes(ada.edit("f", None, b"x")) == {0: "request.invalid"}


# -- Move ------------------------------------------------------------------------------------------------------------------------


async def test_a_move_keeps_the_revision(ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), ada.create("f"))
    answer = await ada.commit(ada.move("f", "d", "g", base_revision=1))
    assert answer.results[0].revision == 1
    assert await ada.tree() == {"d": "d", "d/g": "f"}
    assert (await ada.commit(ada.move("f", "d", "g"))).results[0].adopted
    await ada.check()


async def test_names_swap_and_rotate_in_one_changeset(ada: Member) -> None:
    await ada.commit(ada.create("a"), ada.mkdir("b"), ada.create("c"))
    await ada.commit(ada.move("a", name="b"), ada.move("b", name="a"))
    assert await ada.tree() == {"a": "b", "b": "a", "c": "c"}
    await ada.commit(ada.move("a", name="c"), ada.move("b", name="b"), ada.move("c", name="a"))
    assert await ada.tree() == {"c": "a", "b": "b", "a": "c"}
    await ada.check()


async def test_a_rename_may_change_case_only(ada: Member) -> None:
    await ada.commit(ada.create("a", name="readme"))
    await ada.commit(ada.move("a", name="README"))
    assert await ada.tree() == {"README": "a"}


async def test_a_hierarchy_turns_upside_down_in_one_changeset(ada: Member) -> None:
    await ada.commit(ada.mkdir("a"), ada.mkdir("b", "a"), ada.mkdir("c", "b"), ada.create("f", "c"))
    await ada.commit(ada.move("a", "b"), ada.move("b", "c"), ada.move("c"))
    assert await ada.tree() == {"c": "c", "c/b": "b", "c/b/a": "a", "c/f": "f"}
    await ada.check()


async def test_refuses_cycles_and_only_those_on_them(ada: Member) -> None:
    await ada.commit(ada.mkdir("a"), ada.mkdir("b"), ada.mkdir("c", "b"), ada.create("f"))
    assert await ada.refused_codes(ada.move("b", "c")) == {0: "tree.cycle"}
    assert await ada.refused_codes(ada.move("a", "a")) == {0: "tree.cycle"}
    changes = [ada.move("a", "c"), ada.move("b", "a"), ada.move("f", "a")]
    assert await ada.refused_codes(*changes) == {0: "tree.cycle", 1: "tree.cycle"}
    await ada.commit(changes[2])


async def test_a_moves_base_revision_is_checked_for_files(ada: Member) -> None:
    await ada.put(b"x")
    await ada.commit(ada.create("f"))
    await ada.commit(ada.edit("f", 1, b"x"))
    assert await ada.refused_codes(ada.move("f", name="g", base_revision=1)) == {0: "revision.stale"}
    answer = await ada.commit(ada.edit("f", 2, executable=True), ada.move("f", name="g", base_revision=2))
    assert [result.revision for result in answer.results] == [3, 3]
    assert [row.op for row in await ada.rows()][2:] == ["edit"]


async def test_refuses_moves_of_what_is_not_there_or_lead_nowhere(ada: Member) -> None:
    await ada.commit(ada.create("f"), ada.create("g"))
    await ada.commit(ada.delete("g", 1))
    nowhere = Change(op=Op.MOVE, node_id=ada.world.id("f"))
    codes = await ada.refused_codes(ada.move("g", name="h"), ada.move("none"), ada.move("f", "none"), nowhere)
    assert codes == {0: "node.deleted", 1: "node.missing", 2: "parent.gone", 3: "request.invalid"}


async def test_a_moved_folders_subtree_may_be_guarded(ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), ada.create("f", "d"))
    await ada.commit(ada.create("g", "d"))
    assert await ada.refused_codes(ada.move("d", name="e", subtree_as_of=2)) == {0: "subtree.changed"}
    await ada.commit(ada.move("d", name="e", subtree_as_of=3))


async def test_folders_nest_so_deep_and_no_deeper(ada: Member) -> None:
    chain = [ada.mkdir(f"d{level}", f"d{level - 1}" if level > 1 else None) for level in range(1, DEPTH_MAX + 1)]
    await ada.commit(*chain, ada.create("file", f"d{DEPTH_MAX}"))
    assert await ada.refused_codes(ada.mkdir("more", f"d{DEPTH_MAX}")) == {0: "limit.exceeded"}
    await ada.commit(ada.mkdir("top"), ada.mkdir("under", "top"))
    assert await ada.refused_codes(ada.move("d1", "top")) == {0: "limit.exceeded"}
    await ada.commit(ada.move("d2", "top"))
