"""Completing: the store puts the parts together, then a commit makes the object a revision (`protocol.md` §7).

The two cannot be one step, so the upload is marked `completing` before the first. Whoever comes after a crash, a lost answer or
beside another (the client again, the store's own event, the sweep) finds the object there and goes on with the commit, which is
done once: it ends the upload in its own transaction and is stored under the upload's id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from syncline.model.entries import Kind
from syncline.model.errors import (
    CommitRefused,
    Conflict,
    Corrupt,
    IdempotencyMismatch,
    NameTaken,
    NotFound,
    ParentGone,
    PartMismatch,
    RevisionStale,
    SynclineError,
    UploadEnded,
)
from syncline.model.limits import BATCH_MAX
from syncline.ports.metadata_store import RawObject
from syncline.ports.object_store import MultipartStore, StoredPart
from syncline.ports.upload_store import Upload, UploadStore
from syncline.protocol.changes import to_time
from syncline.protocol.commits import Change, CommitRequest, Op
from syncline.protocol.uploads import PartClaim
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata
from syncline.server.uploads.parts import check_complete

_TAKEN: Final = ("open", "completing")


class Completion:
    """`born` is called after each upload that became a revision."""

    def __init__(self, metadata: Metadata, store: UploadStore, objects: MultipartStore, born: Callable[[], None]) -> None:
        self._metadata = metadata
        self._store = store
        self._objects = objects
        self._born = born

    async def complete(self, upload: Upload, claims: Sequence[PartClaim] | None) -> Upload:
        """The upload as it is done.

        Raises `UploadIncomplete`, `PartMismatch`, `UploadEnded`, `Corrupt`, and as a commit does, typed."""
        if upload.state not in _TAKEN:
            raise UploadEnded(state=upload.state)
        await self._put_together(upload, claims)
        return await self._commit(upload)

    async def arrived(self, object_key: str) -> bool:
        """The store's word that it has this object whole. Whether it is a revision by now."""
        upload = await self._store.by_object(object_key)
        if upload is None or upload.state == "done":
            return upload is not None
        if upload.state not in _TAKEN or await self._objects.size_of(object_key) != upload.size:
            return False
        await self._store.move(upload.id, "completing", out_of=_TAKEN)
        return await self.go_on(upload)

    async def go_on(self, upload: Upload) -> bool:
        """Goes on with one that was `completing` when its server or client was lost."""
        try:
            await self.complete(upload, None)
        except SynclineError:
            # The row says why; its client is told when it asks again.
            return False
        return True

    async def listed(self, upload: Upload) -> list[StoredPart]:
        """Every part the store has. Raises `NotFound` once it is completed or aborted."""
        found: list[StoredPart] = []
        while True:
            after = found[-1].number if found else 0
            page = await self._objects.list_parts(upload.object_key, upload.store_upload_id, after=after, limit=BATCH_MAX)
            found += page
            if len(page) < BATCH_MAX:
                return found

    async def _put_together(self, upload: Upload, claims: Sequence[PartClaim] | None) -> None:
        try:
            stored = await self.listed(upload)
        except NotFound:
            if await self._objects.size_of(upload.object_key) != upload.size:
                raise UploadEnded(state="aborted") from None
            return
        try:
            parts = check_complete(upload, stored, claims, await self._store.noted_parts(upload.id))
        except Conflict:
            await self._store.move(upload.id, "open", out_of=("completing",))
            raise
        if not await self._store.move(upload.id, "completing", out_of=_TAKEN):
            raise UploadEnded(state="aborted")
        try:
            await self._objects.complete_multipart(upload.object_key, upload.store_upload_id, parts)
        except Conflict as error:
            # A part was sent again after it was listed.
            await self._store.move(upload.id, "open", out_of=("completing",))
            raise PartMismatch(count=1, parts=[]) from error
        size = await self._objects.size_of(upload.object_key)
        if size is not None and size != upload.size:
            raise Corrupt(what="The uploaded object", reason=f"it has {size} bytes of {upload.size}")

    async def _commit(self, upload: Upload) -> Upload:
        change = _change(upload)
        raw = RawObject(upload=upload.id, object_key=upload.object_key, size=upload.size, sha256=upload.sha256)
        request = CommitRequest(namespace=upload.namespace, changes=[change])
        writer = Caller(upload.user, upload.device)
        try:
            await self._metadata.commit_raw(writer, request, f"upload {upload.id}", {change.node_id: raw})
        except (CommitRefused, IdempotencyMismatch, NotFound) as error:
            done = await self._store.get(upload.id)
            if done is not None and done.state == "done":
                return done
            problem = _typed(error, change, upload)
            await self._store.move(upload.id, "completing", out_of=("completing",), problem=problem.code)
            raise problem from error
        except SynclineError as error:
            if not error.retryable:
                await self._store.move(upload.id, "completing", out_of=("completing",), problem=error.code)
            raise
        self._born()
        done = await self._store.get(upload.id)
        if done is None:
            raise NotFound(what="The upload")
        return done


def _change(upload: Upload) -> Change:
    common: dict[str, Any] = {
        "node_id": upload.node,
        "mtime": None if upload.mtime_us is None else to_time(upload.mtime_us),
        "executable": upload.executable or None,
        "mime_type": upload.mime_type,
        "description": upload.description,
    }
    if upload.base_revision is not None:
        return Change(op=Op.EDIT, base_revision=upload.base_revision, **common)
    return Change(op=Op.CREATE, parent_id=upload.parent, name=upload.name, kind=Kind.FILE, **common)


def _typed(error: SynclineError, change: Change, upload: Upload) -> SynclineError:
    """A refused changeset of one change, as the error it is about."""
    failures = error.fields.get("failures") or [{}]
    failure: dict[str, Any] = failures[0]
    path = change.name or upload.name
    present = failure.get("present") or failure.get("by") or {}
    match failure.get("code"):
        case "name.taken":
            return NameTaken(path=path, revision=present.get("revision", 0))
        case "revision.stale":
            return RevisionStale(path=path, revision=present.get("revision", 0))
        case "parent.gone" | "node.missing" | "node.deleted":
            return ParentGone(path=path)
        case _:
            return error
