"""Beginning uploads: each entry of a batch is checked, placed and recorded; only then does a URL exist.

An `Idempotency-Key` names the uploads themselves, so a batch that is sent again finds those it began the first time.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from syncline.model.entries import Kind
from syncline.model.errors import (
    Forbidden,
    IdempotencyMismatch,
    InvalidRequest,
    LimitExceeded,
    NameTaken,
    NotFound,
    QuotaExceeded,
    RevisionStale,
    SynclineError,
)
from syncline.model.ids import NamespaceId, NodeId, UploadId, is_digest, ulid
from syncline.model.limits import (
    BATCH_MAX,
    DESCRIPTION_MAX_BYTES,
    FILE_MAX_BYTES,
    GRANT_TTL_S,
    UPLOAD_PARTS_MAX,
    UPLOAD_TTL_S,
)
from syncline.model.paths import name_key
from syncline.ports.clock import Chance, Clock, Ids
from syncline.ports.object_store import MultipartStore
from syncline.ports.upload_store import Upload, UploadStore
from syncline.protocol.changes import to_us
from syncline.protocol.uploads import UploadFile
from syncline.server.caller import Caller
from syncline.server.metadata.apply import MIME_TYPE_MAX_BYTES
from syncline.server.metadata.service import Metadata
from syncline.server.uploads.parts import checksum, part_bytes, part_count
from syncline.server.uploads.placing import Place, Placing

_STORE_CALLS_AT_ONCE: Final = 16
_SECOND_US: Final = 1_000_000


class Base(Struct, frozen=True):
    """Which node a file becomes a revision of, and after which of its revisions (None: it is new)."""

    node: NodeId
    revision: int | None


class Beginning:
    def __init__(self, metadata: Metadata, store: UploadStore, objects: MultipartStore, clock: Clock, chance: Chance) -> None:
        self._metadata = metadata
        self._store = store
        self._objects = objects
        self._clock = clock
        self._chance = chance
        self._ids = Ids(clock, chance)
        self._placing = Placing(metadata, self._ids)

    async def begin(
        self, caller: Caller, files: Sequence[UploadFile], key: str | None, link: str | None
    ) -> list[Upload | SynclineError]:
        """An open upload for each file, or why there is none. Raises `LimitExceeded`, `InvalidRequest`, `Unavailable`."""
        if not files:
            raise InvalidRequest(message="An upload has at least one file")
        if len(files) > BATCH_MAX:
            raise LimitExceeded(what="The number of files", limit=BATCH_MAX)
        ids = [UploadId(self._ids.fresh() if key is None else _named(caller, key, index)) for index in range(len(files))]
        answers: dict[int, Upload | SynclineError] = {}
        if key is not None:
            answers |= await self._begun_before(caller, ids, files)
        fresh = [index for index in range(len(files)) if index not in answers]
        for index in fresh:
            problem = problem_of(files[index])
            if problem is not None:
                answers[index] = problem
        fresh = [index for index in fresh if index not in answers]
        places = await self._placing.places(caller, [files[index].filepath for index in fresh])
        rows: dict[int, Upload] = {}
        taken: set[tuple[str, str]] = set()
        for index, place in zip(fresh, places, strict=True):
            try:
                rows[index] = await self._row(caller, ids[index], files[index], place, taken, link)
            except SynclineError as error:
                answers[index] = error
        answers |= await self._open(rows)
        return [answers[index] for index in range(len(files))]

    async def _begun_before(
        self, caller: Caller, ids: Sequence[UploadId], files: Sequence[UploadFile]
    ) -> dict[int, Upload | SynclineError]:
        """Those of the batch that were begun when it was sent before; whoever may no longer write there gets no URL again."""
        known = {upload.id: upload for upload in await self._store.some(ids)}
        answers: dict[int, Upload | SynclineError] = {}
        for index, one in enumerate(ids):
            if one in known:
                try:
                    await self._check_may_write(caller, known[one].namespace)
                except SynclineError as error:
                    answers[index] = error
                else:
                    answers[index] = _same(known[one], files[index])
        return answers

    async def _check_may_write(self, caller: Caller, namespace: NamespaceId) -> None:
        if not (await self._metadata.access(caller, namespace)).may_write:
            raise Forbidden(what="write")

    async def base_at(self, caller: Caller, place: Place, path: str, base_revision: int | None) -> Base:
        """What a file becomes at a place. Raises `NameTaken`, `RevisionStale`, `NotFound`, `Forbidden`."""
        folder = place.folder
        await self._check_may_write(caller, folder.namespace)
        there = await self._metadata.child(caller, folder.namespace, folder.id, place.name)
        if there is None:
            if base_revision is not None:
                raise NotFound(what=path)
            return Base(NodeId(self._ids.fresh()), None)
        if there.kind is Kind.DIR or base_revision is None:
            raise NameTaken(path=path, revision=there.revision)
        if there.revision != base_revision:
            raise RevisionStale(path=path, revision=there.revision)
        return Base(there.node_id, base_revision)

    async def place_at(self, caller: Caller, path: str) -> Place:
        """The place a path names; its folders are made. Raises what is wrong with it."""
        (place,) = await self._placing.places(caller, [path])
        if isinstance(place, SynclineError):
            raise place
        return place

    async def _row(
        self,
        caller: Caller,
        upload: UploadId,
        file: UploadFile,
        place: Place | SynclineError,
        taken: set[tuple[str, str]],
        link: str | None,
    ) -> Upload:
        if isinstance(place, SynclineError):
            raise place
        spot = (place.folder.id, name_key(place.name))
        if spot in taken:
            raise NameTaken(path=file.filepath)
        base = await self.base_at(caller, place, file.filepath, file.base_revision)
        taken.add(spot)
        now_us = self._clock.now_us()
        each = part_bytes(file.size, file.chunk_count or UPLOAD_PARTS_MAX)
        return Upload(
            id=upload,
            namespace=place.folder.namespace,
            user=caller.user_id,
            device=caller.device_id,
            link=link,
            node=base.node,
            parent=place.folder.id,
            name=place.name,
            size=file.size,
            sha256=checksum(file.checksum),
            mime_type=file.mime_type,
            description=file.description,
            base_revision=base.revision,
            executable=file.executable,
            mtime_us=None if file.mtime is None else to_us(file.mtime),
            object_key=self._objects.fresh_key(self._chance),
            part_bytes=each,
            part_count=part_count(file.size, each),
            created_us=now_us,
            # Until the store takes its parts nothing else can become of it.
            expires_us=now_us + GRANT_TTL_S * _SECOND_US,
        )

    async def _open(self, rows: dict[int, Upload]) -> dict[int, Upload | SynclineError]:
        """The intents are recorded before the store hears of them."""
        if not rows:
            return {}
        refused = await self._store.add(list(rows.values()))
        answers: dict[int, Upload | SynclineError] = {}
        for index, row in rows.items():
            if row.id in refused:
                usage = await self._metadata.usage(Caller(row.user, row.device))
                answers[index] = QuotaExceeded(limit=usage.quota_bytes)
        turns = asyncio.Semaphore(_STORE_CALLS_AT_ONCE)

        async def create(row: Upload) -> str | SynclineError:
            async with turns:
                try:
                    return await self._objects.create_multipart(row.object_key)
                except SynclineError as error:
                    return error

        left = {index: row for index, row in rows.items() if index not in answers}
        created = await asyncio.gather(*map(create, left.values()))
        ids: dict[UploadId, str] = {}
        now_us = self._clock.now_us()
        expires_us = now_us + UPLOAD_TTL_S * _SECOND_US
        for (index, row), made in zip(left.items(), created, strict=True):
            if isinstance(made, SynclineError):
                answers[index] = made
                continue
            ids[row.id] = made
            answers[index] = replace(row, state="open", store_upload_id=made, expires_us=expires_us)
        if ids:
            signed_until_us = now_us + GRANT_TTL_S * _SECOND_US
            await self._store.opened(ids, signed_until_us=signed_until_us, expires_us=expires_us)
        return answers


def problem_of(file: UploadFile) -> SynclineError | None:
    """What is wrong with an entry by itself."""
    declared = checksum(file.checksum)
    if file.size < 0:
        return InvalidRequest(message="A size is not negative")
    if file.size > FILE_MAX_BYTES:
        return LimitExceeded(what="The size of a file", limit=FILE_MAX_BYTES)
    if declared is not None and not is_digest(declared):
        return InvalidRequest(message="A checksum is a SHA-256 in hexadecimal")
    if file.chunk_count is not None and not 1 <= file.chunk_count <= UPLOAD_PARTS_MAX:
        return LimitExceeded(what="chunkCount, which is at least 1,", limit=UPLOAD_PARTS_MAX)
    if file.mtime is not None and file.mtime.tzinfo is None:
        return InvalidRequest(message="mtime has no time zone")
    for text, limit in ((file.description, DESCRIPTION_MAX_BYTES), (file.mime_type, MIME_TYPE_MAX_BYTES)):
        if text is not None and len(text.encode(errors="replace")) > limit:
            return LimitExceeded(what="A text", limit=limit)
    return None


def _named(caller: Caller, key: str, index: int) -> str:
    """The id of an upload that its Idempotency-Key stands for."""
    value = hashlib.sha256(f"{caller.user_id} {caller.device_id} {index} {key}".encode()).digest()
    return ulid(int.from_bytes(value[:6], "big"), value[6:16])


def _same(upload: Upload, file: UploadFile) -> Upload | SynclineError:
    asked = (file.filepath.rpartition("/")[2], file.size, checksum(file.checksum))
    return upload if asked == (upload.name, upload.size, upload.sha256) else IdempotencyMismatch()
