"""The cells of the decision tables, as a run counts them: why a step was planned, and what it does."""

from __future__ import annotations

from collections.abc import Mapping

from syncline.client.plan import steps as S

Cell = tuple[str, str]
"""(why, what is done)."""

_DONE: dict[type, str] = {
    S.Adopt: "adopt",
    S.Forget: "forget",
    S.Link: "link",
    S.Rebase: "rebase",
    S.Hash: "read",
    S.MakeFolder: "make",
    S.Stage: "stage",
    S.SetExecutable: "set bit",
    S.Discard: "discard",
    S.RemoveFolder: "remove",
}
_PUSHED = {(op, content): f"push {op.value}{' bytes' * content}" for op in S.Op for content in (False, True)}


HELD_BACK: Cell = ("parked", "held back alone")


def changeset_cell(unit: list[S.Push]) -> Cell:
    """Changes that stand or fall together, by what they are."""
    return ("one changeset", "+".join(sorted({push.op.value for push in unit})))


def cell_of(step: S.Step) -> Cell:
    kind = step.__class__
    if kind is S.Push:
        return (step.why, _PUSHED[step.op, step.content])
    if kind is S.Fetch:
        return (step.why, "fetch" if step.aside_id is None else "fetch, copy")
    if kind is S.Relocate:
        return (step.why, "move" if step.new_id is None else "move as new")
    if kind is S.Report:
        return (step.why, f"report {step.code}")
    return (step.why, _DONE[kind])


def named(seen: Mapping[Cell, int]) -> dict[str, int]:
    return {f"{why}: {done}": number for (why, done), number in seen.items()}


def _cells(why: str, *done: str) -> tuple[str, ...]:
    return tuple(f"{why}: {each}" for each in done)


