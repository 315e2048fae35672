"""A shared cache as this server trusts it: not at all. Values are sealed under a key that only the server's processes have.

A value that was changed, invented, or put under another name or by another server opens as none; and nobody who reads the cache's
memory reads a name. What the seal cannot tell is age: a value bears when it was true, and its reader decides.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from syncline.ports.cache import Cache
from syncline.ports.clock import Chance

NONCE_BYTES: Final = 12
_TIME: Final = struct.Struct(">q")


class Kept(Struct, frozen=True):
    """`true_us` is when it was true, by the clock of the process that put it."""

    true_us: int
    value: bytes


class SealedCache:
    """`key` is a secret of 32 bytes for this purpose alone."""

    def __init__(self, cache: Cache, key: bytes, chance: Chance) -> None:
        self._cache = cache
        self._cipher = AESGCM(key)
        self._chance = chance

    async def get(self, group: str, names: Sequence[str]) -> list[Kept | None]:
        found = await self._cache.get(group, names)
        return [None if value is None else self._opened(group, name, value) for name, value in zip(names, found, strict=True)]

    async def put(self, group: str, name: str, value: bytes, *, true_us: int, ttl_s: int) -> None:
        nonce = self._chance.token(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, _TIME.pack(true_us) + value, _label(group, name))
        await self._cache.put(group, name, nonce + sealed, ttl_s)

    async def forget(self, group: str) -> None:
        await self._cache.forget(group)

    def _opened(self, group: str, name: str, value: bytes) -> Kept | None:
        try:
            plain = self._cipher.decrypt(value[:NONCE_BYTES], value[NONCE_BYTES:], _label(group, name))
        except (InvalidTag, ValueError):
            return None
        return Kept(_TIME.unpack_from(plain)[0], plain[_TIME.size :])


def _label(group: str, name: str) -> bytes:
    return f"{group}\0{name}".encode()
