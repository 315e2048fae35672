"""Every kind of step, and every cell of the tables, can be told to a person."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.unit.plan.sides import Sides

from syncline.client.plan import steps as S
from syncline.client.plan.decision import CELLS, FOLDER_CELLS
from syncline.client.plan.describe import describe
from syncline.client.plan.words import in_words
from syncline.client.status import Side
from syncline.model.conflicts import Reason
from syncline.model.entries import Kind
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.protocol.commits import Op

F, ROOT = NodeId("f"), NodeId("root")
BASIC = {"node": F, "why": "edit/edit"}
PLACED = BASIC | {"parent": ROOT, "name": "g"}
HASH = Digest("x")


def push(op: Op, **options: Any) -> S.Push:
    return S.Push(**(BASIC | {"op": op, "namespace": NamespaceId("root"), "kind": Kind.FILE} | options))


STEPS: list[tuple[S.Step, Side, str, str]] = [
    (S.Adopt(**BASIC), Side.NOTED, "agree", "agree"),
    (S.Forget(**BASIC), Side.NOTED, "forget", "nothing is left"),
    (S.Link(**BASIC, to=F), Side.NOTED, "agree", "what the server has"),
    (S.Rebase(**BASIC), Side.NOTED, "rebase", "based on"),
    (S.Hash(**BASIC), Side.NOTED, "read", "read it first"),
    (S.MakeFolder(**PLACED), Side.HERE, "make folder", "make the folder"),
    (S.Fetch(**PLACED), Side.HERE, "download", "local trash"),
    (S.Fetch(**(PLACED | {"node": NodeId("new")})), Side.HERE, "download", "bring it"),
    (S.Fetch(**PLACED, aside_id=F, aside_name="copy"), Side.CONFLICT, "keep both", "server's version takes the path"),
    (
        S.Merge(**PLACED, namespace=NamespaceId("root"), base=HASH, base_revision=1, ours=HASH, theirs=HASH),
        Side.CONFLICT,
        "merge",
        "this device's version goes to the local trash",
    ),
    (S.Relocate(**PLACED), Side.HERE, "move here", "move it on this disk to g"),
    (S.Relocate(**PLACED, conflict=Reason.NAME_TAKEN, beside=F), Side.CONFLICT, "keep both", "d/f keeps the name"),
    (S.Relocate(**PLACED, conflict=Reason.KEPT_ASIDE), Side.CONFLICT, "keep both", "kept in this account as g"),
    (S.Stage(**BASIC), Side.HERE, "set aside", "step aside"),
    (S.SetExecutable(**BASIC, executable=False), Side.HERE, "set executable", "not executable"),
    (S.Discard(**BASIC), Side.HERE, "delete here", "local trash"),
    (S.RemoveFolder(**BASIC), Side.HERE, "delete here", "if it is empty"),
    (S.Report(**BASIC, code="name.invalid", message="No."), Side.LEFT, "report", "name.invalid: No."),
    (push(Op.CREATE, content=True, parent=ROOT, name="f"), Side.THERE, "upload", "upload it"),
    (push(Op.CREATE, kind=Kind.DIR, parent=ROOT, name="f"), Side.THERE, "make folder there", "make the folder"),
    (push(Op.EDIT, content=True), Side.THERE, "upload", "stays in its history"),
    (push(Op.EDIT, executable=True), Side.THERE, "upload", "executable on the server"),
    (push(Op.MOVE, parent=ROOT, name="g"), Side.THERE, "move there", "move the file"),
    (push(Op.DELETE), Side.THERE, "delete there", "trash there"),
    (push(Op.DELETE, kind=Kind.DIR, recursive=True), Side.THERE, "delete there", "with all that is in it"),
    (push(Op.UNDELETE), Side.THERE, "restore there", "own history"),
]


@pytest.mark.parametrize(("step", "side", "action", "says"), STEPS)
def test_a_step_says_what_becomes_of_which_version(step: S.Step, side: Side, action: str, says: str) -> None:
    trees = Sides().both("d", "root", "d").both("f", "d", "f", "old").trees
    told = describe(step, trees, held=True)
    assert (told.side, told.action, told.held) == (side, action, True)
    assert says in told.says
    assert told.path == ("d/f" if step.node == F else "g")
    assert told.because == "edited here, edited on the server"


def test_no_kind_of_step_is_left_out() -> None:
    kinds = {kind for kind in vars(S).values() if isinstance(kind, type) and issubclass(kind, S.Step) and kind is not S.Step}
    assert kinds == {type(step) for step, *_ in STEPS}


@pytest.mark.parametrize("why", sorted({cell for table in (CELLS, FOLDER_CELLS) for row in table for cell in row}))
@pytest.mark.parametrize("around", ["{}", "{} kept", "read-only: {}", "read-only: {} kept", "name taken, {}", "whole {}"])
def test_every_reason_is_a_sentence(why: str, around: str) -> None:
    told = in_words(around.format(why))
    assert "/" not in told
    assert not re.search(r" kept$", told)


def test_an_unknown_reason_is_given_back() -> None:
    assert in_words("something else") == "something else"
    assert in_words("lost: changed kept").startswith("you have lost access")
