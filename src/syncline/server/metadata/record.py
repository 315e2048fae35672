"""Turns a settled changeset into rows: their order, their chain, the Merkle root after each, and the revisions they made.

Placed nodes come first, parents before children; deletions last, children before parents. A node has one row a changeset, its
whole state after it.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.ids import ChangesetId, NodeId
from syncline.model.journal import JournalEntry, chain_after, node_term, root_text
from syncline.ports.metadata_store import ChainedRow, Head, NewRevision, NodeText, RawRevision, StoredAnswer, Written
from syncline.protocol.changes import to_time
from syncline.protocol.commits import Change, ChangeResult, CommitAnswer
from syncline.server.caller import Caller
from syncline.server.metadata.drafts import Draft, Overlay
from syncline.server.metadata.settle import Settled, Standing


class Stamp(Struct, frozen=True):
    """Who commits, in which changeset, when."""

    caller: Caller
    changeset: ChangesetId
    time_us: int


class Recorded(Struct):
    """The answer, still without its cursor, and what to write besides it."""

    answer: CommitAnswer
    written: Written


def record(head: Head, settled: Settled, changes: Sequence[Change], stamp: Stamp, *, key: str, body_hash: bytes) -> Recorded:
    overlay = settled.overlay
    written = draw_up(head, overlay, settled.standing, stamp, key=key, stored=StoredAnswer(body_hash=body_hash, answer=b""))
    rows = written.rows
    answer = CommitAnswer(
        sequence=head.sequence + len(rows),
        chain=rows[-1].chain if rows else head.chain,
        root=rows[-1].root if rows else head.root,
        changeset=stamp.changeset,
        results=_results(overlay, changes, {row.entry.node_id: row.entry for row in rows}),
        time=to_time(stamp.time_us),
    )
    return Recorded(answer, written)


def draw_up(
    head: Head, overlay: Overlay, standing: Standing, stamp: Stamp, *, key: str, stored: StoredAnswer, left: int = 0
) -> Written:
    """What an overlay comes to in rows. `left` is what nodes added to the Merkle root that leave the namespace with the first row,
    without rows of their own: a folder that becomes a shared one takes them along."""
    rows: list[ChainedRow] = []
    keys: list[str | None] = []
    revisions: list[NewRevision] = []
    sequence, chain, root = head.sequence, head.chain, int(head.root, 16) - left
    for draft in _ordered(overlay, standing):
        sequence += 1
        entry = _entry(draft, sequence, stamp)
        chain = chain_after(chain, entry)
        root += term_of(entry) - (0 if draft.before is None else term_of(draft.before))
        rows.append(ChainedRow(entry, chain, root_text(root)))
        keys.append(None if draft.deleted else draft.key)
        if draft.renewed:
            revisions.append(_revision(draft, entry))
    written = Written(
        rows=rows,
        keys=keys,
        fresh={draft.node_id for draft in overlay.drafts.values() if draft.before is None},
        vacated=[draft.node_id for draft in overlay.drafts.values() if _vacates(draft)],
        texts=[
            NodeText(node_id=text.node_id, mime_type=text.mime_type, description=text.description) for text in overlay.described
        ],
        revisions=revisions,
        raws=[
            RawRevision(draft.node_id, draft.revision, draft.content.raw)
            for draft in overlay.drafts.values()
            if draft.content is not None and draft.content.raw is not None
        ],
        device=stamp.caller.device_id,
        key=key,
        stored=stored,
        time_us=stamp.time_us,
    )
    _claim_blocks(overlay, written)
    return written


def _ordered(overlay: Overlay, standing: Standing) -> list[Draft]:
    placed = [draft for draft in overlay.drafts.values() if not draft.deleted]
    deleted = [draft for draft in overlay.drafts.values() if draft.deleted]
    placed.sort(key=lambda draft: standing.of(draft.node_id) if draft.placed else 0)
    nesting = _nesting({draft.node_id: draft.parent_id for draft in deleted})
    deleted.sort(key=lambda draft: -nesting[draft.node_id])
    return placed + deleted


def _nesting(parents: dict[NodeId, NodeId]) -> dict[NodeId, int]:
    """How many of the nodes above each are among them without a gap."""
    depths: dict[NodeId, int] = {}
    for node_id in parents:
        path = []
        at = node_id
        while at in parents and at not in depths:
            path.append(at)
            at = parents[at]
        depth = depths.get(at, -1)
        for step in reversed(path):
            depth += 1
            depths[step] = depth
    return depths


def _entry(draft: Draft, sequence: int, stamp: Stamp) -> JournalEntry:
    return JournalEntry(
        sequence=sequence,
        changeset=stamp.changeset,
        op=str(draft.op),
        node_id=draft.node_id,
        parent_id=draft.parent_id,
        name=draft.name,
        kind=draft.kind,
        revision=draft.revision,
        content_hash=draft.content_hash,
        size=draft.size,
        executable=draft.executable,
        mtime_us=draft.mtime_us,
        deleted=draft.deleted,
        mount=draft.mount,
        actor=stamp.caller.user_id,
        device=stamp.caller.device_id,
        time_us=stamp.time_us,
    )


def term_of(entry: JournalEntry) -> int:
    """What a node adds to the Merkle root; deleted ones nothing."""
    if entry.deleted:
        return 0
    return node_term(entry.node_id, entry.parent_id, entry.name, entry.kind, entry.executable, entry.content_hash)


def _revision(draft: Draft, entry: JournalEntry) -> NewRevision:
    if draft.content is not None and draft.content.based_on:
        return NewRevision(entry=entry, blocks=None, based_on=draft.content.based_on)
    if draft.content is not None:
        return NewRevision(entry=entry, cut=draft.content.cut, blocks=draft.content.blocks)
    assert draft.before is not None
    assert draft.kind is Kind.FILE
    return NewRevision(entry=entry, blocks=None, based_on=draft.before.revision)


def _vacates(draft: Draft) -> bool:
    """Whether the stored row holds a name key that the final state does not, or holds elsewhere."""
    before = draft.before
    if before is None or before.deleted:
        return False
    return draft.deleted or (draft.parent_id, draft.name) != (before.parent_id, before.name)


def _claim_blocks(overlay: Overlay, written: Written) -> None:
    """Blocks of the new revisions that are readable elsewhere are copied in; condemned ones revive."""
    facts = overlay.facts
    named = {block.hash: block for revision in written.revisions for block in revision.blocks or ()}
    for block in named.values():
        held = facts.held.get(block.hash)
        if held is None:
            written.acquired.append(block)
        elif held.condemned:
            written.revived.append(block)


def _results(overlay: Overlay, changes: Sequence[Change], rows: dict[NodeId, JournalEntry]) -> list[ChangeResult]:
    results: list[ChangeResult] = []
    for index, change in enumerate(changes):
        node = rows.get(change.node_id) or overlay.facts.nodes[change.node_id]
        results.append(
            ChangeResult(node_id=change.node_id, revision=node.revision, sequence=node.sequence, adopted=index in overlay.adopted)
        )
    return results
