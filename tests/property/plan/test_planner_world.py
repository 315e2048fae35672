"""The planner against its world: a hundred thousand cases, every cell of the tables seen, and classical mistakes found out.

`SYNCLINE_PLAN_CASES` asks for more (in thousands).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.property.plan.drive import run_many
from tests.property.plan.world import MODES, Spoiled

from syncline.client.plan import changeset, decide, disk, groups, removals, target, view
from syncline.client.plan.decision import Content

CHUNK = 5_000
CHUNKS = max(1, int(os.environ.get("SYNCLINE_PLAN_CASES", "100")) // 5)
COVERED_BY = 10_000
"""So many cases must see every cell below."""

LOCAL = ("none", "edit", "delete", "move", "move+edit")
FILE_CELLS = [f"{local}/{remote}" for local in LOCAL for remote in LOCAL if (local, remote) != ("none", "none")]
FOLDER_CELLS = [
    "folder none/delete",
    "folder none/move",
    "folder below/delete",
    "folder delete/none",
    "folder delete/below",
    "folder delete/move",
    "folder move/none",
    "folder move/delete",
    "folder move/move",
    "whole delete/none",
    "whole folder delete/none",
]
OTHER_CELLS = [
    "new/absent",
    "absent/new",
    "new/new",
    "same place",
    "merge folders",
    "case conflict",
    "name taken, new/absent",
    "name taken, folder new/absent",
    "name taken, edit/delete",
    "across namespaces",
    "read-only: new kept",
    "read-only: edit/none kept",
    "read-only: delete/none",
    "read-only: move/none",
    "lost: unchanged",
    "lost: changed kept",
    "lost: new kept",
]
SELDOM = {"cycle"}
"""Seen once in some thousands of cases: looked for in a mode of their own."""


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_case_comes_to_rest_with_nothing_lost(chunk: int) -> None:
    run_many(range(chunk * CHUNK, (chunk + 1) * CHUNK))


def test_every_cell_of_the_tables_is_seen() -> None:
    seen: Counter[str] = Counter()
    for start, mode in enumerate(MODES):
        seen.update(run_many(range(10**6 + start * 1000, 10**6 + start * 1000 + COVERED_BY // len(MODES)), mode))
    missing = [cell for cell in (*FILE_CELLS, *FOLDER_CELLS, *OTHER_CELLS) if not seen[cell]]
    assert not missing, f"cells never seen: {missing}"


def test_rings_of_moves_are_seen() -> None:
    seen = run_many(range(2 * 10**6, 2 * 10**6 + 6_000), "client and server")
    assert all(seen[cell] for cell in SELDOM)


# -- Mistakes that the world must find out (`sync-engine.md` §3.7) -------------------------------------


def _overwrites(original: Any) -> Any:
    def merge(plan_view: Any, decision: Any) -> None:
        original(plan_view, decision)
        if decision.content is Content.ASIDE:
            decision.content = Content.FETCH

    return merge


def _last_writer_wins(original: Any) -> Any:
    def merge(plan_view: Any, decision: Any) -> None:
        original(plan_view, decision)
        if decision.content is Content.ASIDE:
            decision.content = Content.PUSH

    return merge


def _ignores_local_edit(original: Any) -> Any:
    def gone(plan_view: Any, decision: Any, here: int) -> None:
        original(plan_view, decision, here)
        if decision.content is Content.PUSH:
            decision.exists = False

    return gone


def _ignores_remote_edit(original: Any) -> Any:
    def not_here(plan_view: Any, decision: Any) -> None:
        original(plan_view, decision)
        if decision.base is not None:
            decision.exists = False

    return not_here


MUTANTS: list[tuple[str, Any, str, Callable[[Any], Any], str]] = [
    ("bytes replaced instead of a conflict copy", decide, "_merge_content", _overwrites, "client and server"),
    ("the last writer wins", decide, "_merge_content", _last_writer_wins, "client and server"),
    ("a remote delete ignores a local edit", decide, "_gone_there", _ignores_local_edit, "client and server"),
    ("a local delete beats a remote edit", decide, "_not_here", _ignores_remote_edit, "client and server"),
    ("no atomic changeset", groups.Groups, "form", lambda _: lambda self, *, first: [], "local only"),
    ("no hop over the stage", disk.Disk, "_pick_hop", lambda _: lambda self, remaining: None, "remote only"),
    ("no look for rings", target, "_ring", lambda _: lambda plan_view, start: [], "client and server"),
    ("folders stay gone above a change", target, "_bring_back_folders", lambda _: lambda plan_view: None, "client and server"),
    ("a moved folder does not come back whole", view.View, "revived", lambda _: lambda self, folder: False, "client and server"),
    ("folders deleted unseen", removals.Removals, "is_removal", lambda _: _knows_all, "client and server"),
    ("pushes in no order", changeset.Changeset, "_blocker", lambda _: lambda self, op: None, "local only"),
]


def _knows_all(self: Any, node_id: Any) -> bool:
    decision = self.view.decisions.get(node_id)
    return decision is not None and decision.there is not None and decision.here is None


@pytest.mark.parametrize(("owner", "name", "mutate", "mode"), [row[1:] for row in MUTANTS], ids=[row[0] for row in MUTANTS])
def test_a_mistake_is_found_out(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, mutate: Callable[[Any], Any], mode: str
) -> None:
    monkeypatch.setattr(owner, name, mutate(getattr(owner, name)))
    monkeypatch.setattr("tests.property.plan.drive.shrink", lambda script, seed: script)
    with pytest.raises(Spoiled):
        run_many(range(30_000), mode)


def test_the_world_stays_out_of_the_product() -> None:
    room = Path(decide.__file__).parent
    assert not [path.name for path in room.glob("*.py") if "tests." in path.read_text()]
