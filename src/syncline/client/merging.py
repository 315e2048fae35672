"""Merging texts that both sides edited, when that was asked for (`conflicts = merge`).

    base and theirs from the server, ours from the disk → `content.merge` → a file beside its place, as fetched ones wait

The result is a local edit on top of the server's revision: that revision becomes the base at once, so another device that merged
the same two versions finds its own base in the newer revision, and no two devices undo each other's merge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog
from msgspec import Struct, field

from syncline.client.local_errors import writing_error
from syncline.client.plan.steps import Fetch, Merge
from syncline.client.receive.content import write_all
from syncline.client.receive.fetched import Fetched
from syncline.client.receive.resolve import Resolver
from syncline.client.receive.revision import revision_bytes
from syncline.client.receive.root import TMP
from syncline.client.trees.trees import Trees
from syncline.content.digest import digest
from syncline.content.merge import Unmerged, merge_text
from syncline.model.entries import RemoteNode
from syncline.model.errors import ChangedWhileRead, Retryable, SynclineError, Unauthenticated, Unavailable
from syncline.model.ids import Digest, NodeId
from syncline.model.limits import MERGE_MAX_BYTES
from syncline.ports.clock import Clock, Ids
from syncline.ports.local_files import LocalFiles
from syncline.ports.remote import Remote

log = structlog.get_logger(__name__)


class Merges(Struct, kw_only=True):
    """What came of a run of `Merge` steps. A node in none of the lists was not come to, since the server was lost."""

    ready: list[tuple[Fetch, Fetched]] = field(default_factory=list)
    """Placed as fetched files are."""
    unmerged: list[tuple[Merge, Unmerged]] = field(default_factory=list)
    failed: list[tuple[NodeId, SynclineError]] = field(default_factory=list)


class Merger:
    """Makes merges ready to be placed."""

    def __init__(self, remote: Remote, files: LocalFiles, trees: Trees, resolver: Resolver, clock: Clock, ids: Ids) -> None:
        self._remote = remote
        self._files = files
        self._trees = trees
        self._resolver = resolver
        self._clock = clock
        self._ids = ids

    async def merge_all(self, steps: Sequence[Merge]) -> Merges:
        """One after the other. A base that cannot be had is a reason for a conflict copy, no failure."""
        merges = Merges()
        for step in steps:
            try:
                merged = await self.merge(step)
            except (Retryable, Unauthenticated) as error:
                merges.failed.append((step.node, error))
                if isinstance(error, Unavailable | Unauthenticated):
                    break
            except SynclineError as error:
                log.info("merge.no_base", code=error.code, error=str(error))
                merges.unmerged.append((step, Unmerged.NO_BASE))
            else:
                if isinstance(merged, Unmerged):
                    merges.unmerged.append((step, merged))
                else:
                    merges.ready.append((Fetch(node=step.node, parent=step.parent, name=step.name, why=step.why), merged))
        return merges

    async def merge(self, step: Merge) -> Fetched | Unmerged:
        """The merge in a temporary file, or why there is none. Raises `NotFound` when the base is kept no longer,
        `ChangedWhileRead`, `Unavailable`, `Corrupt`, `LocalIo`."""
        here, there = self._trees.local.get(step.node), self._trees.remote.get(step.node)
        base = self._trees.synced.get(step.node)
        if here is None or there is None or base is None or (here.content_hash, there.content_hash) != (step.ours, step.theirs):
            raise ChangedWhileRead(path=step.name)
        ours = await asyncio.to_thread(self._resolver.read, here, MERGE_MAX_BYTES)
        if digest(ours) != step.ours:
            raise ChangedWhileRead(path=step.name)
        before = await self._revision(step, step.base_revision, step.base)
        theirs = await self._revision(step, there.revision, step.theirs)
        merged = await asyncio.to_thread(merge_text, before, ours, theirs)
        if isinstance(merged, Unmerged):
            return merged
        bit = there.executable if here.executable in (None, base.executable) else bool(here.executable)
        return await asyncio.to_thread(self._ready, step, there, merged, bit)

    async def _revision(self, step: Merge, revision: int, content: Digest) -> bytes:
        return await revision_bytes(self._remote, step.namespace, step.node, revision, content, limit_bytes=MERGE_MAX_BYTES)

    def _ready(self, step: Merge, there: RemoteNode, merged: bytes, executable: bool) -> Fetched:
        temp = f"{TMP}/{self._ids.fresh()}.merge"
        try:
            with self._files.create(temp) as file:
                write_all(file, merged)
                self._files.set_attributes(file, executable=executable, mtime_us=self._clock.now_us())
        except OSError as error:
            with suppress(OSError):
                self._files.remove_file(temp)
            raise writing_error(error, step.name) from error
        return Fetched(
            node=step.node,
            revision=there.revision,
            content_hash=step.theirs,
            size=len(merged),
            temp_path=temp,
            ours=step.ours,
            merged=digest(merged),
        )
