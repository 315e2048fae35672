"""What the planner's property world found: each was a case that did not come to rest, or lost what somebody wanted."""

from __future__ import annotations

from tests.unit.plan.sides import Sides

from syncline.client.plan.books import book_fetch, keep_books
from syncline.client.plan.steps import Link, Relocate
from syncline.model.entries import Access
from syncline.model.ids import NodeId


def told_with_leftovers(sides: Sides, *nodes: str) -> list[str]:
    return sides.told(leftovers=frozenset(NodeId(node) for node in nodes))


def told_excluding(sides: Sides, *nodes: str) -> list[str]:
    return sides.told(excluded=frozenset(NodeId(node) for node in nodes))


# -- Folders that come back whole ----------------------------------------------------------------------------------------------


def revived(content: str) -> Sides:
    sides = Sides().both("d", "root", "d").both("f", "d", "f", "1").gone_there("d", "f")
    return sides.here("d", "root", "moved").here("f", "d", "f", content)


def test_a_file_not_read_yet_comes_back_with_its_folder() -> None:
    """Read later, it would look unchanged and deleted."""
    assert revived("?").told() == ["up undelete d → root/moved #0", "up undelete f → d/f +bytes #0"]


def test_a_folder_does_not_come_back_without_a_busy_file_in_it() -> None:
    sides = revived("1")
    assert sides.told(busy=("f",)) == []
    assert sides.plan(busy=("f",)).waiting


# -- Several namespaces --------------------------------------------------------------------------------------------------------


def test_a_move_into_a_lost_folder_goes_back_though_nobody_names_the_lost_namespace() -> None:
    sides = Sides().both("m", "root", "team").both("d", "m", "d", namespace="m").both("f", "root", "f", "1")
    sides.gone_there("m", "d").here("n", "d", "n").here("f", "n", "f", "1")
    assert "move f → root/f" in sides.told()


def test_what_is_put_into_a_lost_folder_goes_back_though_a_folder_of_its_own_lies_around_both() -> None:
    sides = Sides().mount("m", "team").both("c", "m", "c", namespace="m").both("d", "root", "d").both("f", "root", "f", "1")
    sides.gone_there("m", "c").here("d", "m", "b").here("c", "d", "a").here("f", "c", "f", "1")
    assert sides.told() == ["move d → root/d", "move f → root/f", "rmdir c", "rmdir m"]


def test_what_is_moved_into_a_folder_that_leaves_its_namespace_keeps_its_id() -> None:
    sides = Sides(m=Access.READ).mount("m", "team").both("d", "m", "d", namespace="m").both("f", "root", "f", "1")
    sides.here("d", "root", "d").here("f", "d", "f", "2")
    first = sides.plan().steps[0]
    assert isinstance(first, Relocate)
    assert (first.node, first.fresh) == ("d", ())


def test_a_folder_gone_there_and_moved_into_a_read_mount_goes_with_all_in_it() -> None:
    sides = Sides(m=Access.READ).mount("m", "team").both("d", "root", "d").both("f", "d", "f", "1").gone_there("d", "f")
    sides.here("d", "m", "d")
    assert sides.told() == ["trash f", "rmdir d"]


def test_folders_turned_inside_out_in_a_read_mount_come_to_rest() -> None:
    sides = Sides(m=Access.READ).mount("m", "team").both("a", "root", "a").both("b", "a", "b")
    sides.here("b", "m", "b").here("a", "b", "a")
    assert sides.told() == ["move a → root/a", "move b → a/b"]


def test_a_new_folder_steps_out_of_one_whose_place_is_wanted_by_what_it_holds() -> None:
    """None of the three could go first: the file needs the place, the folder there is not empty, and the new one waits for the
    file."""
    sides = Sides(m=Access.READ).mount("m", "team").both("f", "m", "a", "1", namespace="m").both("d", "m", "b", namespace="m")
    sides.here("n", "d", "n").here("f", "n", "c", "1").gone_there("d").there("f", "m", "b", "1", namespace="m")
    assert sides.told() == ["move n → m/n (Me's conflicted copy 2026-01-02)"]
    sides.here("n", "m", "n (Me's)")
    assert sides.told() == ["rmdir d", "move f → m/b"]


def test_a_ring_is_not_broken_by_what_becomes_a_new_node() -> None:
    sides = Sides(m=Access.WRITE).mount("m", "team").both("d", "root", "d").here("d", "m", "d")
    mount = sides.trees.remote[NodeId("m")]
    sides.there("m", "d", mount.name)
    assert [each for each in sides.told() if " d " in each] == ["move d → m/d as new1"]


