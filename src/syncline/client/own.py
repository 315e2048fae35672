"""A device's own journal rows, rebuilt from what it asked for and what the commit answered, instead of being read back.

The chain is the judge (`observe.pull`): only when the rows, appended to the chain the device stands at, give just the chain of the
answer, nobody else committed in between and every field is as the server wrote it. Whatever is not plain (an expansion by the
server, an undelete, an adoption) is left to a pull.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from syncline.client.trees.tree import Tree
from syncline.model.entries import Kind, RemoteNode
from syncline.model.ids import DeviceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.ports.tree_store import CursorRow
from syncline.protocol.changes import to_us
from syncline.protocol.commits import Change, CommitAnswer, Op

_WEIGHT = {Op.MOVE: 0, Op.EDIT: 1, Op.CREATE: 3, Op.DELETE: 4}
"""Which op names the row of a node that a changeset changes twice."""


def own_rows(
    changes: Sequence[Change], answer: CommitAnswer, at: CursorRow, remote: Tree[RemoteNode], user: UserId, device: DeviceId
) -> list[JournalEntry] | None:
    """The rows this changeset appended to the journal, in order, or None where they must be read from the server."""
    if answer.time is None or any(change.op not in _WEIGHT or change.recursive for change in changes):
        return None
    made: dict[NodeId, JournalEntry] = {}
    for change, result in zip(changes, answer.results, strict=True):
        before = made.get(change.node_id) or _stored(remote.get(change.node_id), answer, user, device)
        if result.adopted or (before is None and change.op is not Op.CREATE):
            return None
        entry = _created(change, answer, user, device) if before is None else _changed(before, change)
        if entry is None:
            return None
        made[change.node_id] = replace(entry, sequence=result.sequence, revision=result.revision)
    rows = sorted(made.values(), key=lambda row: row.sequence)
    if [row.sequence for row in rows] != list(range(at.sequence + 1, answer.sequence + 1)):
        return None
    return rows


def _stored(node: RemoteNode | None, answer: CommitAnswer, user: UserId, device: DeviceId) -> JournalEntry | None:
    if node is None or answer.time is None:
        return None
    return JournalEntry(
        sequence=0,
        changeset=answer.changeset,
        op="",
        node_id=node.id,
        parent_id=node.parent,
        name=node.name,
        kind=node.kind,
        revision=node.revision,
        content_hash=node.content_hash,
        size=node.size,
        executable=node.executable,
        mtime_us=node.mtime_us,
        mount=node.mount,
        actor=user,
        device=device,
        time_us=to_us(answer.time),
    )


def _created(change: Change, answer: CommitAnswer, user: UserId, device: DeviceId) -> JournalEntry | None:
    if change.parent_id is None or change.name is None or change.kind is None or answer.time is None:
        return None
    return JournalEntry(
        sequence=0,
        changeset=answer.changeset,
        op=change.op.value,
        node_id=change.node_id,
        parent_id=change.parent_id,
        name=change.name,
        kind=change.kind,
        content_hash=change.content_hash if change.kind is Kind.FILE else None,
        size=change.size or 0,
        executable=bool(change.executable),
        mtime_us=0 if change.mtime is None else to_us(change.mtime),
        actor=user,
        device=device,
        time_us=to_us(answer.time),
    )


def _changed(before: JournalEntry, change: Change) -> JournalEntry:
    entry = before if _WEIGHT[change.op] <= (_WEIGHT[Op(before.op)] if before.op else -1) else replace(before, op=change.op.value)
    if change.op is Op.DELETE:
        return replace(entry, deleted=True)
    if change.parent_id is not None and change.name is not None:
        entry = replace(entry, parent_id=change.parent_id, name=change.name)
    if change.content_hash is not None:
        entry = replace(entry, content_hash=change.content_hash, size=change.size or 0)
    if change.executable is not None:
        entry = replace(entry, executable=change.executable)
    return entry if change.mtime is None else replace(entry, mtime_us=to_us(change.mtime))
