"""The amendments to the tables, and every case that `sync-engine.md` §1.3–1.5 names."""

from __future__ import annotations

from tests.unit.plan.sides import Sides, tell

from syncline.client.plan.steps import Push
from syncline.model.ids import NodeId
from syncline.model.limits import BATCH_MAX, DEPTH_MAX

CONFLICT = "(Me's conflicted copy 2026-01-02)"


# -- The executable bit merges by field ------------------------------------------------------------------------------------


def test_executable_changed_here_goes_up() -> None:
    assert Sides().both("f", "root", "f", "1").here("f", "root", "f", "1", executable=True).told() == ["up edit f +x"]


def test_executable_changed_there_comes_down() -> None:
    sides = Sides().both("f", "root", "f", "1").here("f", "root", "f", "1", executable=False)
    assert sides.there("f", "root", "f", "1", executable=True, revision=2).told() == ["set f +x"]


def test_executable_here_and_bytes_there_are_both_kept() -> None:
    sides = (
        Sides().both("f", "root", "f", "1").here("f", "root", "f", "1", executable=True).there("f", "root", "f", "2", revision=2)
    )
    assert sides.told() == ["up edit f +x"], "the bit first, so that the bytes come down with it"


def test_executable_there_and_bytes_here_are_both_kept() -> None:
    sides = Sides().both("f", "root", "f", "1").here("f", "root", "f", "2", executable=False)
    sides.there("f", "root", "f", "1", executable=True, revision=2)
    assert sides.told() == ["set f +x", "up edit f +bytes +x"]


def test_a_disk_without_the_bit_has_no_say() -> None:
    sides = Sides().both("f", "root", "f", "1").there("f", "root", "f", "1", executable=True, revision=2)
    assert sides.told() == ["adopt f"]


def test_an_mtime_alone_is_no_change() -> None:
    sides = Sides().both("f", "root", "f", "1").there("f", "root", "f", "1", revision=2)
    assert sides.told() == ["adopt f"]


# -- Names that meet -------------------------------------------------------------------------------------------------------


def test_edit_here_against_file_to_folder_there() -> None:
    sides = Sides().both("f", "root", "n", "1").here("f", "root", "n", "2").gone_there("f").there("d", "root", "n")
    assert sides.told() == [f"move f → root/n {CONFLICT}", "make d → root/n"]
    sides.here("f", "root", f"n {CONFLICT}", "2").here("d", "root", "n")
    assert sides.told() == ["adopt d", f"up undelete f → root/n {CONFLICT} +bytes"]


def test_file_to_folder_here_against_edit_there() -> None:
    sides = Sides().both("f", "root", "n", "1").gone_here("f").here("d", "root", "n").here("x", "d", "x", "3")
    sides.there("f", "root", "n", "2", revision=2)
    assert sides.told() == [f"move d → root/n {CONFLICT}", "fetch f → root/n"]


def test_file_to_folder_here_is_one_changeset() -> None:
    sides = Sides().both("f", "root", "n", "1").gone_here("f").here("d", "root", "n").here("x", "d", "x", "3")
    assert sides.told() == ["up create d → root/n #0", "up delete f #0"]


def test_file_to_folder_there() -> None:
    sides = Sides().both("f", "root", "n", "1").gone_there("f").there("d", "root", "n").there("x", "d", "x", "3")
    assert sides.told() == ["trash f", "make d → root/n", "fetch x → d/x"]


def test_case_only_rename_takes_a_hop_where_the_disk_folds_case() -> None:
    sides = Sides().both("f", "root", "n", "1").there("f", "root", "N", "1")
    assert sides.told(case_sensitive_disk=False) == ["stage f", "move f → root/N"]
    assert sides.told(case_sensitive_disk=True) == ["move f → root/N"]


def test_case_only_rename_here_goes_up() -> None:
    assert Sides().both("f", "root", "n", "1").here("f", "root", "N", "1").told() == ["up move f → root/N"]


