"""The server, as a device sees it: the doors of `interfaces.md` §2 that devices use, typed.

Contract of every call: it has a timeout; what may be repeated safely is retried with jittered exponential backoff, bounded; it
raises errors of `model.errors` only: `Unavailable` when the server cannot be reached, `Unauthenticated` when the session has
ended, and the typed error of the problem document otherwise. Access tokens are renewed behind the scenes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from syncline.model.ids import DeviceId, Digest, NamespaceId, NodeId, PackId
from syncline.protocol.blocks import DoneAnswer, GrantAnswer, ManifestsAnswer, PackOffer, RevisionRef, SignedRequest
from syncline.protocol.changes import ChangesPage, LatestAnswer, PollAnswer, SnapshotPage
from syncline.protocol.commits import CommitAnswer, CommitRequest
from syncline.protocol.sessions import Devices, Me, Namespaces
from syncline.protocol.tree import ChildrenPage, Metadata, Versions


class Traffic(Struct):
    """What crossed the wire so far: body bytes as sent (after compression), and requests."""

    sent_bytes: int = 0
    received_bytes: int = 0
    requests: int = 0


class Remote(Protocol):
    @property
    def traffic(self) -> Traffic: ...

    async def me(self) -> Me: ...

    async def devices(self) -> Devices: ...

    async def unlink_device(self, device_id: DeviceId) -> None: ...

    async def namespaces(self) -> Namespaces: ...

    async def missing(self, namespace: NamespaceId, hashes: Sequence[Digest]) -> list[Digest]: ...

    async def grant(self, namespace: NamespaceId, packs: Sequence[PackOffer]) -> GrantAnswer: ...

    async def put_pack(self, put: SignedRequest, path: str, size: int) -> None:
        """Sends the file at `path` whole. "Already there" (412) is success. Raises `Forbidden` when the grant has expired."""
        ...

    async def packs_done(self, pack_ids: Sequence[PackId]) -> DoneAnswer: ...

    async def manifests(self, namespace: NamespaceId, revisions: Sequence[RevisionRef]) -> ManifestsAnswer: ...

    async def read_object(self, get: SignedRequest, offset: int, length: int) -> bytes:
        """Exactly `length` bytes by one ranged GET. Raises `Forbidden` when the URL has expired, `CorruptPack` when short."""
        ...

    async def read_into(self, get: SignedRequest, offset: int, into: memoryview) -> None:
        """`read_object` into a buffer that can be used again and again, as many bytes as it has. After an error it holds anything;
        nobody writes to it any more when this returns or raises."""
        ...

    async def commit(self, request: CommitRequest, *, key: str) -> CommitAnswer:
        """`key` is the Idempotency-Key: the same request under the same key may be repeated. Raises `CommitRefused`
        (fields `failures`: a list of dicts as in `protocol.commits.Failure`)."""
        ...

    async def changes(self, namespace: NamespaceId, cursor: str) -> ChangesPage:
        """Raises `CursorReset`."""
        ...

    async def snapshot(self, namespace: NamespaceId, page: str | None) -> SnapshotPage: ...

    async def latest(self, namespace: NamespaceId) -> LatestAnswer: ...

    async def poll(self, cursors: Sequence[str], timeout_s: int) -> PollAnswer: ...

    async def metadata(self, path: str) -> Metadata:
        """Raises `NotFound`."""
        ...

    async def children(self, namespace: NamespaceId, folder: NodeId, page: str | None) -> ChildrenPage: ...

    async def versions(self, namespace: NamespaceId, node: NodeId) -> Versions: ...

    async def close(self) -> None: ...
