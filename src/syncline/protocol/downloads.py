"""Downloads for programs without the block pipeline: URLs for files, and one file's manifest."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct, field

from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.protocol.blocks import PackSource, RevisionManifest


class Disposition(StrEnum):
    """Whether a browser saves the file, or shows it where its type is safe to show (pictures, sound, film, plain text)."""

    ATTACHMENT = "attachment"
    INLINE = "inline"


class FileRef(Struct, kw_only=True, omit_defaults=True):
    """A file to download: its present revision, or the one named, wherever it lies among the caller's folders."""

    file_id: NodeId
    revision: int | None = None
    namespace: NamespaceId | None = None


class DownloadRequest(Struct, kw_only=True):
    """`POST /v1/files/download`; at most `BATCH_MAX` files, each an id or more exactly."""

    file_ids: list[str | FileRef]
    disposition: Disposition = Disposition.ATTACHMENT


class DownloadFile(Struct, kw_only=True, omit_defaults=True):
    """`presignedUrl` answers GET, HEAD and Range without a token until `expires`. `sha256` is absent while the file lies as it was
    uploaded and nobody has read it through yet. `error` is a problem code, and then there is no more than that."""

    file_id: NodeId
    namespace: NamespaceId | None = None
    revision: int | None = None
    name: str | None = None
    presigned_url: str | None = field(default=None, name="presignedUrl")
    expires: datetime | None = None
    size: int | None = None
    sha256: Digest | None = None
    mime_type: str | None = None
    error: str | None = None


class DownloadAnswer(Struct, kw_only=True):
    """In request order."""

    files: list[DownloadFile]


class FileManifest(Struct, kw_only=True):
    """`GET /v1/files/{id}/manifest`: a revision's blocks, the packs to read them from, and their keys. `manifest.next_block` says
    where to go on (`?from_block=`)."""

    namespace: NamespaceId
    manifest: RevisionManifest
    packs: list[PackSource]
