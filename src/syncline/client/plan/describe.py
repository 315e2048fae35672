"""A step in words, for `syncline plan`."""

from __future__ import annotations

from syncline.client.plan import steps
from syncline.client.plan.steps import Step
from syncline.client.status import PlannedStep
from syncline.client.trees.trees import Trees
from syncline.model.paths import join
from syncline.protocol.commits import Op

_ACTIONS: dict[type[Step], str] = {
    steps.Adopt: "agree",
    steps.Forget: "forget",
    steps.Link: "agree",
    steps.Rebase: "rebase",
    steps.Hash: "read",
    steps.MakeFolder: "make folder",
    steps.Fetch: "download",
    steps.Relocate: "move here",
    steps.Stage: "set aside",
    steps.SetExecutable: "set executable",
    steps.Discard: "delete here",
    steps.RemoveFolder: "delete here",
    steps.Report: "report",
}
_PUSHES = {Op.EDIT: "upload", Op.MOVE: "move there", Op.DELETE: "delete there", Op.UNDELETE: "restore there"}


def describe(step: Step, trees: Trees) -> PlannedStep:
    """What the step would do ("here" is this disk, "there" the server), to which path, and why (local/remote change)."""
    path = trees.local_path(step.node) or trees.remote_path(step.node)
    target = None
    if isinstance(step, steps.MakeFolder | steps.Fetch | steps.Relocate):
        above = trees.local_path(step.parent) or trees.remote_path(step.parent) or ""
        target = join(above, step.name)
    elif isinstance(step, steps.Push) and step.name is not None and step.parent is not None:
        target = join(trees.remote_path(step.parent) or trees.local_path(step.parent) or "", step.name)
    if isinstance(step, steps.Push):
        made = "upload" if step.content else "make folder there"
        action = made if step.op is Op.CREATE else _PUSHES[step.op]
    else:
        action = _ACTIONS[type(step)]
    return PlannedStep(action=action, path=path or target or step.node, why=step.why, target=target if target != path else None)