def test_all_that_leaves_a_shared_folder_gets_an_id_of_its_own_also_what_nobody_knows_here() -> None:
    """A server that lost its memory may get it back from another device, under the id it had in the shared folder."""
    sides = Sides(m=Access.WRITE).mount("m", "team").both("d", "m", "d", namespace="m").both("f", "d", "f", "1", namespace="m")
    sides.here("u", "d", "u", "2").here("d", "root", "d")
    first = sides.plan().steps[0]
    assert isinstance(first, Relocate)
    assert (first.node, {old for old, _ in first.fresh}) == ("d", {"f", "u"})


def test_what_is_kept_aside_gets_an_id_of_its_own_with_all_in_it_also_what_nobody_knows_here() -> None:
    sides = Sides(m=Access.READ).mount("m", "team").both("k", "root", "Kept from team")
    sides.here("d", "m", "d").here("u", "d", "u", "2")
    first = sides.plan().steps[0]
    assert isinstance(first, Relocate)
    assert first.new_id not in (None, "d")
    assert [old for old, _ in first.fresh] == ["u"]


def test_what_is_made_in_a_mount_without_access_is_kept_aside_also_while_the_mount_is_still_told_of() -> None:
    sides = Sides().mount("m", "team").here("n", "m", "n", "4")
    assert sides.told() == ["make new1 → root/Kept from team", "move n → new1/n as new2"]


# -- Two under one name --------------------------------------------------------------------------------------------------------


def test_a_file_that_took_the_very_name_of_one_that_is_moving_away_is_not_renamed() -> None:
    """No disk holds both: where the first one went is still being found out, and then the name is free."""
    sides = Sides().both("f", "root", "a", "1").here("n", "root", "a", "2")
    assert [each for each in sides.told() if "→" in each] == []
    assert sides.plan().waiting
    assert [each for each in sides.told(busy=("f",)) if "→" in each] == []
    sides.here("f", "root", "b", "1")
    assert sides.told() == ["up move f → root/b", "up create n → root/a +bytes"]


def test_nor_is_it_where_the_first_one_was_edited_on_the_server() -> None:
    sides = Sides().both("f", "root", "a", "1").there("f", "root", "a", "3", revision=2).here("n", "root", "a", "2")
    assert [each for each in sides.told() if " n " in each] == []
    assert sides.plan().waiting


def test_nor_one_that_rests_there() -> None:
    sides = Sides().both("f", "root", "a", "1").here("n", "root", "a", "2")
    sides.trees.open.discard(NodeId("f"))
    assert sides.told() == []
    assert sides.plan().waiting


# -- One changeset -------------------------------------------------------------------------------------------------------------


def test_a_folder_is_not_deleted_for_its_name_while_another_in_it_has_to_wait() -> None:
    """The folder above both is moved: that takes nothing out of the one that is deleted."""
    sides = Sides().both("c", "root", "c").both("d", "c", "a").both("e", "d", "e").there("n", "c", "b")
    sides.here("c", "root", "x").here("e", "c", "b").gone_here("d").here("f", "c", "a", "1")
    assert [each for each in sides.told() if each.startswith("up")] == ["up move c → root/x"]
    sides.here("e", "c", "b (Me's)").here("n", "c", "b").there("c", "root", "x")
    assert [each for each in sides.told() if each.startswith("up")] == [
        "up move e → c/b (Me's)",
        "up create f → c/a +bytes #0",
        "up delete d #0",
    ]


# -- Leftovers -----------------------------------------------------------------------------------------------------------------


def test_leftovers_become_the_folder_that_takes_their_name() -> None:
    sides = Sides().both("d", "root", "d").gone_there("d").there("e", "root", "d")
    assert "link d = e" in told_with_leftovers(sides, "d")


def test_a_folder_above_leftovers_gives_way_to_what_takes_its_name() -> None:
    sides = Sides().both("d", "root", "d").both("e", "d", "e").gone_there("d", "e").there("f", "root", "d", "1")
    told = told_with_leftovers(sides, "e")
    assert "move d → root/d (Me's conflicted copy 2026-01-02)" in told


# -- Selective sync ------------------------------------------------------------------------------------------------------------


def test_what_is_moved_to_where_nothing_is_wanted_leaves_the_disk() -> None:
    sides = Sides().there("x", "root", "x").both("d", "root", "d").both("f", "d", "f", "1")
    sides.trees.open.clear()
    sides.there("d", "x", "d")
    assert told_excluding(sides, "x") == ["trash f", "rmdir d"]


def test_a_change_in_a_folder_that_leaves_the_disk_is_told_first() -> None:
    sides = Sides().there("x", "root", "x").both("d", "root", "d").both("f", "d", "f", "1")
    sides.there("d", "x", "d").here("f", "d", "f", "2")
    assert told_excluding(sides, "x") == ["up edit f +bytes"]


def test_a_name_that_is_kept_for_what_is_not_on_this_disk_is_taken() -> None:
    sides = Sides().both("d", "root", "d").there("x", "d", "x").gone_here("d").here("f", "root", "d", "1")
    assert "move f → root/d (selective sync conflict)" in told_excluding(sides, "x")


