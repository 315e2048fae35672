"""Resolving a conflict, as its device does it: which version stays, and where the other goes.

ours: the copy's bytes become the file's, and the copy goes to the local trash (what the file held stays in its history). theirs:
the copy goes to the local trash. both: nothing moves, and the conflict is closed. merged: as ours, with both sides' changes since
the version both started from. What is done on disk is seen by the next scan and sent like any other change.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from syncline.client.engine import Engine
from syncline.client.inbox import copy_of, find_conflict, place_of
from syncline.client.parts import Parts
from syncline.client.receive.revision import revision_bytes
from syncline.content.merge import Unmerged, merge_text
from syncline.model.conflicts import OpenConflict
from syncline.model.entries import Kind, LocalNode
from syncline.model.errors import LimitExceeded, NotFound, NotResolvable
from syncline.model.ids import NodeId
from syncline.model.limits import MERGE_MAX_BYTES


class Keep(StrEnum):
    """Which version stays at the path. `OURS` is the copy's: the bytes of the device that made it."""

    OURS = "ours"
    THEIRS = "theirs"
    BOTH = "both"
    MERGED = "merged"


class Resolved(Struct, frozen=True, kw_only=True):
    """What was resolved, and how."""

    path: str
    copy: str
    kept: Keep


async def resolve(engine: Engine, path: str, keep: Keep) -> Resolved:
    """Resolves the conflict whose copy or whose original is at `path`. Raises `ConflictNotFound`, `ManyCopies`, `NotResolvable`
    (and nothing was changed), `ChangedWhileRead` where somebody is writing, `Unavailable` where a merge needs the server."""
    parts = engine.parts
    found = await engine.errand(lambda: find_conflict(parts.trees, path))
    base = await _base(parts, found) if keep is Keep.MERGED else b""
    return await engine.errand(lambda: _carry_out(parts, found, keep, base))


async def _base(parts: Parts, conflict: OpenConflict) -> bytes:
    """The version both sides started from, out of the server's history."""
    path = place_of(parts.trees, conflict)
    original, namespace, base, revision = conflict.original, conflict.namespace, conflict.base, conflict.base_revision
    if original is None or namespace is None or base is None or revision is None:
        raise NotResolvable(path=path, reason="the version both started from is not known to this device")
    try:
        return await revision_bytes(parts.remote, namespace, original, revision, base, limit_bytes=MERGE_MAX_BYTES)
    except NotFound:
        raise NotResolvable(path=path, reason="the server keeps the version both started from no longer") from None
    except LimitExceeded:
        raise NotResolvable(path=path, reason=Unmerged.TOO_LARGE.value) from None


def _carry_out(parts: Parts, conflict: OpenConflict, keep: Keep, base: bytes) -> Resolved:
    trees, resolver = parts.trees, parts.applier.resolver
    path, done = place_of(trees, conflict), Resolved(path=place_of(trees, conflict), copy=copy_of(trees, conflict), kept=keep)
    rescan: set[str] = set()
    if keep is not Keep.BOTH:
        copy = _file(parts, conflict.copy, path, "the copy")
        if keep is not Keep.THEIRS:
            original = _writable(parts, conflict, path)
            if keep is Keep.MERGED:
                merged = _merged(parts, base, copy, original, path)
                rescan |= resolver.put_bytes(merged, original, parts.clock.now_us())
            elif original.content_hash is None or original.content_hash != copy.content_hash:
                rescan |= resolver.put_copy(copy, original)
        rescan |= resolver.discard(copy)
    # Remembered until the copy is gone from both sides: its name alone would open the conflict again.
    trees.put_conflict(replace(conflict, is_kept=True))
    parts.observer.mark_folders(rescan)
    parts.activity.note("resolved", path, f"kept {keep.value}")
    return done


def _merged(parts: Parts, base: bytes, copy: LocalNode, original: LocalNode, path: str) -> bytes:
    read = parts.applier.resolver.read
    merged = merge_text(base, read(copy, MERGE_MAX_BYTES), read(original, MERGE_MAX_BYTES))
    if isinstance(merged, Unmerged):
        raise NotResolvable(path=path, reason=merged.value)
    return merged


def _file(parts: Parts, node: NodeId, path: str, what: str) -> LocalNode:
    found = parts.trees.local.get(node)
    if found is None:
        raise NotResolvable(path=path, reason=f"{what} is not on this disk")
    if found.kind is Kind.DIR:
        raise NotResolvable(path=path, reason=f"{what} is a folder: move what you need from it, then keep both, or delete it")
    return found


def _writable(parts: Parts, conflict: OpenConflict, path: str) -> LocalNode:
    """The file whose bytes are to be replaced."""
    if conflict.original is None:
        raise NotResolvable(path=path, reason="nothing stands where it was meant to be: move the copy there, or keep both")
    original = _file(parts, conflict.original, path, "the other version")
    access = parts.trees.access.get(parts.trees.namespace_of_local(original.id))
    if access is None or not access.may_write:
        raise NotResolvable(path=path, reason="you may only read there")
    return original