def test_local_twins_keep_the_one_at_its_synced_place() -> None:
    sides = Sides().both("f", "root", "n", "1").here("g", "root", "N", "2")
    assert sides.told() == ["move g → root/N (case conflict)"]


def test_normalisation_twins() -> None:
    sides = Sides().here("f", "root", "\u00e9", "1").here("g", "root", "e\u0301", "2")
    assert sides.told() == ["move g → root/\u00e9 (case conflict)", "up create f → root/\u00e9 +bytes"]


def test_a_conflict_on_a_conflict_copy_gets_another_copy() -> None:
    name = f"n {CONFLICT}.txt"
    sides = Sides().both("f", "root", name, "1").here("f", "root", name, "2").there("f", "root", name, "3", revision=2)
    assert sides.told() == [f"fetch f → root/{name}, mine → n {CONFLICT} {CONFLICT}.txt"]


def test_a_conflict_name_that_is_taken_is_numbered() -> None:
    sides = Sides().both("f", "root", "n", "1").both("g", "root", f"n {CONFLICT}", "9")
    sides.here("f", "root", "n", "2").there("f", "root", "n", "3", revision=2)
    assert sides.told() == ["fetch f → root/n, mine → n (Me's conflicted copy 2026-01-02 2)"]


# -- Rings, and what is valid only together --------------------------------------------------------------------------------


def test_move_cycle_reverts_the_local_move() -> None:
    sides = Sides().both("a", "root", "a").both("b", "root", "b").here("a", "b", "a").there("b", "a", "b")
    assert sides.told() == ["move a → root/a", "move b → a/b"]


def test_no_move_is_taken_back_while_what_is_in_its_way_may_have_left() -> None:
    """Two swaps in one breath: `c` took the place of `a`, whose child is seen in the new `d`; where `d` went is not yet seen."""
    sides = Sides().both("a", "root", "a").both("c", "root", "c").both("d", "root", "d", "1").both("child", "a", "a")
    sides.here("new", "root", "d").here("child", "new", "a")
    assert sides.told() == ["move child → a/a"], "all there is to see is a ring"
    assert sides.told(seeking=True) == []
    assert sides.plan(seeking=True).waiting
    sides.here("d", "root", "c", "1").gone_here("c")
    assert sides.told() == ["up move d → root/c #0", "up delete c whole #0"]


def test_swap_here_is_one_group() -> None:
    sides = Sides().both("a", "root", "a", "1").both("b", "root", "b", "2").here("a", "root", "b", "1").here("b", "root", "a", "2")
    assert sides.told() == ["up move a → root/b #0", "up move b → root/a #0"]


def test_swap_there_hops_over_the_stage() -> None:
    sides = (
        Sides().both("a", "root", "a", "1").both("b", "root", "b", "2").there("a", "root", "b", "1").there("b", "root", "a", "2")
    )
    assert sides.told() == ["stage a", "move b → root/a", "move a → root/b"]


def test_a_chain_of_renames_needs_no_group() -> None:
    sides = Sides().both("a", "root", "a", "1").both("b", "root", "b", "2").here("a", "root", "b", "1").here("b", "root", "c", "2")
    assert sides.told() == ["up move b → root/c", "up move a → root/b"]


def test_inverted_hierarchy_here() -> None:
    sides = Sides().both("a", "root", "a").both("b", "a", "b").here("b", "root", "a").here("a", "b", "b")
    told = sides.told()
    assert sorted(told) == ["up move a → b/b #0", "up move b → root/a #0"]


def test_inverted_hierarchy_there() -> None:
    sides = Sides().both("a", "root", "a").both("b", "a", "b").there("b", "root", "a").there("a", "b", "b")
    told = sides.told()
    assert told[0].startswith("stage ")
    assert sorted(told[1:]) == ["move a → b/b", "move b → root/a"]


