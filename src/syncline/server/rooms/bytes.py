"""Bytes: leave to send and to read them. The bytes themselves go between clients and the store, past every gateway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from syncline.model.ids import NamespaceId, NodeId, UploadId
from syncline.ports.content_store import ContentRef
from syncline.protocol.blocks import (
    DoneAnswer,
    DoneRequest,
    GrantAnswer,
    GrantRequest,
    ManifestsAnswer,
    ManifestsRequest,
    MissingAnswer,
    MissingRequest,
)
from syncline.protocol.commits import FileCommit, FileCommitted
from syncline.protocol.uploads import (
    CompleteRequest,
    FileMetadata,
    PartsClaim,
    PartStates,
    PartUrls,
    UploadAnswer,
    UploadCompleted,
    UploadRequest,
    UploadSession,
    UploadSessionRequest,
    UploadsFound,
    UploadStatus,
)
from syncline.server.caller import Caller
from syncline.server.content.downloads import Offer
from syncline.server.rooms.marks import keyed, safe


class GrantingRoom(Protocol):
    """`server.blocks.grant.Granting`."""

    @safe
    async def missing(self, caller: Caller, request: MissingRequest) -> MissingAnswer: ...

    @safe
    async def grant(self, caller: Caller, request: GrantRequest) -> GrantAnswer:
        """May be asked again: a grant nobody uses is forgotten."""
        ...


class ReceivingRoom(Protocol):
    """`server.blocks.receive.Receiving`."""

    @safe
    async def done(self, caller: Caller, request: DoneRequest) -> DoneAnswer: ...


class FetchingRoom(Protocol):
    """`server.blocks.fetch.Fetching`."""

    @safe
    async def manifests(self, caller: Caller, request: ManifestsRequest) -> ManifestsAnswer: ...


class OffersRoom(Protocol):
    """`server.content.downloads.Downloads`, for people's devices."""

    @safe
    async def offers(self, caller: Caller, refs: Sequence[ContentRef], *, inline: bool = False) -> list[Offer | None]: ...


class UploadsRoom(Protocol):
    """`server.uploads.service.Uploads`."""

    @keyed("key")
    async def begin(self, caller: Caller, request: UploadRequest, key: str | None = None) -> UploadAnswer: ...

    @safe
    async def find(self, caller: Caller, fingerprint: str) -> UploadsFound: ...

    @safe
    async def status(self, caller: Caller, upload_id: UploadId) -> UploadStatus: ...

    @safe
    async def part_urls(self, caller: Caller, upload_id: UploadId, first: int, *, only_missing: bool) -> PartUrls: ...

    @safe
    async def claim_parts(self, caller: Caller, upload_id: UploadId, request: PartsClaim) -> PartStates: ...

    @safe
    async def abort(self, caller: Caller, upload_id: UploadId) -> None: ...

    @safe
    async def complete(self, caller: Caller, upload_id: UploadId, request: CompleteRequest) -> UploadCompleted:
        """May be asked again: what is done answers the same."""
        ...


class ShorthandRoom(Protocol):
    """`server.uploads.shorthand.Shorthand`."""

    @safe
    async def session(self, caller: Caller, request: UploadSessionRequest) -> UploadSession: ...

    @safe
    async def commit(self, caller: Caller, request: FileCommit) -> FileCommitted:
        """May be asked again: its upload id is its key."""
        ...

    @safe
    async def metadata(self, caller: Caller, file: NodeId, namespace: NamespaceId | None) -> FileMetadata: ...
