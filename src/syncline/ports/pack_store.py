"""Packs, copies of blocks, and possession, stored (`protocol.md` §2, §6). One implementation beside the other metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from syncline.model.blocks import Codec, PackEntry
from syncline.model.ids import Digest, NamespaceId, PackId, UserId


class PackRow(Struct, frozen=True, kw_only=True):
    """`state` ∈ granted | done | deleting. `object_key` is random and says nothing of the content."""

    id: PackId
    namespace: NamespaceId
    user: UserId
    object_key: str
    size: int
    sha256: Digest
    wrapped_key: bytes
    state: str
    expires_us: int
    created_us: int


class Copy(Struct, frozen=True, kw_only=True, gc=False):
    """A stored copy of a block."""

    hash: Digest
    pack: PackId
    offset: int
    length: int
    plain_size: int
    codec: Codec


class PackStore(Protocol):
    async def missing(self, namespace: NamespaceId, user: UserId, hashes: Sequence[Digest]) -> list[Digest]:
        """Those of `hashes` that are not possessed in `namespace`, in request order. "Possessed" only if a stored copy was
        verified or was sent by `user`."""
        ...

    async def add_packs(self, packs: Sequence[tuple[PackRow, Sequence[PackEntry]]]) -> None:
        """Records intents (state `granted`) with their declared copies (state `claimed`), before any URL exists."""
        ...

    async def packs(self, pack_ids: Sequence[PackId]) -> list[PackRow]:
        """Those that exist, in any order."""
        ...

    async def pack_by_object(self, object_key: str) -> PackRow | None: ...

    async def finish(self, pack_ids: Sequence[PackId], now_us: int, *, verified: bool = False) -> None:
        """Marks packs `done` and records possession of their blocks in their namespaces. Idempotent; one transaction. `verified`
        says that the server made the packs itself, so that their copies are what they claim to be."""
        ...

    async def copies(self, namespace: NamespaceId, hashes: Sequence[Digest]) -> list[Copy]:
        """One copy per hash that `namespace` may read: a verified one, else one sent into this same namespace, of packs that
        are `done`. Hashes without a copy are left out."""
        ...

    async def expired(self, now_us: int, limit: int) -> list[PackRow]:
        """Packs still `granted` whose grant ended before `now_us`."""
        ...

    async def forget(self, pack_ids: Sequence[PackId]) -> list[PackId]:
        """Removes rows of packs that never were done, and their copies. Which they were: only of these the objects are nobody's."""
        ...
