"""Copies of files and whole folders, within a namespace or into another, without moving a byte.

The copy gets new ids and first revisions with the present content of the originals. The namespace it goes to comes to possess the
blocks, counted against its owner's quota, in the same transaction. `plan` decides everything and writes nothing; `Copy.write`
writes. The rows are made the way a commit makes its own, so chain and Merkle root are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.errors import (
    AlreadyExists,
    CommitRefused,
    ContentRaw,
    InvalidName,
    LimitExceeded,
    NotFound,
    QuotaExceeded,
    ShareNested,
    SynclineError,
)
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.model.limits import COMMIT_NODES_MAX
from syncline.model.paths import name_problem
from syncline.ports.clock import Ids
from syncline.ports.metadata_store import StoredAnswer, Written
from syncline.ports.share_store import Copying, ShareTransaction
from syncline.server.metadata.drafts import Content, Draft, Overlay, Refusal
from syncline.server.metadata.facts import ground
from syncline.server.metadata.record import Stamp, draw_up
from syncline.server.metadata.settle import Standing, judge

_NOTHING: Final = StoredAnswer(body_hash=b"", answer=b"")


class Copy(Struct):
    """A copy that may be written. `top` is the copied node as it will stand; `mounts` counts shared folders inside that were left
    out; `written.stored` may still be given an answer to keep."""

    source: NamespaceId
    target: NamespaceId
    top: JournalEntry
    nodes: int
    mounts: int
    written: Written
    files: Sequence[Copying]

    async def write(self, transaction: ShareTransaction) -> None:
        """Raises `QuotaExceeded`, and then nothing stays."""
        commit = transaction.of(self.target)
        before = await commit.usage()
        await commit.write(self.written)
        await transaction.copy(self.source, self.target, self.files, self.written.time_us)
        usage = await commit.usage()
        grown = usage.used_bytes > before.used_bytes
        if grown and usage.quota_bytes is not None and usage.used_bytes > usage.quota_bytes:
            raise QuotaExceeded(limit=usage.quota_bytes, used=usage.used_bytes)


async def plan(
    transaction: ShareTransaction,
    source: NamespaceId,
    target: NamespaceId,
    original: JournalEntry,
    *,
    parent: NodeId,
    name: str,
    stamp: Stamp,
    ids: Ids,
    key: str,
    seeds: Sequence[NodeId] | None = None,
) -> Copy:
    """A copy of `original`, which is live in `source`, under `parent` in `target`, both of the transaction. `key` is what the
    request is stored under. The top of a shared folder has no row of its own: `seeds` are then what lies in it.

    Raises `AlreadyExists`, `NotFound` (the parent), `InvalidName`, `LimitExceeded`, `ContentRaw`, and `ShareNested` for a mount."""
    problem = name_problem(name)
    if problem is not None:
        raise InvalidName(name=name, reason=problem)
    if original.mount:
        raise ShareNested(what=original.name, reason="it is a shared folder itself")
    below = [original]
    if original.kind is Kind.DIR:
        whole = [original.node_id] if seeds is None else seeds
        found = await transaction.of(source).below(whole, COMMIT_NODES_MAX + 1)
        below = found if seeds is None else [original, *found]
    if len(below) > COMMIT_NODES_MAX:
        raise LimitExceeded(what="The number of nodes in one copy", limit=COMMIT_NODES_MAX)
    there = transaction.of(target)
    facts = await ground(there, parent, [name], stamp.time_us)
    fresh = {node.node_id: NodeId(ids.fresh()) for node in below if not node.mount}
    overlay = Overlay(facts)
    for node in below:
        if not node.mount:
            _draft(overlay, node, fresh, (parent, name) if node.node_id == original.node_id else None)
    standing = Standing(overlay)
    for _, refusal in judge(overlay, standing):
        raise refused(refusal, name)
    written = draw_up(there.head, overlay, standing, stamp, key=key, stored=_NOTHING)
    return Copy(
        source=source,
        target=target,
        top=next(row.entry for row in written.rows if row.entry.node_id == fresh[original.node_id]),
        nodes=len(fresh),
        mounts=len(below) - len(fresh),
        written=written,
        files=[Copying(node.node_id, node.revision, fresh[node.node_id]) for node in below if node.kind is Kind.FILE],
    )


def _draft(overlay: Overlay, node: JournalEntry, fresh: dict[NodeId, NodeId], top: tuple[NodeId, str] | None) -> None:
    if node.kind is Kind.FILE and node.content_hash is None:
        raise ContentRaw(what=node.name)
    new = fresh[node.node_id]
    parent, name = top or (fresh[node.parent_id], node.name)
    draft = Draft(
        node_id=new,
        parent_id=parent,
        name=name,
        kind=node.kind,
        index=0,
        mtime_us=node.mtime_us,
        placed=True,
        key=overlay.facts.key(name),
    )
    if node.content_hash is not None:
        draft.revision = 1
        draft.renewed = True
        draft.executable = node.executable
        draft.content_hash, draft.size = node.content_hash, node.size
        # The blocks follow set by set once the rows are written.
        draft.content = Content(node.content_hash, node.size, "", ())
    overlay.drafts[new] = draft


def refused(refusal: Refusal, name: str) -> SynclineError:
    """A refusal of the rules, about one node of this name, as the error a door answers."""
    match refusal.reason:
        case "name.taken":
            return AlreadyExists(what=name)
        case "parent.gone":
            return NotFound(what="The folder it would lie in")
        case _:
            return CommitRefused(failures=[{"index": 0, "code": refusal.reason, "detail": refusal.detail}])
