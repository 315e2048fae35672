"""A folder becomes a shared one: it keeps its id, and so does everything in it, with revisions, trash and possession.

In the root's journal it is one row, the folder as a mount, with which all that lies below leaves the root and its Merkle sum. The
new namespace's journal begins with one changeset of the same id that lists what is there, parents first. The folder's trash follows
in the changesets that deleted it, so that what was deleted together can still be restored together.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from syncline.model.entries import Access, Kind
from syncline.model.errors import Forbidden, InvalidRequest, LimitExceeded, NotFound, ShareNested
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.journal import EMPTY_CHAIN, JournalEntry, chain_after, root_text
from syncline.model.limits import COMMIT_NODES_MAX
from syncline.model.paths import key_rule
from syncline.ports.clock import Ids
from syncline.ports.metadata_store import ChainedRow, CommitTransaction, StoredAnswer
from syncline.ports.share_store import Conversion, ShareTransaction
from syncline.server.metadata.drafts import Overlay, ServerOp
from syncline.server.metadata.facts import Facts
from syncline.server.metadata.record import Stamp, draw_up, term_of
from syncline.server.metadata.settle import Standing


async def convert(transaction: ShareTransaction, root: NamespaceId, folder: NodeId, stamp: Stamp, ids: Ids) -> int:
    """Makes the folder a shared one; the root's head after it. Raises `NotFound`, `InvalidRequest` for a file, `ShareNested`,
    `LimitExceeded` beyond `COMMIT_NODES_MAX` nodes, `Forbidden` unless the caller owns the root."""
    commit = transaction.of(root)
    known = await _folder(commit, folder)
    below = await transaction.tree(root, folder, COMMIT_NODES_MAX + 1)
    if len(below) > COMMIT_NODES_MAX:
        raise LimitExceeded(what=f"The number of files and folders in {known.name}", limit=COMMIT_NODES_MAX)
    if any(node.mount and not node.deleted for node in below):
        raise ShareNested(what=known.name, reason="it holds another shared folder")
    goes = [node for node in below if not node.mount]
    overlay = Overlay(Facts(namespace=root, now_us=stamp.time_us, key=key_rule(commit.head.name_key_version)))
    overlay.draft(known, 0, ServerOp.MOUNT).mount = True
    written = draw_up(
        commit.head,
        overlay,
        Standing(overlay),
        stamp,
        key=f"share {stamp.changeset}",
        stored=StoredAnswer(body_hash=b"", answer=b""),
        left=sum(map(term_of, goes)),
    )
    await commit.write(written)
    conversion = Conversion(
        source=root,
        folder=folder,
        owner=commit.head.owner,
        name=known.name,
        epoch=ids.fresh(),
        name_key_version=commit.head.name_key_version,
        rows=first_journal(goes, stamp),
        time_us=stamp.time_us,
    )
    await transaction.convert(conversion)
    return written.rows[-1].entry.sequence


async def _folder(commit: CommitTransaction, folder: NodeId) -> JournalEntry:
    if commit.head.access is not Access.OWNER:
        raise Forbidden(what="share folders")
    known = await commit.nodes([folder])
    if not known or known[0].deleted:
        raise NotFound(what="The folder")
    if known[0].kind is not Kind.DIR or known[0].mount:
        raise InvalidRequest(message="Only a folder that is not shared yet can become a shared one")
    if not commit.head.is_root:
        raise ShareNested(what=known[0].name, reason="it lies in a shared folder; share that one, or move it out first")
    return known[0]


def first_journal(nodes: Sequence[JournalEntry], stamp: Stamp) -> list[ChainedRow]:
    """What the new namespace's journal begins with. `nodes` come parents before children."""
    live = [node for node in nodes if not node.deleted]
    gone = sorted((node for node in nodes if node.deleted), key=lambda node: node.sequence)
    caller = stamp.caller
    made = {
        "changeset": stamp.changeset,
        "op": "create",
        "actor": caller.user_id,
        "device": caller.device_id,
        "time_us": stamp.time_us,
    }
    rows: list[ChainedRow] = []
    chain, root = EMPTY_CHAIN, 0
    for number, node in enumerate((*live, *gone), start=1):
        entry = replace(node, sequence=number, **({} if node.deleted else made))
        chain = chain_after(chain, entry)
        root += term_of(entry)
        rows.append(ChainedRow(entry, chain, root_text(root)))
    return rows
