"""A step in words, for `syncline plan`: what is done to which path, where what it displaces goes, and why."""

from __future__ import annotations

from syncline.client.plan import steps
from syncline.client.plan.steps import Step
from syncline.client.plan.words import in_words
from syncline.client.status import PlannedStep, Side
from syncline.client.trees.trees import Trees
from syncline.model.conflicts import Reason
from syncline.model.entries import DIR
from syncline.model.ids import NodeId
from syncline.model.paths import join
from syncline.protocol.commits import Op

_ACTIONS: dict[type[Step], tuple[Side, str]] = {
    steps.Adopt: (Side.NOTED, "agree"),
    steps.Forget: (Side.NOTED, "forget"),
    steps.Link: (Side.NOTED, "agree"),
    steps.Rebase: (Side.NOTED, "rebase"),
    steps.Hash: (Side.NOTED, "read"),
    steps.MakeFolder: (Side.HERE, "make folder"),
    steps.Fetch: (Side.HERE, "download"),
    steps.Merge: (Side.CONFLICT, "merge"),
    steps.Relocate: (Side.HERE, "move here"),
    steps.Stage: (Side.HERE, "set aside"),
    steps.SetExecutable: (Side.HERE, "set executable"),
    steps.Discard: (Side.HERE, "delete here"),
    steps.RemoveFolder: (Side.HERE, "delete here"),
    steps.Report: (Side.LEFT, "report"),
}
_PUSHES = {Op.EDIT: "upload", Op.MOVE: "move there", Op.DELETE: "delete there", Op.UNDELETE: "restore there"}
_NOTES: dict[type[Step], str] = {
    steps.Adopt: "both sides agree; only noted",
    steps.Forget: "nothing is left of it on either side; only noted",
    steps.Link: "what is here is what the server has; only noted",
    steps.Rebase: "the server's version is noted as what the change here is based on",
    steps.Hash: "read it first: what is to be done depends on its bytes",
    steps.MakeFolder: "make the folder on this disk",
    steps.Stage: "step aside for a moment, in a ring of moves or for a change of case",
    steps.Discard: "delete it on this disk; it goes to the local trash",
    steps.RemoveFolder: "remove the folder on this disk, if it is empty",
}


def describe(step: Step, trees: Trees, *, held: bool = False) -> PlannedStep:
    """What the step would do ("here" is this disk, "there" the server), to which path, and why (local/remote change). `held` says
    that the delete guard holds it back."""
    path = trees.local_path(step.node) or trees.remote_path(step.node)
    target = _target(step, trees)
    side, action = _action(step)
    return PlannedStep(
        action=action,
        path=path or target or step.node,
        why=step.why,
        target=target if target != path else None,
        side=side,
        says=_says(step, trees),
        because=in_words(step.why),
        held=held,
    )


def _target(step: Step, trees: Trees) -> str | None:
    if isinstance(step, steps.MakeFolder | steps.Fetch | steps.Merge | steps.Relocate):
        return join(_folder(step.parent, trees), step.name)
    if isinstance(step, steps.Push) and step.name is not None and step.parent is not None:
        return join(trees.remote_path(step.parent) or trees.local_path(step.parent) or "", step.name)
    return None


def _folder(node: NodeId, trees: Trees) -> str:
    return trees.local_path(node) or trees.remote_path(node) or ""


def _action(step: Step) -> tuple[Side, str]:
    if isinstance(step, steps.Push):
        made = "upload" if step.content else "make folder there"
        return Side.THERE, made if step.op is Op.CREATE else _PUSHES[step.op]
    side, action = _ACTIONS[type(step)]
    kept = (isinstance(step, steps.Fetch) and step.aside_name is not None) or (
        isinstance(step, steps.Relocate) and step.conflict is not None
    )
    return (Side.CONFLICT, "keep both") if kept else (side, action)


def _says(step: Step, trees: Trees) -> str:
    if isinstance(step, steps.Report):
        return f"{step.code}: {step.message}"
    if isinstance(step, steps.Push):
        return _push(step)
    if isinstance(step, steps.Fetch):
        return _fetch(step, trees)
    if isinstance(step, steps.Merge):
        return (
            "merge the changes of both sides, line by line, and upload the result; this device's version goes to the local trash. "
            "Where the changes touch, a conflict copy is kept instead"
        )
    if isinstance(step, steps.Relocate):
        return _relocate(step, trees)
    if isinstance(step, steps.SetExecutable):
        return f"make it {'' if step.executable else 'not '}executable on this disk"
    return _NOTES[type(step)]


def _fetch(step: steps.Fetch, trees: Trees) -> str:
    if step.aside_name is not None:
        return f"the server's version takes the path; this device's is kept beside it as {step.aside_name}, and uploaded"
    if step.node in trees.local:
        return "the server's version takes the place of the present one, which goes to the local trash"
    return "bring it to this disk"


def _relocate(step: steps.Relocate, trees: Trees) -> str:
    target = join(_folder(step.parent, trees), step.name)
    if step.conflict is Reason.KEPT_ASIDE:
        return f"it is kept in this account as {target}; the server's version stands where it was"
    if step.conflict is not None:
        keeper = "" if step.beside is None else trees.local_path(step.beside) or trees.remote_path(step.beside) or ""
        return f"{keeper or 'what the server has'} keeps the name; this one is kept beside it as {step.name}, and uploaded"
    return f"move it on this disk to {target}"


def _push(step: steps.Push) -> str:
    what = "folder" if step.kind is DIR else "file"
    if step.op is Op.DELETE:
        below = " with all that is in it" if step.recursive else ""
        return f"delete the {what}{below} on the server; it goes to the trash there"
    if step.op is Op.MOVE:
        return f"move the {what} on the server" + (", and upload its new content" if step.content else "")
    if step.op is Op.UNDELETE:
        return f"bring the {what} back on the server under its own history" + (", with its new content" if step.content else "")
    if step.op is Op.CREATE:
        return "upload it" if step.content else f"make the {what} on the server"
    if step.content:
        return "upload its new content; the one before stays in its history"
    return f"make it {'' if step.executable else 'not '}executable on the server"
