"""Every cell of the two decision tables (`sync-engine.md` §1.3), one row each: what changed here, what changed there, the plan."""

from __future__ import annotations

import pytest
from tests.unit.plan.sides import Sides

COPY = "f (Me's conflicted copy 2026-01-02)"

FILE_TABLE = {
    # here/there: plan
    "none/none": [],
    "none/edit": ["fetch f → root/f"],
    "none/delete": ["trash f"],
    "none/move": ["move f → d/there"],
    "none/move+edit": ["move f → d/there", "fetch f → d/there"],
    "edit/none": ["up edit f +bytes"],
    "edit/edit": [f"fetch f → root/f, mine → {COPY}"],
    "edit/edit equal": ["adopt f"],
    "edit/delete": ["up undelete f → root/f +bytes"],
    "edit/move": ["move f → d/there", "up edit f +bytes"],
    "edit/move+edit": ["move f → d/there", "fetch f → d/there, mine → there (Me's conflicted copy 2026-01-02)"],
    "edit/move+edit equal": ["move f → d/there"],
    "delete/none": ["up delete f"],
    "delete/edit": ["fetch f → root/f"],
    "delete/delete": ["forget f"],
    "delete/move": ["fetch f → d/there"],
    "delete/move+edit": ["fetch f → d/there"],
    "move/none": ["up move f → d/here"],
    "move/edit": ["fetch f → d/here", "up move f → d/here"],
    "move/delete": ["up undelete f → d/here"],
    "move/move": ["move f → d/there"],
    "move/move equal": ["adopt f"],
    "move/move+edit": ["move f → d/there", "fetch f → d/there"],
    "move+edit/none": ["up move f → d/here", "up edit f +bytes"],
    "move+edit/edit": ["fetch f → d/here, mine → here (Me's conflicted copy 2026-01-02)", "up move f → d/here"],
    "move+edit/edit equal": ["rebase f", "up move f → d/here"],
    "move+edit/delete": ["up undelete f → d/here +bytes"],
    "move+edit/move": ["move f → d/there", "up edit f +bytes"],
    "move+edit/move+edit": ["move f → d/there", "fetch f → d/there, mine → there (Me's conflicted copy 2026-01-02)"],
    "move+edit/move+edit equal": ["move f → d/there"],
}


@pytest.mark.parametrize("cell", FILE_TABLE)
def test_file(cell: str) -> None:
    sides = Sides().both("d", "root", "d").both("f", "root", "f", "old")
    change, _, equal = cell.partition(" ")
    here, there = change.split("/")
    if here == "delete":
        sides.gone_here("f")
    elif here != "none":
        place = ("d", "there" if equal and "move" in there else "here") if "move" in here else ("root", "f")
        sides.here("f", *place, "same" if equal and "edit" in here else "mine" if "edit" in here else "old")
    if there == "delete":
        sides.gone_there("f")
    elif there != "none":
        place = ("d", "there") if "move" in there else ("root", "f")
        sides.there("f", *place, "same" if equal and "edit" in there else "theirs" if "edit" in there else "old", revision=2)
    if cell in ("edit/move+edit equal", "move+edit/move+edit equal"):
        sides.here("f", "d" if here == "move+edit" else "root", "here" if here == "move+edit" else "f", "same")
    assert sides.told() == FILE_TABLE[cell]


FOLDER_TABLE = {
    "none/none": [],
    "none/new below": ["fetch n → d/n"],
    "none/delete": ["trash x", "rmdir d"],
    "none/move": ["move d → e/d"],
    "new below/none": ["up create n → d/n +bytes"],
    "new below/new below": ["fetch m → d/m", "up create n → d/n +bytes"],
    "new below/delete": ["up undelete d → root/d", "up create n → d/n +bytes", "trash x"],
    "new below/move": ["move d → e/d", "up create n → d/n +bytes"],
    "delete/none": ["up delete d whole"],
    "delete/new below": ["make d → root/d", "fetch n → d/n", "up delete x"],
    "delete/delete": ["forget d", "forget x"],
    "delete/move": ["forget x", "make d → e/d", "fetch x → d/x"],
    "move/none": ["up move d → e/d"],
    "move/new below": ["fetch n → d/n", "up move d → e/d"],
    "move/delete": ["up undelete d → e/d #0", "up undelete x → d/x #0"],
    "move/move": ["move d → e/there"],
    "move/move equal": ["adopt d"],
}


@pytest.mark.parametrize("cell", FOLDER_TABLE)
def test_folder(cell: str) -> None:
    sides = Sides().both("e", "root", "e").both("d", "root", "d").both("x", "d", "x", "1")
    sides.trees.open.clear()
    change = cell.removesuffix(" equal")
    here, there = change.split("/")
    if there == "new below":
        sides.there("m" if here == "new below" else "n", "d", "m" if here == "new below" else "n", "2")
    elif there == "delete":
        sides.gone_there("d", "x")
    elif there == "move":
        sides.there("d", "e", "there" if here == "move" and not cell.endswith("equal") else "d")
    if here == "new below":
        sides.here("n", "d", "n", "3")
    elif here == "delete":
        sides.gone_here("d", "x")
    elif here == "move":
        sides.here("d", "e", "d")
    assert sides.told() == FOLDER_TABLE[cell]


SAME_PLACE_TABLE = {
    # two new nodes with one name: here, there
    "file, equal file": ("1", "1", ["link h = t"]),
    "file, other file": ("1", "2", ["move h → root/n (Me's conflicted copy 2026-01-02)", "fetch t → root/n"]),
    "file not read yet, file": ("?", "2", ["hash h"]),
    "file, folder": ("1", None, ["move h → root/n (Me's conflicted copy 2026-01-02)", "make t → root/n"]),
    "folder, file": (None, "1", ["move h → root/n (Me's conflicted copy 2026-01-02)", "fetch t → root/n"]),
    "folder, folder": (None, None, ["link h = t"]),
}


@pytest.mark.parametrize("case", SAME_PLACE_TABLE)
def test_same_place_two_new_nodes(case: str) -> None:
    here, there, want = SAME_PLACE_TABLE[case]
    assert Sides().here("h", "root", "n", here).there("t", "root", "n", there).told() == want
