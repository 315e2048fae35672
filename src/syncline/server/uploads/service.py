"""Plain uploads: the doors to everything between "may I send this file?" and the revision that it becomes.

Laws: an upload is its user's alone, and only while they may write where it leads; no word of a client is believed, the store is
asked; whatever is cut short is found again by its row; what nobody goes on with ends, and its parts with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from syncline.model.errors import Forbidden, InvalidRequest, LimitExceeded, NotFound, SynclineError, UploadEnded
from syncline.model.ids import Digest, UploadId, is_digest
from syncline.model.limits import BATCH_MAX, GRANT_TTL_S, UPLOAD_PARTS_WINDOW, UPLOAD_TTL_S
from syncline.ports.clock import Chance, Clock
from syncline.ports.object_store import MultipartStore, StoredPart
from syncline.ports.upload_store import OPEN_STATES, Upload, UploadStore
from syncline.protocol.changes import to_time
from syncline.protocol.uploads import (
    CompleteRequest,
    EntryProblem,
    PartsClaim,
    PartStates,
    PartUrl,
    PartUrls,
    UploadAnswer,
    UploadBegun,
    UploadCompleted,
    UploadRequest,
    UploadsFound,
    UploadStatus,
)
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata
from syncline.server.uploads.begin import Base, Beginning
from syncline.server.uploads.completion import Completion
from syncline.server.uploads.parts import checksum, judged, missing, noted, ranges, whole
from syncline.server.uploads.placing import Folder, Place

FOUND_MAX: Final = 20
UNFINISHED_AFTER_S: Final = 60
_SECOND_US: Final = 1_000_000


class Uploads:
    """`born` is called after each upload that became a revision: its content waits to be taken in."""

    def __init__(
        self,
        metadata: Metadata,
        store: UploadStore,
        objects: MultipartStore,
        clock: Clock,
        chance: Chance,
        born: Callable[[], None],
    ) -> None:
        self._metadata = metadata
        self._store = store
        self._objects = objects
        self._clock = clock
        self._beginning = Beginning(metadata, store, objects, clock, chance)
        self._completion = Completion(metadata, store, objects, born)

    # -- Beginning -------------------------------------------------------------------------------------------------------

    async def begin(
        self, caller: Caller, request: UploadRequest, key: str | None = None, *, link: str | None = None
    ) -> UploadAnswer:
        """An upload for each file, with its first part URLs, or its own error. Raises `LimitExceeded`, `InvalidRequest`."""
        begun = await self._beginning.begin(caller, request.files, key, link)
        opened = sum(isinstance(one, Upload) for one in begun)
        window = max(1, min(UPLOAD_PARTS_WINDOW, BATCH_MAX // max(1, opened)))
        answers: list[UploadBegun] = []
        for file, one in zip(request.files, begun, strict=True):
            if isinstance(one, SynclineError):
                answers.append(UploadBegun(filepath=file.filepath, error=_problem(one)))
            else:
                answers.append(self._begun(file.filepath, one, window))
        return UploadAnswer(files=answers)

    def _begun(self, filepath: str, upload: Upload, window: int) -> UploadBegun:
        takes = upload.state == "open"
        numbers = range(1, min(window, upload.part_count) + 1) if takes else range(0)
        return UploadBegun(
            filepath=filepath,
            file_id=upload.node,
            namespace=upload.namespace,
            upload_id=upload.id,
            state=upload.state,
            part_size=upload.part_bytes,
            part_count=upload.part_count,
            part_urls=self._urls(upload, numbers),
            next_parts=_next(upload, len(numbers) + 1) if takes else None,
            complete_url=_complete_url(upload),
            expires=to_time(upload.expires_us),
        )

    # -- On the way ------------------------------------------------------------------------------------------------------

    async def part_urls(self, caller: Caller, upload_id: UploadId, first: int, *, only_missing: bool) -> PartUrls:
        """A window of URLs from part `first` on; `only_missing` leaves out what has arrived. Raises `NotFound`, `Forbidden`,
        `UploadEnded`, `InvalidRequest`."""
        upload = await self._mine(caller, upload_id)
        if upload.state != "open":
            raise UploadEnded(state=upload.state)
        if not 1 <= first <= upload.part_count:
            raise InvalidRequest(message=f"This upload has parts 1 to {upload.part_count}")
        numbers = list(range(first, upload.part_count + 1))
        if only_missing:
            there = whole(upload, await self._listed(upload))
            numbers = [number for number in numbers if number not in there]
        window = numbers[:UPLOAD_PARTS_WINDOW]
        upload = await self._heard_of(upload)
        return PartUrls(
            upload_id=upload.id,
            part_size=upload.part_bytes,
            part_count=upload.part_count,
            part_urls=self._urls(upload, window),
            next_parts=_next(upload, window[-1] + 1, only_missing=only_missing) if len(window) < len(numbers) else None,
            expires=to_time(upload.expires_us),
        )

    async def claim_parts(self, caller: Caller, upload_id: UploadId, request: PartsClaim) -> PartStates:
        """Each claim held against what the store has; what is true is noted. Raises as `part_urls`, and `LimitExceeded`."""
        if len(request.parts) > BATCH_MAX:
            raise LimitExceeded(what="The number of parts", limit=BATCH_MAX)
        upload = await self._mine(caller, upload_id)
        if upload.state != "open":
            raise UploadEnded(state=upload.state)
        there: dict[int, StoredPart] = {part.number: part for part in await self._listed(upload)}
        states = [judged(claim, upload, there.get(claim.part_number)) for claim in request.parts]
        true = {
            claim.part_number: noted(claim, there[claim.part_number])
            for claim, state in zip(request.parts, states, strict=True)
            if state.state == "verified"
        }
        await self._store.note_parts(upload.id, list(true.values()), self._clock.now_us())
        await self._heard_of(upload)
        return PartStates(parts=states)

    async def status(self, caller: Caller, upload_id: UploadId) -> UploadStatus:
        """What has arrived and what is missing. Raises `NotFound`, `Forbidden`."""
        return await self._status(await self._mine(caller, upload_id))

    async def find(self, caller: Caller, fingerprint: str) -> UploadsFound:
        """The caller's own uploads of this content, at most `FOUND_MAX`. Raises `InvalidRequest`."""
        sha256 = checksum(fingerprint) or Digest("")
        if not is_digest(sha256):
            raise InvalidRequest(message="A fingerprint is the SHA-256 of the whole file in hexadecimal")
        known = await self._store.by_fingerprint(caller.user_id, sha256, FOUND_MAX)
        mine = [upload for upload in known if upload.state != "aborted" and await self._may_write(caller, upload)]
        return UploadsFound(uploads=[await self._status(upload) for upload in mine])

    async def abort(self, caller: Caller, upload_id: UploadId) -> None:
        """Ends it and removes what has arrived. Raises `NotFound`, `UploadEnded` once it is a revision."""
        upload = await self._store.get(upload_id)
        if upload is None or upload.user != caller.user_id:
            raise NotFound(what="The upload")
        if not await self._store.move(upload.id, "aborted", out_of=(*OPEN_STATES, "aborted")):
            raise UploadEnded(state="done")
        await self._remove(upload)

    # -- The end ---------------------------------------------------------------------------------------------------------

    async def complete(self, caller: Caller, upload_id: UploadId, request: CompleteRequest) -> UploadCompleted:
        """The file and revision it became; the same when it is said again. Raises `NotFound`, `Forbidden`, `UploadIncomplete`,
        `PartMismatch`, `UploadEnded`, `NameTaken`, `RevisionStale`, `ParentGone`, `QuotaExceeded`."""
        upload = await self._mine(caller, upload_id)
        if upload.state == "done":
            return _completed(upload)
        upload = await self._heard_of(upload)
        if request.filepath is not None or request.base_revision is not None:
            upload = await self._elsewhere(caller, upload, request)
        return _completed(await self._completion.complete(upload, request.parts))

    async def _elsewhere(self, caller: Caller, upload: Upload, request: CompleteRequest) -> Upload:
        """Leads it to where the client wants it now that it knows what stood in the way; recorded, since the store's word may come
        first. An upload stays in its namespace, which its size is reserved in."""
        place, path = Place(Folder(upload.namespace, upload.parent), upload.name), upload.name
        if request.filepath is not None:
            path = request.filepath
            place = await self._beginning.place_at(caller, path)
        if place.folder.namespace != upload.namespace:
            raise InvalidRequest(message="That path lies in another shared folder: begin an upload there")
        base = await self._beginning.base_at(caller, place, path, request.base_revision)
        if base.revision is None and upload.base_revision is None:
            base = Base(upload.node, None)
        led = replace(upload, node=base.node, parent=place.folder.id, name=place.name, base_revision=base.revision)
        await self._store.lead(led)
        return led

    async def arrived(self, object_key: str) -> bool:
        """The store's own event: it has this object whole. Whether that was an upload, and is a revision now. Idempotent."""
        return await self._completion.arrived(object_key)

    async def sweep(self, limit: int) -> int:
        """Goes on with what was cut short, ends what nobody goes on with and forgets what is long done; how many it saw to."""
        now_us = self._clock.now_us()
        quiet_us = now_us + (UPLOAD_TTL_S - UNFINISHED_AFTER_S) * _SECOND_US
        unfinished = await self._store.unfinished(quiet_us, limit)
        for upload in unfinished:
            await self._completion.go_on(upload)
        expired = await self._store.expired(now_us, limit)
        for upload in expired:
            if upload.state == "done":
                await self._store.forget([upload.id])
            elif await self._store.move(upload.id, "aborted", out_of=(*OPEN_STATES, "aborted")):
                await self._remove(upload)
        return len(unfinished) + len(expired)

    # -- Shared ----------------------------------------------------------------------------------------------------------

    async def _mine(self, caller: Caller, upload_id: UploadId) -> Upload:
        upload = await self._store.get(upload_id)
        if upload is None or upload.user != caller.user_id:
            raise NotFound(what="The upload")
        if not (await self._metadata.access(caller, upload.namespace)).may_write:
            raise Forbidden(what="write")
        return upload

    async def _may_write(self, caller: Caller, upload: Upload) -> bool:
        try:
            return (await self._metadata.access(caller, upload.namespace)).may_write
        except NotFound:
            return False

    async def _listed(self, upload: Upload) -> list[StoredPart]:
        """What has arrived of one that is open. Raises `UploadEnded` where the store has put it together already and its word is
        on the way, `NotFound` where the store has let it go."""
        try:
            return await self._completion.listed(upload)
        except NotFound:
            if await self._objects.size_of(upload.object_key) != upload.size:
                raise
            raise UploadEnded(state="completing") from None

    async def _heard_of(self, upload: Upload) -> Upload:
        """Its time begins anew."""
        now_us = self._clock.now_us()
        expires_us = max(upload.expires_us, now_us + UPLOAD_TTL_S * _SECOND_US)
        await self._store.touch(upload.id, signed_until_us=now_us + GRANT_TTL_S * _SECOND_US, expires_us=expires_us)
        return replace(upload, expires_us=expires_us)

    async def _remove(self, upload: Upload) -> None:
        """The row goes last, so that nothing can be left behind without one."""
        await self._objects.abort_multipart(upload.object_key, upload.store_upload_id)
        await self._objects.remove(upload.object_key)
        await self._store.forget([upload.id])

    async def _status(self, upload: Upload) -> UploadStatus:
        there: Iterable[int] = range(1, upload.part_count + 1)
        arrived_bytes = upload.size
        if upload.state == "open":
            with suppress(UploadEnded):
                # Else the store has put it together before anybody was told: all of it is there.
                parts = whole(upload, await self._listed(upload))
                there, arrived_bytes = sorted(parts), sum(part.size for part in parts.values())
        elif upload.state in ("opening", "aborted"):
            there, arrived_bytes = (), 0
        absent = missing(upload, dict.fromkeys(there))
        return UploadStatus(
            upload_id=upload.id,
            file_id=upload.node,
            namespace=upload.namespace,
            name=upload.name,
            size=upload.size,
            checksum=upload.sha256,
            state=upload.state,
            problem=upload.problem,
            revision=upload.revision,
            part_size=upload.part_bytes,
            part_count=upload.part_count,
            arrived_bytes=arrived_bytes,
            arrived=ranges(there),
            missing=ranges(absent),
            next_parts=_next(upload, absent[0], only_missing=True) if absent and upload.state == "open" else None,
            complete_url=_complete_url(upload),
            expires=to_time(upload.expires_us),
        )

    def _urls(self, upload: Upload, numbers: Iterable[int]) -> list[PartUrl]:
        urls: list[PartUrl] = []
        for number in numbers:
            size = upload.size_of(number)
            signed = self._objects.presign_part(upload.object_key, upload.store_upload_id, number, size=size, ttl_s=GRANT_TTL_S)
            urls.append(PartUrl(part_number=number, size=size, url=signed.url, headers=signed.headers))
        return urls


def _next(upload: Upload, first: int, *, only_missing: bool = False) -> str | None:
    if first > upload.part_count:
        return None
    return f"/v1/uploads/{upload.id}/parts?from={first}" + ("&missing=true" if only_missing else "")


def _complete_url(upload: Upload) -> str:
    return f"/v1/uploads/{upload.id}/complete"


def _completed(upload: Upload) -> UploadCompleted:
    return UploadCompleted(
        upload_id=upload.id,
        file_id=upload.node,
        namespace=upload.namespace,
        revision=upload.revision or 1,
        size=upload.size,
    )


def _problem(error: SynclineError) -> EntryProblem:
    return EntryProblem(
        code=error.code,
        status=error.status,
        detail=str(error),
        retryable=error.retryable,
        revision=error.fields.get("revision"),
    )