def test_lesson_1_make_a_folder_where_a_file_was_and_move_the_file_in() -> None:
    sides = Sides().both("f", "root", "b", "1").here("d", "root", "b").here("f", "d", "a", "1")
    assert sides.told() == ["up create d → root/b #0", "up move f → d/a #0"]
    down = Sides().both("f", "root", "b", "1").there("d", "root", "b").there("f", "d", "a", "1")
    assert down.told() == ["stage f", "make d → root/b", "move f → d/a"]


def test_lesson_2_a_child_takes_the_name_of_its_deleted_parent() -> None:
    sides = Sides().both("c", "root", "c").both("f", "c", "b", "1").gone_here("c").here("f", "root", "c", "1")
    assert sides.told() == ["up move f → root/c #0", "up delete c #0"]
    down = Sides().both("c", "root", "c").both("f", "c", "b", "1").gone_there("c").there("f", "root", "c", "1")
    assert down.told() == ["stage f", "rmdir c", "move f → root/c"]


def test_lesson_4_a_rename_by_the_engine_is_no_move_of_the_user() -> None:
    """The keeper of a name is decided among what exists: what is to be deleted is not renamed first."""
    sides = Sides().both("f", "root", "n", "1").gone_there("f").there("g", "root", "n", "2")
    assert sides.told() == ["trash f", "fetch g → root/n"]


def test_lesson_6_a_folder_that_comes_back_merges_into_a_new_one_of_its_name() -> None:
    sides = Sides().both("d", "root", "d").both("x", "d", "x", "1").gone_there("d", "x").there("e", "root", "d")
    sides.here("n", "d", "n", "2")
    assert sides.told() == ["trash x", "link d = e"]


def test_lesson_7_only_the_chain_comes_back_for_a_changed_descendant() -> None:
    sides = Sides().both("d", "root", "d").both("x", "d", "x", "1").both("y", "d", "y", "2").gone_there("d", "x", "y")
    sides.here("y", "d", "y", "3")
    assert sides.told() == ["up undelete d → root/d", "up undelete y → d/y +bytes", "trash x"]


def test_move_into_a_folder_deleted_there() -> None:
    sides = Sides().both("d", "root", "d").both("f", "root", "f", "1").gone_there("d").here("f", "d", "f", "1")
    assert sides.told() == ["up undelete d → root/d", "up move f → d/f"]


def test_move_into_a_folder_deleted_here() -> None:
    sides = Sides().both("d", "root", "d").both("f", "root", "f", "1").gone_here("d").there("f", "d", "f", "1")
    assert sides.told() == ["make d → root/d", "move f → d/f"]


def test_a_revival_of_more_than_a_changeset_holds_is_left_to_the_server() -> None:
    sides = Sides().both("d", "root", "d")
    for number in range(BATCH_MAX):
        sides.both(f"x{number:04d}", "d", f"x{number}", str(number)).gone_there(f"x{number:04d}")
    sides.gone_there("d").here("d", "root", "moved")
    assert sides.told() == ["up undelete d → root/moved whole"]


def test_a_revival_brings_back_exactly_what_is_here_in_one_group() -> None:
    sides = Sides().both("d", "root", "d").both("x", "d", "x", "1").both("y", "d", "y", "2").gone_there("d", "x", "y")
    sides.here("d", "root", "moved").gone_here("y")
    assert sides.told() == ["forget y", "up undelete d → root/moved #0", "up undelete x → d/x #0"]


def test_what_moved_out_of_a_revived_folder_brings_itself_back() -> None:
    """Its new folder has to be made first, so it cannot come back in one breath with what it left."""
    sides = Sides().both("d", "root", "b").both("f", "d", "a", "1").gone_there("d", "f")
    sides.here("d", "root", "c").here("n", "root", "b").here("f", "n", "a", "1")
    assert sides.told() == ["up undelete d → root/c", "up create n → root/b", "up undelete f → n/a"]


