"""Deletes and undeletes in changesets: what goes, what stays, and what comes back as it was."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.unit.server_metadata.world import Member, content

from syncline.model.entries import Kind

THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

# -- Delete ----------------------------------------------------------------------------------------------------------------------


async def test_a_delete_of_a_file_checks_its_revision(ada: Member) -> None:
    await ada.put(b"x")
    await ada.commit(ada.create("f"))
    await ada.commit(ada.edit("f", 1, b"x"))
    assert await ada.refused_codes(ada.delete("f", 1)) == {0: "revision.stale"}
    assert await ada.refused_codes(ada.delete("f")) == {0: "request.invalid"}
    await ada.commit(ada.delete("f", 2))
    answer = await ada.commit(ada.delete("f", 1))
    assert (answer.results[0].adopted, answer.results[0].sequence) == (True, 3)
    assert await ada.refused_codes(ada.delete("never", 1)) == {0: "node.missing"}
    await ada.check()


async def test_a_folder_deleted_alone_must_be_empty(ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), ada.create("f", "d"))
    assert await ada.refused_codes(ada.delete("d")) == {0: "subtree.changed"}
    await ada.commit(ada.delete("d"), ada.delete("f", 1))
    rows = await ada.rows()
    assert [(row.name, row.op) for row in rows[2:]] == [("f", "delete"), ("d", "delete")]
    await ada.check()


async def test_a_folder_deleted_whole_takes_its_subtree_bottom_up(ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), ada.mkdir("e", "d"), ada.create("f", "e"), ada.create("g", "d"))
    answer = await ada.commit(ada.delete("d", recursive=True, subtree_as_of=4))
    assert answer.sequence == 8
    assert await ada.tree() == {}
    order = [row.name for row in (await ada.rows())[4:]]
    assert order.index("f") < order.index("e") < order.index("d")
    assert order[-1] == "d"
    await ada.check()


async def test_a_whole_delete_is_refused_when_the_subtree_changed(ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), ada.mkdir("e", "d"))
    await ada.commit(ada.create("late", "e"))
    failures = await ada.refused(ada.delete("d", recursive=True, subtree_as_of=2))
    assert failures[0].code == "subtree.changed"
    assert failures[0].present is not None
    assert failures[0].present.name == "late"
    assert await ada.refused_codes(ada.delete("d", recursive=True)) == {0: "request.invalid"}


async def test_delete_and_create_of_one_name_in_one_changeset(ada: Member) -> None:
    await ada.commit(ada.create("f", name="n"))
    await ada.commit(ada.mkdir("d", name="n"), ada.delete("f", 1))
    assert await ada.tree() == {"n": "d"}
    await ada.check()


async def test_a_child_moves_up_onto_its_deleted_parents_name(ada: Member) -> None:
    await ada.commit(ada.mkdir("c"), ada.create("b", "c"))
    await ada.commit(ada.delete("c"), ada.move("b", name="c"))
    assert await ada.tree() == {"c": "b"}
    await ada.check()


async def test_moving_out_of_a_folder_that_is_deleted_whole_saves_the_node(ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), ada.mkdir("e", "d"), ada.create("f", "e"), ada.create("g", "d"))
    await ada.commit(ada.delete("d", recursive=True, subtree_as_of=4), ada.move("e"))
    assert await ada.tree() == {"e": "e", "e/f": "f"}
    await ada.check()


async def test_nothing_is_placed_in_a_folder_that_is_deleted(ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), ada.create("f"))
    codes = await ada.refused_codes(ada.delete("d", recursive=True, subtree_as_of=2), ada.move("f", "d"), ada.mkdir("n", "d"))
    assert codes == {1: "parent.gone", 2: "parent.gone"}
    assert await ada.refused_codes(ada.delete("d"), ada.mkdir("n", "d")) == {1: "parent.gone"}


async def test_a_refused_delete_does_not_free_its_name(ada: Member) -> None:
    await ada.commit(ada.create("f", name="n"))
    codes = await ada.refused_codes(ada.delete("f", 7), ada.mkdir("d", name="n"))
    assert codes == {0: "revision.stale", 1: "name.taken"}


# -- Undelete --------------------------------------------------------------------------------------------------------------------


async def test_undelete_keeps_id_and_revision(ada: Member) -> None:
    await ada.put(b"x", b"y")
    await ada.commit(ada.create("f", data=b"x"))
    await ada.commit(ada.delete("f", 1))
    answer = await ada.commit(ada.undelete("f"))
    assert answer.results[0].revision == 1
    assert await ada.tree() == {"f": "f"}
    assert (await ada.commit(ada.undelete("f"))).results[0].adopted
    await ada.check()


async def test_undelete_takes_a_new_place_and_new_bytes(ada: Member) -> None:
    await ada.put(b"x", b"y")
    await ada.commit(ada.create("f", data=b"x"), ada.mkdir("d"))
    await ada.commit(ada.delete("f", 1), ada.create("other", name="f"))
    assert await ada.refused_codes(ada.undelete("f")) == {0: "name.taken"}
    answer = await ada.commit(ada.undelete("f", parent_id=ada.world.id("d"), name="g", base_revision=1, **content(b"y")))
    assert answer.results[0].revision == 2
    assert await ada.tree() == {"d": "d", "d/g": "f", "f": "other"}
    await ada.check()


async def test_undelete_and_edit_of_one_node_in_one_changeset(ada: Member) -> None:
    await ada.put(b"x", b"y")
    await ada.commit(ada.create("f", data=b"x"))
    await ada.commit(ada.delete("f", 1))
    answer = await ada.commit(ada.undelete("f"), ada.edit("f", 1, b"y"))
    assert [result.revision for result in answer.results] == [2, 2]
    assert [row.op for row in await ada.rows()] == ["create", "delete", "undelete"]
    await ada.check()


async def test_a_whole_undelete_brings_back_what_was_deleted_with_the_folder(ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), ada.mkdir("e", "d"), ada.create("f", "e"), ada.create("gone", "d"))
    await ada.commit(ada.delete("gone", 1))
    await ada.commit(ada.delete("d", recursive=True, subtree_as_of=5))
    await ada.commit(ada.undelete("d", recursive=True, parent_id=ada.root, name="back"))
    assert await ada.tree() == {"back": "d", "back/e": "e", "back/e/f": "f"}
    assert [row.name for row in (await ada.rows())[-3:]] == ["back", "e", "f"]
    await ada.check()


async def test_undelete_of_one_folder_leaves_what_lay_in_it(ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), ada.create("f", "d"), ada.create("g", "d"))
    await ada.commit(ada.delete("d", recursive=True, subtree_as_of=3))
    assert await ada.refused_codes(ada.undelete("f")) == {0: "parent.gone"}
    await ada.commit(ada.undelete("f"), ada.undelete("d"))
    assert await ada.tree() == {"d": "d", "d/f": "f"}


async def test_undelete_of_an_unknown_id_is_a_create(ada: Member) -> None:
    await ada.put(b"x")
    answer = await ada.commit(ada.undelete("f", parent_id=ada.root, name="f", **content(b"x")))
    assert answer.results[0].revision == 1
    assert await ada.tree() == {"f": "f"}
    assert await ada.refused_codes(ada.undelete("g")) == {0: "request.invalid"}
    without_bytes = ada.undelete("g", parent_id=ada.root, name="g", kind=Kind.FILE)
    assert await ada.refused_codes(without_bytes) == {0: "node.missing"}


async def test_undelete_of_a_live_node_elsewhere_is_refused(ada: Member) -> None:
    await ada.commit(ada.create("f"))
    assert await ada.refused_codes(ada.undelete("f", parent_id=ada.root, name="g")) == {0: "node.exists"}


async def test_undeletes_cannot_make_a_cycle(ada: Member) -> None:
    await ada.commit(ada.mkdir("a"), ada.mkdir("b", "a"))
    await ada.commit(ada.delete("a", recursive=True, subtree_as_of=2))
    codes = await ada.refused_codes(ada.undelete("a", parent_id=ada.world.id("b"), name="a"), ada.undelete("b"))
    assert codes == {0: "tree.cycle", 1: "tree.cycle"}
