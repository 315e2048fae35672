"""Routes: plain uploads. Files go in parts straight to the object store; these doors say where to, and what has arrived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from litestar import delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter

from syncline.model.ids import NamespaceId, NodeId, UploadId
from syncline.model.limits import UPLOAD_PARTS_MAX
from syncline.protocol.uploads import (
    CompleteRequest,
    FileMetadata,
    PartsClaim,
    PartStates,
    PartUrl,
    PartUrls,
    UploadAnswer,
    UploadCompleted,
    UploadRequest,
    UploadSession,
    UploadSessionRequest,
    UploadsFound,
    UploadStatus,
)
from syncline.server.gateway.auth import signed_in
from syncline.server.gateway.services import Services
from syncline.server.gateway.wire import Asked

FromPart = Annotated[int, QueryParameter(name="from", ge=1, le=UPLOAD_PARTS_MAX)]
Fingerprint = Annotated[str, QueryParameter(min_length=64, max_length=71)]
IdempotencyKey = Annotated[str | None, HeaderParameter(name="Idempotency-Key", min_length=1, max_length=128)]


def routes(services: Services) -> Sequence[HTTPRouteHandler]:
    uploads = services.uploads
    guard = signed_in(services.accounts)

    def base(request: Asked) -> str:
        return request.base(services.public_url)

    @post("/v1/files/upload", status_code=200, before_request=guard, tags=["uploads"])
    async def begin(request: Asked, data: JSONBody[UploadRequest], idempotency_key: IdempotencyKey = None) -> UploadAnswer:
        """Begins an upload for each file, and gives the first part URLs; an entry that is refused says why in its `error`. Send the
        bytes of each part with PUT, then POST to `completeUrl`. Under the same Idempotency-Key the same uploads are found again."""
        answer = await uploads.begin(request.user, data, idempotency_key)
        for one in answer.files:
            _complete(one.part_urls, services.bytes_base(request))
            one.next_parts = _whole(one.next_parts, base(request))
            one.complete_url = _whole(one.complete_url, base(request))
        return answer

    @get("/v1/uploads", before_request=guard, tags=["uploads"])
    async def find(request: Asked, fingerprint: Fingerprint) -> UploadsFound:
        """The caller's uploads that announced this SHA-256, the newest first: to go on with one after everything else was lost."""
        found = await uploads.find(request.user, fingerprint)
        for one in found.uploads:
            _complete_status(one, base(request))
        return found

    @get("/v1/uploads/{upload:str}", before_request=guard, tags=["uploads"])
    async def status(request: Asked, upload: FromPath[str]) -> UploadStatus:
        """What has arrived, as the store tells it, and what is missing: go on from here."""
        return _complete_status(await uploads.status(request.user, UploadId(upload)), base(request))

    @get("/v1/uploads/{upload:str}/parts", before_request=guard, tags=["uploads"])
    async def part_urls(
        request: Asked, upload: FromPath[str], from_part: FromPart = 1, missing: FromQuery[bool] = False
    ) -> PartUrls:
        """Part URLs from a number on, a window of them; with `missing` only those of parts that have not arrived."""
        answer = await uploads.part_urls(request.user, UploadId(upload), from_part, only_missing=missing)
        _complete(answer.part_urls, services.bytes_base(request))
        answer.next_parts = _whole(answer.next_parts, base(request))
        return answer

    @patch("/v1/uploads/{upload:str}/parts", before_request=guard, tags=["uploads"])
    async def claim(request: Asked, upload: FromPath[str], data: JSONBody[PartsClaim]) -> PartStates:
        """Says which parts were sent; each is looked up in the store. What is verified must still be so at the end."""
        return await uploads.claim_parts(request.user, UploadId(upload), data)

    @delete("/v1/uploads/{upload:str}", before_request=guard, tags=["uploads"])
    async def abort(request: Asked, upload: FromPath[str]) -> None:
        """Gives an upload up: its parts are removed, and its URLs take nothing any more."""
        await uploads.abort(request.user, UploadId(upload))

    @post("/v1/uploads/{upload:str}/complete", status_code=200, before_request=guard, tags=["uploads"])
    async def complete(request: Asked, upload: FromPath[str], data: JSONBody[CompleteRequest | None] = None) -> UploadCompleted:
        """Makes the parts a file, or a new version of one. May be said again: the answer is the same."""
        return await uploads.complete(request.user, UploadId(upload), data or CompleteRequest())

    @post("/v1/files/upload_session", status_code=200, before_request=guard, tags=["files"])
    async def session(request: Asked, data: JSONBody[UploadSessionRequest]) -> UploadSession:
        """Which blocks of a file must be sent before `POST /v1/files/commit` may name them, and an id to name there."""
        return await services.shorthand.session(request.user, data)

    @get("/v1/files/metadata", before_request=guard, tags=["files"])
    async def metadata(request: Asked, file_id: FromQuery[NodeId], namespace: FromQuery[NamespaceId | None] = None) -> FileMetadata:
        """A file with its blocks, version and owner, in whichever of the caller's namespaces it lies."""
        return await services.shorthand.metadata(request.user, file_id, namespace)

    return [begin, find, status, part_urls, claim, abort, complete, session, metadata]


def _complete(parts: Sequence[PartUrl], base: str) -> None:
    """Makes the relative URLs of a store behind this same server whole, in place."""
    for part in parts:
        if part.url.startswith("/"):
            part.url = base + part.url


def _complete_status(status: UploadStatus, base: str) -> UploadStatus:
    status.next_parts = _whole(status.next_parts, base)
    status.complete_url = base + status.complete_url
    return status


def _whole(path: str | None, base: str) -> str | None:
    return None if path is None else base + path