# -- Deletes ---------------------------------------------------------------------------------------------------------------


def test_a_folder_is_deleted_whole_and_its_files_are_counted() -> None:
    sides = Sides().both("d", "root", "d").both("x", "d", "x", "1").both("e", "d", "e").both("y", "e", "y", "2")
    planned = sides.gone_here("d", "x", "e", "y").plan()
    assert [(step.node, step.recursive) for step in planned.steps if isinstance(step, Push)] == [("d", True)]
    assert (planned.deletes_up, planned.deletes_down) == (2, 0)


def test_deletes_on_disk_are_counted() -> None:
    planned = Sides().both("d", "root", "d").both("x", "d", "x", "1").gone_there("d", "x").plan()
    assert (planned.deletes_up, planned.deletes_down) == (0, 1)


def test_a_folder_with_what_was_never_here_stays_and_is_reported() -> None:
    sides = Sides().both("d", "root", "d").both("x", "d", "x", "1").there("hidden", "d", "hidden", "2").gone_here("d", "x")
    told = sides.told(excluded={NodeId("hidden")})
    assert told == ["up delete x", "report d folder.kept"]


def test_a_folder_with_ignored_leftovers_stays_until_it_gains_a_file() -> None:
    sides = Sides().both("d", "root", "d").gone_there("d")
    assert sides.told(leftovers={NodeId("d")}) == ["report d folder.leftover"]
    sides.here("n", "d", "n", "1")
    assert sides.told(leftovers={NodeId("d")}) == ["up undelete d → root/d", "up create n → d/n +bytes"]


# -- Kept off this disk ----------------------------------------------------------------------------------------------------


def test_excluded_nodes_are_not_fetched_and_their_absence_is_no_delete() -> None:
    sides = Sides().both("f", "root", "f", "1").gone_here("f")
    assert sides.told(excluded={NodeId("f")}) == ["forget f"]
    new = Sides().there("d", "root", "d").there("x", "d", "x", "1")
    assert new.told(excluded={NodeId("d")}) == []
    assert new.plan(excluded={NodeId("d")}).is_empty


def test_what_is_excluded_later_leaves_the_disk_once_its_changes_are_told() -> None:
    sides = Sides().both("d", "root", "d").both("x", "d", "x", "1").both("y", "d", "y", "2").here("y", "d", "y", "3")
    planned = sides.plan(excluded={NodeId("d")})
    assert sides.told(excluded={NodeId("d")}) == ["up edit y +bytes", "trash x"]
    assert planned.deletes_up == planned.deletes_down == 0


def test_a_create_at_an_excluded_place_is_renamed() -> None:
    sides = Sides().there("f", "root", "n.txt", "1").here("g", "root", "n.txt", "2")
    assert sides.told(excluded={NodeId("f")}) == ["move g → root/n (selective sync conflict).txt"]


# -- What the server would refuse ------------------------------------------------------------------------------------------


def test_a_name_the_server_refuses_stays_local_and_is_reported() -> None:
    sides = Sides().here("f", "root", "bad\udcff", "1").here("d", "root", "b\\d").here("x", "d", "x", "2")
    planned = sides.plan()
    assert sides.told() == ["report d name.invalid", "report f name.invalid"]
    assert planned.is_empty


def test_a_rename_to_a_refused_name_changes_nothing_there() -> None:
    sides = Sides().both("f", "root", "f", "1").here("f", "root", "bad\udcff", "1")
    assert sides.told() == ["report f name.invalid"]
    sides.here("f", "root", "bad\udcff", "2")
    assert sides.told() == ["up edit f +bytes", "report f name.invalid"]


def test_a_name_from_the_server_that_is_unsafe_is_not_brought_to_disk() -> None:
    assert Sides().there("f", "root", "..", "1").told() == ["report f name.unsafe"]


