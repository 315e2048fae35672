"""Links: files and folders for people without an account, and folders that strangers may put files into."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from syncline.model.entries import Kind
from syncline.model.ids import LinkId, NamespaceId, NodeId, UploadId, UserId
from syncline.protocol.uploads import PartRange


class LinkKind(StrEnum):
    """What whoever has the link may do: read what is linked, or put files into the folder without seeing it."""

    DOWNLOAD = "download"
    DROP = "drop"


Limit = Annotated[int, Meta(ge=1, le=1_000_000_000)]


class NewLink(Struct, kw_only=True):
    """`POST /v1/links`: a file or folder by id or by path.

    `expires` must lie ahead. `downloads_max` bounds the downloads that may begin, or the files that may be dropped.
    """

    node_id: NodeId | None = None
    path: str | None = None
    namespace: NamespaceId | None = None
    kind: LinkKind = LinkKind.DOWNLOAD
    password: str | None = None
    expires: datetime | None = None
    downloads_max: Limit | None = None


class ChangeLink(Struct, kw_only=True, omit_defaults=True):
    """`PATCH /v1/links/{id}`: what is not named stays, what is null is taken away."""

    password: str | UnsetType | None = UNSET
    expires: datetime | UnsetType | None = UNSET
    downloads_max: Limit | UnsetType | None = UNSET


class Link(Struct, kw_only=True, omit_defaults=True):
    """A link, without its token, which nobody can tell any more. `downloads` have begun (or files were dropped) so far.

    `path` and `name` are where it leads now, as the one who asks sees it; None where that is gone, and then the link answers 404.
    """

    link_id: LinkId
    kind: LinkKind
    namespace: NamespaceId
    node_id: NodeId
    created: datetime
    created_by: UserId
    downloads: int = 0
    downloads_max: int | None = None
    expires: datetime | None = None
    has_password: bool = False
    name: str | None = None
    path: str | None = None


class CreatedLink(Link, kw_only=True, omit_defaults=True):
    """`url` and `token` are told this once; only a hash of the token is kept."""

    url: str = ""
    token: str = ""


class Links(Struct, kw_only=True):
    """`GET /v1/links?node_id=&cursor=&limit=`: oldest first; `cursor` goes on from here, None ends it."""

    links: list[Link]
    cursor: str | None = None


class LinkedEntry(Struct, kw_only=True, omit_defaults=True):
    """Something in a linked folder; `path` is what `?path=` takes."""

    name: str
    path: str
    kind: Kind
    modified: datetime
    size: int = 0


class LinkMeta(Struct, kw_only=True, omit_defaults=True):
    """`GET /s/{token}/meta?path=&page=`: what a link leads to. A folder lists its entries by name; `next` is the next page's.

    A drop link says whom the files go to (`to`) and how large each may be (`max_bytes`), and nothing of the folder.
    """

    kind: LinkKind
    name: str | None = None
    path: str | None = None
    node_kind: Kind | None = None
    size: int | None = None
    modified: datetime | None = None
    download: str | None = None
    entries: list[LinkedEntry] | None = None
    next: str | None = None
    expires: datetime | None = None
    to: str | None = None
    max_bytes: int | None = None


class PasswordForm(Struct, kw_only=True):
    """The form of a link that has a password."""

    password: str


class DropFile(Struct, kw_only=True):
    """A file to be dropped in parts; `checksum` is the SHA-256 of it all in hexadecimal."""

    name: str
    size: int
    checksum: str | None = None
    mime_type: str | None = None
    chunk_count: int | None = field(default=None, name="chunkCount")


class DropRequest(Struct, kw_only=True):
    """`POST /s/{token}/uploads`; at most `DROP_BATCH_MAX` files."""

    files: list[DropFile]


class DropStatus(Struct, kw_only=True):
    """`GET /s/{token}/uploads/{id}`: what has arrived and what is missing, as `protocol.uploads.UploadStatus` has it."""

    upload_id: UploadId = field(name="uploadId")
    size: int
    state: str
    part_size: int = field(name="partSize")
    part_count: int = field(name="partCount")
    arrived_bytes: int = field(name="arrivedBytes")
    arrived: list[PartRange]
    missing: list[PartRange]
    next_parts: str | None = field(name="nextParts")
    complete_url: str = field(name="completeUrl")
    expires: datetime


class DropCompleted(Struct, kw_only=True):
    """The file has arrived."""

    upload_id: UploadId = field(name="uploadId")
    size: int


class DroppedFile(Struct, kw_only=True):
    """A file that was dropped, under the name it got."""

    name: str
    size: int
    sha256: str


class Dropped(Struct, kw_only=True):
    """What was dropped, in the order in which it came."""

    files: list[DroppedFile]
