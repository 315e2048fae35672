"""Routes: downloads for programs without the block pipeline. The bytes come from the URLs these give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from syncline.model.errors import ContentRaw, Corrupt, InvalidRequest, NotFound, SynclineError
from syncline.model.ids import NamespaceId, NodeId
from syncline.ports.content_store import ContentRef
from syncline.protocol.blocks import ManifestsRequest, RevisionRef
from syncline.protocol.changes import to_time
from syncline.protocol.downloads import Disposition, DownloadAnswer, DownloadFile, DownloadRequest, FileManifest, FileRef
from syncline.server.content.downloads import Offer
from syncline.server.content.headers import type_of
from syncline.server.gateway.auth import signed_in
from syncline.server.gateway.services import Services
from syncline.server.gateway.wire import Asked, whole
from syncline.server.rooms.bytes import OffersRoom


def routes(services: Services) -> Sequence[HTTPRouteHandler]:
    guard, offers = signed_in(services.accounts), services.offers

    @post("/v1/files/download", status_code=200, before_request=guard, tags=["files"])
    async def download(request: Asked, data: JSONBody[DownloadRequest]) -> DownloadAnswer:
        """A URL for each of these files, good for 15 minutes; the URL honours Range."""
        asked = [one if isinstance(one, FileRef) else FileRef(file_id=NodeId(one)) for one in data.file_ids]
        inline = data.disposition is Disposition.INLINE
        found = await offers.offers(request.user, [_ref(one) for one in asked], inline=inline)
        base = services.bytes_base(request)
        return DownloadAnswer(
            files=[
                DownloadFile(file_id=one.file_id, error=NotFound.code) if offer is None else _file(offer, base)
                for one, offer in zip(asked, found, strict=True)
            ]
        )

    @get("/v1/files/{file:str}/download", status_code=302, before_request=guard, tags=["files"])
    async def redirect(
        request: Asked,
        file: FromPath[str],
        revision: FromQuery[int | None] = None,
        namespace: FromQuery[NamespaceId | None] = None,
        disposition: FromQuery[Disposition] = Disposition.ATTACHMENT,
    ) -> Response[None]:
        """Redirects to the file's bytes, at a URL good for 15 minutes."""
        ref = ContentRef(node_id=NodeId(file), revision=revision, namespace=namespace)
        offer = await _offered(offers, request, ref, inline=disposition is Disposition.INLINE)
        location = whole(offer.url, services.bytes_base(request))
        return Response(None, status_code=302, headers={"location": location, "cache-control": "no-store"})

    @get("/v1/files/{file:str}/manifest", before_request=guard, tags=["files"])
    async def manifest(
        request: Asked,
        file: FromPath[str],
        revision: FromQuery[int | None] = None,
        namespace: FromQuery[NamespaceId | None] = None,
        from_block: Annotated[int, QueryParameter(ge=0)] = 0,
    ) -> FileManifest:
        """A revision's blocks, presigned GETs of the packs they lie in, and the key of each block."""
        asked = ContentRef(node_id=NodeId(file), revision=revision, namespace=namespace)
        content = (await _offered(offers, request, asked)).content
        if content.raw_key is not None:
            raise ContentRaw
        ref = RevisionRef(node_id=content.node_id, revision=content.revision, from_block=from_block)
        answer = await services.fetching.manifests(request.user, ManifestsRequest(namespace=content.namespace, revisions=[ref]))
        if (code := answer.manifests[0].error) is not None:
            raise _failure(code)
        for pack in answer.packs:
            pack.get.url = whole(pack.get.url, services.bytes_base(request))
        return FileManifest(namespace=content.namespace, manifest=answer.manifests[0], packs=answer.packs)

    return [download, redirect, manifest]


async def _offered(offers: OffersRoom, request: Asked, ref: ContentRef, *, inline: bool = False) -> Offer:
    (offer,) = await offers.offers(request.user, [ref], inline=inline)
    if offer is None:
        raise NotFound(what="The file")
    return offer


def _failure(code: str) -> SynclineError:
    """What it is called, where one file is asked for, that a manifest has an error in the place of blocks."""
    if code == InvalidRequest.code:
        return InvalidRequest(message="from_block is past the end of this file's blocks")
    if code == NotFound.code:
        return NotFound(what="The file")
    return Corrupt(what="The content of this file", reason="one of its blocks is not stored, or its key is lost")


def _ref(asked: FileRef) -> ContentRef:
    return ContentRef(node_id=asked.file_id, revision=asked.revision, namespace=asked.namespace)


def _file(offer: Offer, base: str) -> DownloadFile:
    content = offer.content
    return DownloadFile(
        file_id=content.node_id,
        namespace=content.namespace,
        revision=content.revision,
        name=content.name,
        presigned_url=whole(offer.url, base),
        expires=to_time(offer.expires_s * 1_000_000),
        size=content.size,
        sha256=content.content_hash,
        mime_type=type_of(content.name, content.mime_type),
    )