def test_a_folder_made_again_is_the_one_kept_for_what_is_not_on_this_disk() -> None:
    sides = Sides().both("d", "root", "d").there("x", "d", "x").gone_here("d").here("e", "root", "d")
    assert "link e = d" in told_excluding(sides, "x")


def test_folders_turned_inside_out_where_nothing_is_wanted_leave_the_disk_with_a_new_one_in_them() -> None:
    """The new folder has the name which the outer one has on the server, and the outer one cannot leave before it."""
    sides = Sides().both("a", "root", "a").both("c", "a", "c").there("c", "root", "b").there("a", "c", "b").here("n", "c", "b")
    assert told_excluding(sides, "c") == ["move n → c/b (selective sync conflict)"]


# -- After a reset -------------------------------------------------------------------------------------------------------------


def test_a_file_is_read_before_it_becomes_another_copy() -> None:
    name = "f (Me's conflicted copy 2026-01-01)"
    sides = Sides().there("d", "root", "f").there("c", "root", name, "1").here("c", "root", name, "1").here("f", "root", "f", "?")
    assert "hash f" in sides.told()
    assert not [each for each in sides.told() if each.startswith("move f")]


def test_a_copy_is_looked_for_where_it_would_be_made() -> None:
    sides = Sides().both("d", "root", "d").there("f", "root", "f", "2").here("f", "d", "f", "1").there("c", "root", "c", "1")
    assert "fetch f → root/f" in sides.told()


def test_a_copy_is_looked_for_beside_the_file_where_that_cannot_leave_yet() -> None:
    """Its folder on the server is about to be a folder that was made here under the same name."""
    sides = (
        Sides().both("d", "root", "d").there("e", "d", "b").here("n", "d", "b").there("c", "d", "c", "1").here("c", "d", "c", "1")
    )
    sides.there("f", "e", "f", "2").here("f", "d", "f", "1")
    assert "fetch f → d/f" in sides.told()


def fetched_and_moved_there() -> Sides:
    sides = Sides().both("d", "root", "d").there("f", "d", "f", "2").here("f", "root", "f", "2")
    book_fetch(sides.trees, NodeId("f"), NodeId("root"), "f")
    return sides


def test_what_the_server_moved_while_it_was_fetched_is_moved_here() -> None:
    """A base that had the server's place would take it for moved back here, and tell the server so."""
    assert fetched_and_moved_there().told() == ["move f → d/f"]


def test_what_the_server_moved_and_edited_while_it_was_fetched_makes_no_copy() -> None:
    """Without a base nobody knows that the bytes here are only the server's older ones."""
    assert fetched_and_moved_there().there("f", "d", "f", "3", revision=2).told() == ["move f → d/f", "fetch f → d/f"]


# -- The same thing, made on both sides ----------------------------------------------------------------------------------------


def linked(content: str | None, *, executable: bool | None = None) -> Sides:
    sides = Sides().there("t", "root", "a", content).here("h", "root", "a", content, executable=executable)
    keep_books(sides.trees, Link(node=NodeId("h"), to=NodeId("t"), why=""))
    return sides


def test_what_was_found_to_be_the_same_is_agreed_on_at_once() -> None:
    """An edit before the next plan would look like a conflict, and a move would be undone."""
    assert linked("1").told() == []
    assert linked("1").here("t", "root", "a", "2").told() == ["up edit t +bytes"]
    assert linked("1").here("t", "root", "b", "1").told() == ["up move t → root/b"]
    assert linked(None).here("t", "root", "b").told() == ["up move t → root/b"]


def test_what_was_moved_into_a_folder_that_proves_to_be_its_own_has_moved_all_the_same() -> None:
    """By its place alone it would have lain there all along, and another's deletion of it would be done."""
    sides = Sides().both("t", "root", "b").both("f", "t", "f", "1").gone_here("t", "f").gone_there("f")
    sides.there("t", "root", "a").here("h", "root", "a").here("f", "h", "f", "1")
    assert sides.told() == ["link h = t"]
    keep_books(sides.trees, Link(node=NodeId("h"), to=NodeId("t"), why=""))
    assert sides.told() == ["up undelete f → t/f"]


def test_the_servers_bit_wins_where_the_same_was_made_on_both_sides() -> None:
    assert linked("1", executable=True).told() == ["set t -x"]


def test_what_was_written_since_it_was_found_to_be_the_same_is_not_agreed_on() -> None:
    sides = Sides().there("t", "root", "a", "1").here("h", "root", "a", "?")
    keep_books(sides.trees, Link(node=NodeId("h"), to=NodeId("t"), why=""))
    assert sides.told() == ["hash t"]
    assert sides.here("t", "root", "a", "2").told() == ["fetch t → root/a, mine → a (Me's conflicted copy 2026-01-02)"]
