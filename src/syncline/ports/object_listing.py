"""What lies in an object store, counted and read back by checkers: beside `ports.object_store`, which serves requests."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class ListedObject(Struct, frozen=True, gc=False):
    key: str
    size: int


class ObjectListing(Protocol):
    async def listed(self, after: str, limit: int) -> list[ListedObject]:
        """Objects by key, those above `after`; whole ones only, never drafts. Raises `Unavailable`: a listing that failed is never
        an empty one."""
        ...

    async def size_of(self, key: str) -> int | None:
        """None when there is no such object. Reads none of its bytes. Raises `Unavailable`."""
        ...

    async def read(self, key: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes. Raises `NotFound`, `Corrupt` when the object is shorter, `Unavailable`."""
        ...
