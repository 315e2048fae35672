"""Where a shared folder lies in its members' trees: rows of their own root journals, made the way a commit makes its own.

`mount` and `unmount` say that a shared folder appears and goes; a `mount` in the same place says that something else about it
changed, so that devices ask anew what they may do there.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.errors import AlreadyExists, MountTaken
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.model.paths import check_name, key_rule, name_problem
from syncline.ports.metadata_store import CommitTransaction, StoredAnswer
from syncline.server.metadata.copying import refused
from syncline.server.metadata.drafts import Draft, Overlay, ServerOp
from syncline.server.metadata.facts import Facts, ground
from syncline.server.metadata.record import Stamp, draw_up
from syncline.server.metadata.settle import Standing, judge

NAMES_MAX: Final = 100
"""A folder that finds so many names taken needs one from a person."""
_NOTHING: Final = StoredAnswer(body_hash=b"", answer=b"")


class Place(Struct, frozen=True):
    """Where to mount: a folder of the user's own root, and a name there. What is None is chosen: the place it had before, else the
    top of the tree, under a name that is free."""

    parent: NodeId | None = None
    name: str | None = None


async def mounted(commit: CommitTransaction, namespace: NamespaceId) -> JournalEntry | None:
    """The live mount in the root of the commit. Raises `MountTaken` where its id is another node's there."""
    before = await _known(commit, namespace)
    return None if before is None or before.deleted else before


async def mount(commit: CommitTransaction, namespace: NamespaceId, wanted: Place, default_name: str, stamp: Stamp) -> int:
    """Puts the shared folder into the tree; the root's head after it. Raises `AlreadyExists` where a wanted name is taken,
    `NotFound` where there is no such folder, `MountTaken`, `InvalidName`."""
    if wanted.name is not None:
        check_name(wanted.name)
    before = await _known(commit, namespace)
    parent = wanted.parent or await _last_parent(commit, before) or NodeId(commit.head.namespace)
    last = before.name if before is not None else default_name
    names = [wanted.name] if wanted.name is not None else _names(last)
    facts = await ground(commit, parent, names, stamp.time_us)
    name = next((name for name in names if facts.holders.get((parent, facts.key(name))) in (None, NodeId(namespace))), None)
    if name is None:
        raise AlreadyExists(what=names[0])
    overlay = Overlay(facts)
    draft = _draft(overlay, before, NodeId(namespace), stamp)
    draft.parent_id, draft.name, draft.key = parent, name, facts.key(name)
    draft.deleted, draft.mount, draft.placed = False, True, True
    return await _write(commit, overlay, stamp, name)


async def unmount(commit: CommitTransaction, namespace: NamespaceId, stamp: Stamp) -> int | None:
    """Takes the shared folder out of the tree; the root's head after it, None where it was not there."""
    before = await mounted(commit, namespace)
    if before is None:
        return None
    overlay = Overlay(_facts(commit, stamp))
    overlay.draft(before, 0, ServerOp.UNMOUNT).deleted = True
    return await _write(commit, overlay, stamp, before.name)


async def touch(commit: CommitTransaction, namespace: NamespaceId, stamp: Stamp) -> int | None:
    """Says that something about the mount changed; the root's head after it, None where it is not mounted."""
    before = await mounted(commit, namespace)
    if before is None:
        return None
    overlay = Overlay(_facts(commit, stamp))
    overlay.draft(before, 0, ServerOp.MOUNT)
    return await _write(commit, overlay, stamp, before.name)


def _facts(commit: CommitTransaction, stamp: Stamp) -> Facts:
    head = commit.head
    return Facts(namespace=head.namespace, now_us=stamp.time_us, key=key_rule(head.name_key_version))


async def _known(commit: CommitTransaction, namespace: NamespaceId) -> JournalEntry | None:
    known = await commit.nodes([NodeId(namespace)])
    if known and not known[0].mount:
        raise MountTaken
    return known[0] if known else None


async def _last_parent(commit: CommitTransaction, before: JournalEntry | None) -> NodeId | None:
    """The folder the mount was in, where that still stands."""
    if before is None or before.parent_id == NodeId(commit.head.namespace):
        return None
    known = await commit.nodes([before.parent_id])
    stands = bool(known) and not known[0].deleted and known[0].kind is Kind.DIR and not known[0].mount
    return before.parent_id if stands else None


def _names(name: str) -> list[str]:
    numbered = (f"{name} ({number})" for number in range(2, NAMES_MAX + 1))
    return [name, *(one for one in numbered if name_problem(one) is None)]


def _draft(overlay: Overlay, before: JournalEntry | None, node: NodeId, stamp: Stamp) -> Draft:
    if before is not None:
        return overlay.draft(before, 0, ServerOp.MOUNT)
    draft = Draft(node_id=node, parent_id=node, name="", kind=Kind.DIR, index=0, op=ServerOp.MOUNT, mtime_us=stamp.time_us)
    overlay.drafts[node] = draft
    return draft


async def _write(commit: CommitTransaction, overlay: Overlay, stamp: Stamp, name: str) -> int:
    standing = Standing(overlay)
    for _, refusal in judge(overlay, standing):
        raise refused(refusal, name)
    written = draw_up(commit.head, overlay, standing, stamp, key=f"share {stamp.changeset}", stored=_NOTHING)
    await commit.write(written)
    return written.rows[-1].entry.sequence
