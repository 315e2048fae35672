"""File drop in parts: large files come straight to the object store, side by side, and are gone on with after an interruption.

The doors of plain uploads do the work, in the name of the link's maker; here only what a stranger may know of it passes: not where
the file goes, nor what it is called there. An upload belongs to the link it was begun through, and works while that does.
"""

from __future__ import annotations

from msgspec.structs import replace

from syncline.model.errors import InvalidRequest, LimitExceeded, NameTaken, NotFound, QuotaExceeded, SynclineError, Unavailable
from syncline.model.ids import UploadId
from syncline.model.limits import DROP_BATCH_MAX, DROP_FILE_MAX_BYTES
from syncline.ports.upload_store import UploadStore
from syncline.protocol.links import DropCompleted, DropFile, DropRequest, DropStatus
from syncline.protocol.uploads import (
    CompleteRequest,
    EntryProblem,
    PartClaim,
    PartUrls,
    UploadAnswer,
    UploadBegun,
    UploadFile,
    UploadRequest,
)
from syncline.server.links.drops import NAMES_TRIED_MAX, Drops, NoRoom
from syncline.server.links.links import path_of
from syncline.server.links.names import dropped_name
from syncline.server.links.public import PublicLinks
from syncline.server.links.reaching import Visit
from syncline.server.links.tokens import no_such_link
from syncline.server.metadata.service import Metadata
from syncline.server.uploads.service import Uploads

_MINE = "/v1/uploads/"


class DropUploads:
    def __init__(self, links: PublicLinks, drops: Drops, metadata: Metadata, uploads: Uploads, store: UploadStore) -> None:
        self._links = links
        self._drops = drops
        self._metadata = metadata
        self._uploads = uploads
        self._store = store

    async def begin(self, token: str, visit: Visit, request: DropRequest) -> UploadAnswer:
        """An upload for each file, or its own error, in request order. Raises `LimitExceeded`, `InvalidRequest`, `NotFound`."""
        if len(request.files) > DROP_BATCH_MAX:
            raise LimitExceeded(what="The number of files", limit=DROP_BATCH_MAX)
        folder = await path_of(self._metadata, visit.as_maker, visit.reach)
        if folder is None:
            raise InvalidRequest(message="Files for this folder are sent whole: PUT them to /files/NAME")
        return UploadAnswer(files=[await self._begin(token, visit, folder, file) for file in request.files])

    async def _begin(self, token: str, visit: Visit, folder: str, file: DropFile) -> UploadBegun:
        name = dropped_name(file.name)
        if file.size > DROP_FILE_MAX_BYTES:
            return _refused(name, LimitExceeded(what="The size of a file", limit=DROP_FILE_MAX_BYTES))
        try:
            await self._links.count(visit)
        except NotFound as error:
            return _refused(name, error)
        for _ in range(NAMES_TRIED_MAX):
            wanted = UploadFile(
                filepath=f"{folder}/{await self._drops.free(visit, name)}",
                size=file.size,
                checksum=file.checksum,
                mime_type=file.mime_type,
                chunk_count=file.chunk_count,
            )
            answer = await self._uploads.begin(visit.as_maker, UploadRequest(files=[wanted]), link=visit.link.id)
            begun = answer.files[0]
            if begun.error is None:
                return replace(
                    begun,
                    filepath=name,
                    file_id=None,
                    namespace=None,
                    next_parts=_ours(token, begun.next_parts),
                    complete_url=_ours(token, begun.complete_url),
                )
            if begun.error.code == QuotaExceeded.code:
                return _refused(name, NoRoom())
            if begun.error.code != NameTaken.code:
                return UploadBegun(filepath=name, error=replace(begun.error, revision=None))
        return _refused(name, Unavailable(what="A free name in this folder"))

    async def status(self, token: str, visit: Visit, upload: str) -> DropStatus:
        """Raises `NotFound`."""
        found = await self._uploads.status(visit.as_maker, await self._of_link(visit, upload))
        return DropStatus(
            upload_id=found.upload_id,
            size=found.size,
            state=found.state,
            part_size=found.part_size,
            part_count=found.part_count,
            arrived_bytes=found.arrived_bytes,
            arrived=found.arrived,
            missing=found.missing,
            next_parts=_ours(token, found.next_parts),
            complete_url=_ours(token, found.complete_url) or "",
            expires=found.expires,
        )

    async def part_urls(self, token: str, visit: Visit, upload: str, first: int, *, only_missing: bool) -> PartUrls:
        """Raises `NotFound`, `UploadEnded`, `InvalidRequest`."""
        mine = await self._of_link(visit, upload)
        found = await self._uploads.part_urls(visit.as_maker, mine, first, only_missing=only_missing)
        return replace(found, next_parts=_ours(token, found.next_parts))

    async def complete(self, visit: Visit, upload: str, parts: list[PartClaim] | None) -> DropCompleted:
        """May be said again. Raises `NotFound`, `UploadIncomplete`, `PartMismatch`, `UploadEnded`, `NoRoom`."""
        mine = await self._of_link(visit, upload)
        known = await self._store.get(mine)
        name = known.name if known is not None else ""
        wanted = CompleteRequest(parts=parts)
        for _ in range(NAMES_TRIED_MAX):
            try:
                done = await self._uploads.complete(visit.as_maker, mine, wanted)
            except NameTaken:
                folder = await path_of(self._metadata, visit.as_maker, visit.reach)
                if folder is None:
                    raise no_such_link() from None
                wanted = CompleteRequest(parts=parts, filepath=f"{folder}/{await self._drops.free(visit, name)}")
            except QuotaExceeded as full:
                raise NoRoom() from full
            else:
                return DropCompleted(upload_id=done.upload_id, size=done.size)
        raise Unavailable(what="A free name in this folder")

    async def abort(self, visit: Visit, upload: str) -> None:
        """Raises `NotFound`, `UploadEnded`."""
        await self._uploads.abort(visit.as_maker, await self._of_link(visit, upload))

    async def _of_link(self, visit: Visit, upload: str) -> UploadId:
        found = await self._store.get(UploadId(upload))
        if found is None or found.link != visit.link.id:
            raise NotFound(what="The upload")
        return found.id


def _ours(token: str, url: str | None) -> str | None:
    """The address of an upload's door as the link has it."""
    return None if url is None else f"/s/{token}/uploads/{url.removeprefix(_MINE)}"


def _refused(name: str, error: SynclineError) -> UploadBegun:
    problem = EntryProblem(code=error.code, status=error.status, detail=str(error), retryable=error.retryable)
    return UploadBegun(filepath=name, error=problem)