def test_too_deep_a_folder_stays_local() -> None:
    sides = Sides()
    parent = "root"
    for level in range(DEPTH_MAX):
        sides.both(f"d{level:03d}", parent, "d")
        parent = f"d{level:03d}"
    assert sides.here("f", parent, "f", "1").told() == ["report f limit.exceeded"]


# -- After a reset ---------------------------------------------------------------------------------------------------------


def test_after_a_reset_equals_are_adopted_and_nothing_is_deleted() -> None:
    sides = (
        Sides().here("f", "root", "f", "1").there("f", "root", "f", "1").here("g", "root", "g", "2").there("h", "root", "h", "3")
    )
    assert sides.told() == ["adopt f", "fetch h → root/h", "up create g → root/g +bytes"]


def test_bytes_that_a_copy_beside_holds_are_not_thrown_away_while_something_is_sought() -> None:
    """They may be that copy, on its way to here: then they are the only ones."""
    sides = Sides().both("c", "root", f"f {CONFLICT}", "1").there("f", "root", "f", "2").here("n", "root", "f", "1")
    planned = sides.plan(seeking=True)
    assert planned.waiting
    assert [tell(step) for step in planned.steps if step.node == "n"] == []
    assert "trash n" in sides.told()


def test_after_a_reset_no_further_copy_of_bytes_a_sibling_holds() -> None:
    sides = Sides().here("f", "root", "f", "1").there("f", "root", "f", "2")
    assert sides.told() == [f"fetch f → root/f, mine → f {CONFLICT}"]
    sides.there("c", "root", f"f {CONFLICT}", "1").here("c", "root", f"f {CONFLICT}", "1")
    assert sides.told() == ["adopt c", "fetch f → root/f"]


# -- Busy nodes, and the rest ----------------------------------------------------------------------------------------------


def test_nothing_is_planned_for_busy_nodes_nor_around_them() -> None:
    sides = Sides().both("d", "root", "d").both("x", "d", "x", "1").gone_there("d", "x")
    planned = sides.plan(busy=("x",))
    assert planned.steps == ()
    assert planned.waiting >= 1


def test_a_whole_delete_waits_for_a_busy_node_below() -> None:
    sides = Sides().both("d", "root", "d").both("x", "d", "x", "1").both("y", "d", "y", "2").gone_here("d", "x", "y")
    assert sides.told(busy=("x",)) == ["up delete y"]


def test_a_ring_that_a_busy_node_closes_waits() -> None:
    sides = Sides().both("a", "root", "a").both("b", "root", "b").here("b", "a", "b").there("a", "b", "a")
    planned = sides.plan(busy=("b",))
    assert planned.steps == ()
    assert planned.waiting


def test_an_unread_raw_upload_is_waited_for_when_both_sides_changed() -> None:
    sides = Sides().both("f", "root", "f", "1").here("f", "root", "f", "2").there("f", "root", "f", "3", revision=2)
    raw = sides.trees.remote[NodeId("f")]
    sides.trees.put_remote(
        type(raw)(id=raw.id, namespace=raw.namespace, parent=raw.parent, name=raw.name, kind=raw.kind, revision=3)
    )
    planned = sides.plan()
    assert planned.steps == ()
    assert planned.waiting == 1


def test_open_nodes_in_agreement_are_closed_and_others_are_not_looked_at() -> None:
    sides = Sides().both("f", "root", "f", "1").both("g", "root", "g", "2")
    sides.trees.open.add(NodeId("nothing"))
    assert sides.plan().is_empty
    assert sides.trees.open == set()


def test_an_edit_not_hashed_yet_is_read_by_the_sender() -> None:
    assert Sides().both("f", "root", "f", "1").here("f", "root", "f", "?").told() == ["up edit f +bytes"]


def test_a_buried_node_is_undeleted_instead_of_created() -> None:
    sides = Sides().here("f", "root", "f", "1")
    assert sides.told(buried={NodeId("f")}) == ["up undelete f → root/f +bytes"]
