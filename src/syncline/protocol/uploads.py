"""Plain uploads: files in parts, straight to the object store, for curl, browsers and other programs (`protocol.md` §7).

Numbers of parts begin at 1. URLs hold for at most `GRANT_TTL_S`; more of them are asked for as the upload goes on.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, field

from syncline.model.ids import Digest, NamespaceId, NodeId, UploadId


class UploadFile(Struct, kw_only=True):
    """A file to be uploaded to a path of the caller's tree, through mounts; folders on the way are made.

    `base_revision` makes it a new version of the file that is there, which must stand at that revision. `checksum` is the SHA-256
    of the whole file in hexadecimal: bytes that prove to be others are rejected. With `chunkCount` parts are larger, so that there
    are no more than so many (a part has at most 4 GiB).
    """

    filepath: str
    size: int
    description: str | None = None
    mime_type: str | None = None
    chunk_count: int | None = field(default=None, name="chunkCount")
    checksum: str | None = None
    base_revision: int | None = None
    executable: bool = False
    mtime: datetime | None = None


class UploadRequest(Struct, kw_only=True):
    """`POST /v1/files/upload`; at most `BATCH_MAX` files."""

    files: list[UploadFile]


class PartUrl(Struct, kw_only=True):
    """A presigned PUT of exactly `size` bytes. `headers` are bound by the signature; every client sends these by itself."""

    part_number: int = field(name="partNumber")
    size: int
    url: str
    headers: dict[str, str]


class EntryProblem(Struct, kw_only=True, omit_defaults=True):
    """Why one entry of a batch was refused, as the problem document of a request of its own would have it. `revision` is the
    present one, where that is what stands in the way."""

    code: str
    status: int
    detail: str
    retryable: bool = False
    revision: int | None = None


class UploadBegun(Struct, kw_only=True, omit_defaults=True):
    """One file's upload, or its `error`. Parts are of `partSize` bytes but for the last; `nextParts` gives more URLs."""

    filepath: str
    file_id: NodeId | None = None
    namespace: NamespaceId | None = None
    upload_id: UploadId | None = field(default=None, name="uploadId")
    state: str | None = None
    part_size: int | None = field(default=None, name="partSize")
    part_count: int | None = field(default=None, name="partCount")
    part_urls: list[PartUrl] = field(default_factory=list, name="partUrls")
    next_parts: str | None = field(default=None, name="nextParts")
    complete_url: str | None = field(default=None, name="completeUrl")
    expires: datetime | None = None
    error: EntryProblem | None = None


class UploadAnswer(Struct, kw_only=True):
    """In request order."""

    files: list[UploadBegun]


class PartUrls(Struct, kw_only=True):
    """`GET /v1/uploads/{id}/parts?from=&missing=`: a window of URLs, and where the next one begins."""

    upload_id: UploadId = field(name="uploadId")
    part_size: int = field(name="partSize")
    part_count: int = field(name="partCount")
    part_urls: list[PartUrl] = field(name="partUrls")
    next_parts: str | None = field(name="nextParts")
    expires: datetime


class PartClaim(Struct, kw_only=True):
    """What a client says of a part it sent: the ETag the store answered with, and the SHA-256 of its bytes in hexadecimal."""

    part_number: int = field(name="partNumber")
    etag: str
    checksum: str | None = None


class PartsClaim(Struct, kw_only=True):
    """`PATCH /v1/uploads/{id}/parts`; at most `BATCH_MAX`."""

    parts: list[PartClaim]


class PartState(Struct, kw_only=True, omit_defaults=True):
    """What the store itself says of the part: `state` ∈ verified · absent · mismatch; `etag` and `size` as they are there."""

    part_number: int = field(name="partNumber")
    state: str
    etag: str | None = None
    size: int | None = None


class PartStates(Struct, kw_only=True):
    """In request order."""

    parts: list[PartState]


class PartRange(Struct, kw_only=True):
    """Parts from `first` to `last`, both included."""

    first: int
    last: int


class UploadStatus(Struct, kw_only=True):
    """`GET /v1/uploads/{id}`: what has arrived, as the store tells it, and what is missing. `state` ∈ opening · open · completing ·
    done · aborted; `problem` is the code of what refused the commit of a file that has arrived whole; `revision` what it became."""

    upload_id: UploadId = field(name="uploadId")
    file_id: NodeId
    namespace: NamespaceId
    name: str
    size: int
    checksum: Digest | None
    state: str
    problem: str | None
    revision: int | None
    part_size: int = field(name="partSize")
    part_count: int = field(name="partCount")
    arrived_bytes: int = field(name="arrivedBytes")
    arrived: list[PartRange]
    missing: list[PartRange]
    next_parts: str | None = field(name="nextParts")
    complete_url: str = field(name="completeUrl")
    expires: datetime


class UploadsFound(Struct, kw_only=True):
    """`GET /v1/uploads?fingerprint=`: the caller's own uploads that announced this SHA-256, the newest first."""

    uploads: list[UploadStatus]


class CompleteRequest(Struct, kw_only=True):
    """`POST /v1/uploads/{id}/complete`; the body may be left out. `parts` are compared with what the store has. `filepath` puts the
    file elsewhere, and `base_revision` makes it a new version after all, where its place was taken meanwhile."""

    parts: list[PartClaim] | None = None
    filepath: str | None = None
    base_revision: int | None = None


class UploadCompleted(Struct, kw_only=True):
    """The file and the revision that the upload became: downloadable now, settled a little later."""

    upload_id: UploadId = field(name="uploadId")
    file_id: NodeId
    namespace: NamespaceId
    revision: int
    size: int


class UploadSessionRequest(Struct, kw_only=True):
    """`POST /v1/files/upload_session`: the blocks of one file, at most `BATCH_MAX` of them (about the others ask
    `POST /v1/blocks/missing`). Without a namespace: the caller's root."""

    block_list: list[Digest]
    namespace: NamespaceId | None = None


class UploadSession(Struct, kw_only=True):
    """`missing` are to be sent in packs (`POST /v1/packs`); `upload_id` is then named in the commit, and makes it repeatable."""

    upload_id: UploadId
    namespace: NamespaceId
    missing: list[Digest]


class FileMetadata(Struct, kw_only=True):
    """`GET /v1/files/metadata?file_id=`: one file with its blocks. `block_list` is empty while `content` is `raw`."""

    file_id: NodeId
    namespace: NamespaceId
    path: str
    version: int
    owner: str
    size: int
    content_hash: Digest | None
    content: str | None
    deleted: bool
    mtime: datetime
    block_list: list[Digest]
