"""The cells of the decision tables, as a run counts them: why a step was planned, and what it does."""

from __future__ import annotations

from syncline.client.plan import steps as S

Cell = tuple[str, str]
"""(why, what is done)."""

_DONE: dict[type[S.Step], str] = {
    S.Adopt: "adopt",
    S.Forget: "forget",
    S.Link: "link",
    S.Rebase: "rebase",
    S.Hash: "read",
    S.MakeFolder: "make",
    S.Fetch: "fetch",
    S.Relocate: "move",
    S.Stage: "stage",
    S.SetExecutable: "set bit",
    S.Discard: "discard",
    S.RemoveFolder: "remove",
}
_PUSHED = {(op, content): f"push {op.value}{' bytes' * content}" for op in S.Op for content in (False, True)}


def cell_of(step: S.Step) -> Cell:
    kind = step.__class__
    if kind is S.Push:
        return (step.why, _PUSHED[step.op, step.content])
    if kind is S.Fetch and step.aside_id is not None:
        return (step.why, "fetch, copy")
    if kind is S.Report:
        return (step.why, f"report {step.code}")
    if kind is S.Relocate and step.new_id is not None:
        return (step.why, "move as new")
    return (step.why, _DONE[kind])
