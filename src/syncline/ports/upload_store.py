"""Plain uploads, stored: what is on its way in parts, from the intent to the revision that it became.

`opening` (the store was not asked yet) → `open` → `completing` (the store may have put it together) → `done`, in the very
transaction of the commit; or → `aborted`, whose parts are being removed. Rows that are done stay for a while, so that a lost answer
can be asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from syncline.model.ids import DeviceId, Digest, NamespaceId, NodeId, UploadId, UserId

OPEN_STATES: Final = ("opening", "open", "completing")
"""In these an upload reserves its size against the quota."""


class Upload(Struct, frozen=True, kw_only=True):
    """`base_revision` None is a new file. `link` is the link it came by, if any. `problem` is the code of what refused the commit
    of an upload that the store has whole. `revision` is what it became."""

    id: UploadId
    namespace: NamespaceId
    user: UserId
    device: DeviceId
    link: str | None = None
    node: NodeId
    parent: NodeId
    name: str
    size: int
    sha256: Digest | None = None
    mime_type: str | None = None
    description: str | None = None
    base_revision: int | None = None
    executable: bool = False
    mtime_us: int | None = None
    object_key: str
    store_upload_id: str = ""
    part_bytes: int
    part_count: int
    state: str = "opening"
    problem: str | None = None
    revision: int | None = None
    created_us: int
    signed_until_us: int = 0
    expires_us: int

    def size_of(self, number: int) -> int:
        """Of the part with this number, from 1."""
        return self.part_bytes if number < self.part_count else self.size - self.part_bytes * (self.part_count - 1)


class NotedPart(Struct, frozen=True):
    """A part that was compared with the store."""

    number: int
    etag: str
    size: int
    sha256: Digest | None


class UploadStore(Protocol):
    async def add(self, uploads: Sequence[Upload]) -> set[UploadId]:
        """Records intents, in order; those for which the quota of their namespace's owner has no room are left out, and given
        back."""
        ...

    async def opened(self, store_ids: Mapping[UploadId, str], *, signed_until_us: int, expires_us: int) -> None:
        """The store takes their parts now, under these ids, at URLs that hold no longer than that."""
        ...

    async def get(self, upload: UploadId) -> Upload | None: ...

    async def some(self, uploads: Sequence[UploadId]) -> list[Upload]:
        """Those that there are, in any order."""
        ...

    async def by_object(self, object_key: str) -> Upload | None: ...

    async def by_fingerprint(self, user: UserId, sha256: Digest, limit: int) -> list[Upload]:
        """A user's own uploads of this content, the newest first."""
        ...

    async def touch(self, upload: UploadId, *, signed_until_us: int, expires_us: int) -> None:
        """Something was heard of it. Neither time ever goes back."""
        ...

    async def move(self, upload: UploadId, to: str, *, out_of: Sequence[str], problem: str | None = None) -> bool:
        """Whether it was in one of those states, and is in this one now."""
        ...

    async def lead(self, upload: Upload) -> None:
        """It leads to this node, folder and name now, after this base revision. Nothing once it is done."""
        ...

    async def note_parts(self, upload: UploadId, parts: Sequence[NotedPart], now_us: int) -> None: ...

    async def noted_parts(self, upload: UploadId) -> list[NotedPart]:
        """By number."""
        ...

    async def expired(self, now_us: int, limit: int) -> list[Upload]:
        """In whatever state, those whose time has come, the oldest first; and those aborted."""
        ...

    async def unfinished(self, expires_before_us: int, limit: int) -> list[Upload]:
        """Those that are `completing` without a problem and of which nothing was heard for a while, as their expiry tells."""
        ...

    async def forget(self, uploads: Sequence[UploadId]) -> None:
        """Removes rows and what was noted of their parts."""
        ...
