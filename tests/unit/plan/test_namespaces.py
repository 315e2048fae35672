"""Where namespaces meet: READ mounts, namespaces that were lost, moves from one into another."""

from __future__ import annotations

from tests.unit.plan.sides import Sides, tell

from syncline.client.plan.steps import Push, Relocate
from syncline.model.entries import Access
from syncline.model.ids import NamespaceId


def read_mount() -> Sides:
    return Sides(m=Access.READ).mount("m", "Shared").both("f", "m", "f", "1", namespace="m")


def test_read_mount_keeps_an_edit_aside() -> None:
    sides = read_mount().here("f", "m", "f", "2")
    assert sides.told() == ["make new1 → root/Kept from Shared", "move f → new1/f as new2"]
    sides = read_mount().here("f", "m", "f", "?")
    assert sides.told() == ["hash f"], "it may only have been touched"


def test_read_mount_keeps_a_new_folder_aside_whole() -> None:
    sides = read_mount().here("d", "m", "d").here("x", "d", "x", "2").both("k", "root", "Kept from Shared")
    assert sides.told() == ["move d → k/d as new1"]


def test_read_mount_restores_deletes_and_moves() -> None:
    assert read_mount().gone_here("f").told() == ["fetch f → m/f"]
    assert read_mount().here("f", "m", "g", "1").told() == ["move f → m/f"]


def test_read_mount_move_out_is_copy_and_restore() -> None:
    sides = read_mount().here("f", "root", "f", "1")
    assert sides.told() == ["move f → root/f as new1"]
    sides.gone_here("f").here("new1", "root", "f", "1")
    assert sides.told() == ["fetch f → m/f", "up create new1 → root/f +bytes"]


def test_write_mount_move_out_is_copy_and_delete() -> None:
    sides = Sides(m=Access.WRITE).mount("m", "Shared").both("f", "m", "f", "1", namespace="m").here("f", "root", "f", "1")
    (step,) = sides.plan().steps
    assert isinstance(step, Relocate)
    assert step.left, "it keeps its base, so that its absence is the deletion it is"
    sides.gone_here("f").here("new1", "root", "f", "1")
    assert sides.told() == ["up create new1 → root/f +bytes", "up delete f"]
    (step,) = read_mount().here("f", "root", "f", "1").plan().steps
    assert isinstance(step, Relocate)
    assert not step.left


def test_read_mount_move_in_goes_back() -> None:
    sides = read_mount().both("g", "root", "g", "3").here("g", "m", "g", "3")
    assert sides.told() == ["move g → root/g"]


def test_lost_namespace() -> None:
    sides = (
        Sides(m=Access.WRITE).mount("m", "Shared").both("f", "m", "f", "1", namespace="m").both("g", "m", "g", "2", namespace="m")
    )
    sides.here("g", "m", "g", "3").here("n", "m", "n", "4")
    sides.gone_there("m", "f", "g")
    del sides.trees.access[NamespaceId("m")]
    assert sides.told() == [
        "make new1 → root/Kept from Shared",
        "move g → new1/g as new2",
        "move n → new1/n as new3",
        "trash f",
        "rmdir m",
    ]
    assert not sides.plan().deletes_up


def test_move_into_another_namespace_is_a_new_node() -> None:
    sides = Sides(m=Access.WRITE).mount("m", "Shared").both("d", "root", "d").both("f", "d", "f", "1").here("d", "m", "d")
    steps = sides.plan().steps
    assert [getattr(step, "fresh", None) for step in steps] == [(("f", "new2"),)]
    assert sides.told() == ["move d → m/d as new3"]


def test_a_lost_mount_renamed_in_a_gone_folder_of_another_goes() -> None:
    sides = Sides(m=Access.OWNER).mount("m", "Shared").both("d", "m", "d", namespace="m").both("c", "d", "c")
    sides.both("f", "c", "f", "1", namespace="c").both("g", "d", "g", "2", namespace="m")
    sides.gone_there("d", "c", "f", "g").here("c", "d", "g").here("g", "d", "c", "2")
    kept = {NamespaceId("root"): "", NamespaceId("m"): "Shared", NamespaceId("c"): "c"}
    assert sides.told(kept_names=kept) == ["up undelete d → m/d", "up undelete g → d/c", "trash f", "rmdir c"]


def test_a_mount_steps_out_of_a_gone_folder_that_moved_into_another() -> None:
    sides = Sides(m=Access.WRITE, c=Access.WRITE).mount("m", "Shared").mount("c", "Other").both("d", "root", "d")
    sides.both("f", "d", "f", "1").gone_there("d", "f").here("d", "m", "d").here("c", "d", "c")
    planned = sides.plan()
    assert planned.waiting
    assert [tell(step) for step in planned.steps] == ["move c → root/Other"]
    sides.here("c", "root", "Other")
    assert sides.told() == ["move d → m/d as new1"]


def test_a_lost_mount_may_lie_in_a_folder_that_was_its_own() -> None:
    sides = Sides().mount("m", "Shared").both("d", "m", "d", namespace="m").both("f", "m", "f", "1", namespace="m")
    sides.gone_there("m", "d", "f").here("d", "root", "d").here("m", "d", "Shared")
    kept = {NamespaceId("m"): "Shared"}
    assert sides.told(kept_names=kept) == ["move d → root/d as new1", "trash f"]
    sides.gone_here("d", "f").here("new1", "root", "d").here("m", "new1", "Shared")
    assert sides.told(kept_names=kept) == ["forget d", "forget f", "up create new1 → root/d", "up undelete m → new1/Shared"]


def test_what_lies_in_a_mount_stays_itself_when_the_folder_around_it_becomes_another() -> None:
    sides = Sides(m=Access.WRITE, c=Access.WRITE).mount("m", "Shared").mount("c", "Other").both("d", "m", "d", namespace="m")
    sides.both("f", "c", "f", "1", namespace="c").here("d", "root", "d").here("c", "d", "Other")
    (step,) = sides.plan().steps
    assert isinstance(step, Relocate)
    assert (step.node, step.new_id, step.fresh) == ("d", "new1", ())


def test_what_takes_the_place_of_a_folder_that_moves_across_waits_for_it() -> None:
    """It cannot be told of as long as something in it is under way: so it has not left its place for the server, but it will."""
    sides = Sides(m=Access.WRITE).mount("m", "Shared").both("d", "root", "a").here("n", "d", "n", "1")
    sides.here("d", "m", "a").here("x", "root", "a", "2")
    planned = sides.plan(busy=("n",))
    assert planned.steps == ()
    assert planned.waiting
    assert sides.told() == ["move d → m/a as new1"]


def test_a_mount_deleted_here_is_unmounted_not_emptied() -> None:
    sides = Sides(m=Access.WRITE).mount("m", "Shared").both("f", "m", "f", "1", namespace="m").gone_here("m", "f")
    planned = sides.plan()
    assert [(step.node, step.recursive) for step in planned.steps if isinstance(step, Push)] == [("m", False)]
    assert planned.deletes_up == 0


def test_other_namespaces_can_be_left_alone() -> None:
    sides = read_mount().here("g", "root", "g", "2").gone_here("f")
    assert sides.told(only_namespaces={NamespaceId("root")}) == ["up create g → root/g +bytes"]
