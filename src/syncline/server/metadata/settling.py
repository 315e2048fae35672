"""What becomes of a raw revision once its bytes were read: `settled` with a hash and a manifest, or `rejected` (`protocol.md` §7).

One transaction under the namespace's lock. A row is written only where the node still stands at that revision, with whatever place
it has by now, deleted or not: so what is undeleted later has its content. Otherwise only that older revision learns its manifest.
A rejected revision is removed and its bytes with it; the newest one before it stands again under a number of its own, since a
number never means two contents; a file that never had another is deleted.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from syncline.model.blocks import Block, Manifest
from syncline.model.errors import BlocksMissing, Unavailable
from syncline.model.ids import ChangesetId, DeviceId, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.model.paths import key_rule
from syncline.ports.clock import Clock, Ids
from syncline.ports.metadata_store import CommitTransaction, CutRevision, MetadataStore, Written
from syncline.protocol.changes import REJECTED, SETTLED
from syncline.server.caller import Caller
from syncline.server.metadata.drafts import Overlay
from syncline.server.metadata.facts import Facts
from syncline.server.metadata.record import Stamp, record
from syncline.server.metadata.settle import Settled, Standing


class Verdict(Struct, frozen=True, kw_only=True):
    """What was found in the object of a raw revision; `manifest` None says that it is not what was announced. `owner` is the
    namespace's; the row is signed with whoever made the revision."""

    namespace: NamespaceId
    owner: UserId
    node: NodeId
    revision: int
    manifest: Manifest | None


async def settle_raw(store: MetadataStore, clock: Clock, ids: Ids, verdict: Verdict) -> int | None:
    """The head after the row that was written, None where there was none to write. Idempotent.

    Raises `BlocksMissing` where the manifest names what the namespace does not hold, `Unavailable`, `NotFound`.
    """
    async with store.commit(verdict.namespace, verdict.owner) as transaction:
        if not await transaction.raw_waits(verdict.node, verdict.revision):
            return None
        now_us = clock.now_us()
        born = await transaction.earlier(verdict.node, verdict.revision + 1)
        if born is not None and born.revision != verdict.revision:
            born = None
        node = next(iter(await transaction.nodes([verdict.node])), None)
        head = transaction.head
        overlay = Overlay(Facts(namespace=head.namespace, now_us=now_us, key=key_rule(head.name_key_version)))
        based_on = 0
        if born is not None and node is not None and node.revision == verdict.revision:
            based_on = await _draft(transaction, overlay, node, verdict.manifest)
        stamp = Stamp(_author(born, verdict), ChangesetId(ids.fresh()), now_us)
        settled = Settled(overlay, Standing(overlay), [])
        key = f"settle {verdict.node} {verdict.revision}"
        written = record(head, settled, [], stamp, key=key, body_hash=b"").written
        written.revisions = [replace(revision, based_on=based_on) for revision in written.revisions]
        await _conclude(transaction, written, verdict, known=born is not None)
        await transaction.write(written)
    return written.rows[-1].entry.sequence if written.rows else None


async def _draft(transaction: CommitTransaction, overlay: Overlay, node: JournalEntry, manifest: Manifest | None) -> int:
    """The node as it will stand; the revision whose bytes it takes over, 0 for none."""
    draft = overlay.draft(node, 0, SETTLED if manifest is not None else REJECTED)
    if manifest is not None:
        draft.content_hash = manifest.content_hash
        return 0
    before = await transaction.earlier(node.node_id, node.revision)
    if before is None:
        draft.deleted = True
        return 0
    if before.content_hash is None:
        raise Unavailable(what=f"Revision {before.revision}, which is being taken in,")
    draft.revision += 1
    draft.renewed = True
    draft.content_hash, draft.size = before.content_hash, before.size
    draft.executable, draft.mtime_us = before.executable, before.mtime_us
    return before.revision


async def _conclude(transaction: CommitTransaction, written: Written, verdict: Verdict, *, known: bool) -> None:
    manifest = verdict.manifest
    if manifest is None or not known:
        written.rejected.append((verdict.node, verdict.revision))
        return
    hashes = list({block.hash for block in manifest.blocks})
    held = await transaction.held(hashes)
    if len(held) < len(hashes):
        raise BlocksMissing(count=len(hashes) - len(held))
    written.revived = [Block(block, held[block].size) for block in hashes if held[block].condemned]
    written.cut.append(CutRevision(verdict.node, verdict.revision, manifest))


def _author(born: JournalEntry | None, verdict: Verdict) -> Caller:
    """Whoever made the revision, not whoever moved the node since."""
    if born is None or born.actor is None or born.device is None:
        return Caller(verdict.owner, DeviceId(""))
    return Caller(born.actor, born.device)