FILES = (
    # The first table, row by row (local/remote).
    *_cells("none/none", "adopt"),  # A revision alone, or an edit that was taken back.
    *_cells("none/edit", "fetch", "set bit"),
    *_cells("none/delete", "discard"),
    *_cells("none/move", "move"),
    *_cells("none/move+edit", "move", "fetch", "set bit"),
    *_cells("edit/none", "push edit bytes", "push edit"),
    *_cells("edit/edit", "adopt", "fetch, copy", "fetch", "set bit", "push edit", "push edit bytes", "rebase", "read"),
    *_cells("edit/delete", "push undelete bytes", "push undelete", "read"),
    *_cells("edit/move", "move", "push edit bytes", "push edit"),
    *_cells("edit/move+edit", "move", "fetch, copy", "read", "set bit", "push edit", "push edit bytes"),
    *_cells("delete/none", "push delete"),
    *_cells("delete/edit", "fetch"),
    *_cells("delete/delete", "forget"),
    *_cells("delete/move", "fetch"),
    *_cells("delete/move+edit", "fetch"),
    *_cells("move/none", "push move"),
    *_cells("move/edit", "push move", "fetch", "set bit"),
    *_cells("move/delete", "push undelete"),
    *_cells("move/move", "adopt", "move"),
    *_cells("move/move+edit", "move", "fetch", "set bit"),
    *_cells("move+edit/none", "push move", "push edit bytes", "push edit"),
    *_cells("move+edit/edit", "push move", "fetch, copy", "rebase", "read", "set bit", "push edit", "push edit bytes"),
    *_cells("move+edit/delete", "push undelete bytes", "push undelete"),
    *_cells("move+edit/move", "move", "push edit bytes", "push edit", "rebase"),
    *_cells("move+edit/move+edit", "move", "adopt", "fetch, copy", "read", "set bit", "push edit bytes", "rebase"),
)
FOLDERS = (
    # The second table. Edits below a folder are their files' own cells; here is what they make of the folder.
    *_cells("folder none/none", "adopt"),
    *_cells("folder none/delete", "remove", "report folder.leftover"),
    *_cells("folder none/move", "move"),
    *_cells("folder below/delete", "push undelete"),
    *_cells("folder delete/none", "push delete", "report folder.kept"),
    *_cells("folder delete/below", "make"),
    *_cells("folder delete/move", "make"),
    *_cells("folder move/none", "push move"),
    *_cells("folder move/delete", "push undelete"),
    *_cells("folder move/move", "adopt", "move"),
    # What comes back whole with a folder that was moved.
    *_cells("whole delete/none", "fetch", "forget"),
    *_cells("whole folder delete/none", "make", "forget"),
    *_cells("whole none/delete", "push undelete"),
    *_cells("whole folder none/delete", "push undelete"),
    *_cells("whole edit/delete", "push undelete bytes"),
)
SAME_PLACE = (
    *_cells("new/absent", "push create bytes", "push undelete bytes", "read"),
    *_cells("absent/new", "fetch"),
    *_cells("folder new/absent", "push create", "push undelete"),
    *_cells("folder absent/new", "make"),
    *_cells("new/new", "adopt", "read", "move", "set bit", "fetch, copy", "fetch"),
    *_cells("folder new/new", "adopt", "move"),
    *_cells("same place", "link"),
    *_cells("merge folders", "link"),
    *_cells("name taken, new/absent", "move"),
    *_cells("name taken, folder new/absent", "move"),
    *_cells("name taken, move/none", "move"),
    *_cells("name taken, folder move/none", "move"),
    *_cells("name taken, move/edit", "move"),
    *_cells("name taken, move+edit/edit", "move"),
    *_cells("name taken, move/delete", "move"),
    *_cells("name taken, folder move/delete", "move"),
    *_cells("name taken, folder none/delete", "move"),  # Leftovers.
    *_cells("name taken, edit/delete", "move"),  # File → folder there, edited here.
    *_cells("name taken, folder below/delete", "move"),
    *_cells("case conflict", "move"),
    *_cells("already held", "discard"),
    *_cells("cycle", "move"),
    # Rings of renames, and names that free each other: a hop on disk, one changeset for the server.
    *_cells("none/move", "stage"),
    *_cells("folder none/move", "stage"),
    *_cells("one changeset", "move", "create+move", "delete+move", "undelete"),
)
NAMESPACES = (
    *_cells("across namespaces", "move as new"),
    *_cells("moved where it cannot be, move/none", "move"),
    *_cells("moved where it cannot be, folder move/none", "move"),
    *_cells("moved where it cannot be, move+edit/none", "move"),
    *_cells("read-only: absent/new", "fetch"),
    *_cells("read-only: folder absent/new", "make"),
    *_cells("read-only: new kept", "make", "move as new"),
    *_cells("read-only: none/none", "adopt"),
    *_cells("read-only: none/edit", "fetch", "set bit"),
    *_cells("read-only: none/delete", "discard"),
    *_cells("read-only: none/move", "move"),
    *_cells("read-only: none/move+edit", "move", "fetch"),
    *_cells("read-only: edit/none", "read", "set bit"),
    *_cells("read-only: edit/none kept", "make", "move as new"),
    *_cells("read-only: edit/edit", "adopt", "read"),
    *_cells("read-only: edit/edit kept", "move as new"),
    *_cells("read-only: edit/delete", "discard", "read"),
    *_cells("read-only: edit/delete kept", "move as new"),
    *_cells("read-only: edit/move", "move"),
    *_cells("read-only: edit/move kept", "move as new"),
    *_cells("read-only: edit/move+edit", "move"),
    *_cells("read-only: edit/move+edit kept", "move as new"),
    *_cells("read-only: delete/none", "fetch"),
    *_cells("read-only: delete/edit", "fetch"),
    *_cells("read-only: delete/delete", "forget"),
    *_cells("read-only: delete/move", "fetch"),
    *_cells("read-only: delete/move+edit", "fetch"),
    *_cells("read-only: move/none", "move"),
    *_cells("read-only: move/edit", "move", "fetch"),
    *_cells("read-only: move/delete", "discard"),
    *_cells("read-only: move/move", "adopt", "move"),
    *_cells("read-only: move/move+edit", "move"),
    *_cells("read-only: move+edit/none", "move"),
    *_cells("read-only: move+edit/none kept", "move as new"),
    *_cells("read-only: move+edit/edit", "move"),
    *_cells("read-only: move+edit/edit kept", "move as new"),
    *_cells("read-only: move+edit/delete kept", "move as new"),
    *_cells("read-only: folder none/delete", "remove"),
    *_cells("read-only: folder none/move", "move"),
    *_cells("read-only: folder delete/none", "make"),
    *_cells("read-only: folder delete/delete", "forget"),
    *_cells("read-only: folder delete/move", "make"),
    *_cells("read-only: folder move/none", "move"),
    *_cells("read-only: folder move/delete", "remove"),
    *_cells("read-only: folder move/move", "move"),
    *_cells("lost: unchanged", "discard", "remove", "read"),
    *_cells("lost: changed kept", "make", "move as new"),
    *_cells("lost: new kept", "make", "move as new"),
    *_cells("lost: gone", "forget"),
)
NOT_SYNCED = (
    *_cells("excluded", "discard", "remove", "forget"),
    *_cells("selective sync conflict", "move"),
)
PARKED = _cells("parked", "held back alone")
EXPECTED = (*FILES, *FOLDERS, *SAME_PLACE, *NAMESPACES, *NOT_SYNCED, *PARKED)
"""Every cell of the tables and of their amendments that the planner carries out: a large run must hit each."""
SELDOM = frozenset(
    (
        *(cell for cell in NAMESPACES if cell.startswith("read-only: ") and ("move+edit" in cell or "/move" in cell)),
        *_cells("move+edit/move+edit", "adopt", "rebase"),
        *_cells("cycle", "move"),
        *_cells("name taken, folder none/delete", "move"),
        *_cells("whole edit/delete", "push undelete bytes"),
        *_cells("new/absent", "read"),
    )
)
"""Hit by a few of a hundred thousand cases: a short run need not see them."""
