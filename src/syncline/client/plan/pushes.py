"""One decided place, as the change that tells the server of it."""

from __future__ import annotations

from syncline.client.plan.decision import PUSH, Decision
from syncline.client.plan.steps import Push
from syncline.client.plan.view import View
from syncline.model.entries import FILE
from syncline.protocol.commits import Op


def pushed(view: View, op: Decision, *, group: int | None = None, recursive: bool = False) -> Push:
    """A create, an undelete or a move. `recursive` brings a whole deleted folder back as it was."""
    there, here, base = op.there, op.here, op.base
    assert here is not None
    is_file = op.kind is FILE
    if there is not None:
        return Push(
            node=op.id,
            why=op.why,
            op=Op.MOVE,
            namespace=there.namespace,
            kind=op.kind,
            parent=op.parent,
            name=op.name,
            base_revision=there.revision if is_file else None,
            group=group,
        )
    content = op.content is PUSH
    return Push(
        node=op.id,
        why=op.why,
        op=Op.CREATE if base is None and op.id not in view.context.buried else Op.UNDELETE,
        namespace=view.namespace_at(op.parent) if base is None else base.namespace,
        kind=op.kind,
        parent=op.parent,
        name=op.name,
        content=content,
        content_hash=here.content_hash if content else None,
        executable=op.executable,
        recursive=recursive,
        group=group,
    )
