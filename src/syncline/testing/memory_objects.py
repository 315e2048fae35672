"""An object store in memory: `ports.object_store.ObjectStore`, the door behind its presigned requests, and what can go wrong in it.

The requests are signed and judged as the disk store's are (`adapters/objects/signing.py`), so altered and expired ones are refused;
the door answers with what a device makes of a store's answer (`ports/remote.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from msgspec import Struct

from syncline.adapters.objects.keys import drawn_key
from syncline.adapters.objects.signing import PREFIX, UrlSigner, answer_parameters, checksum_digest, put_headers
from syncline.model.errors import AlreadyExists, ChecksumMismatch, Corrupt, CorruptPack, NotFound
from syncline.model.ids import Digest
from syncline.ports.clock import Chance, Clock
from syncline.ports.object_store import ObjectStat
from syncline.protocol.blocks import SignedRequest

_SECRET: Final = b"objects in memory have no secret"
Stored = Callable[[str, int, Digest], Awaitable[bool]]


class _Object(Struct, frozen=True):
    """Its bytes now, their SHA-256, and the one they came with."""

    data: bytes
    sha256: Digest
    announced: Digest


class MemoryObjects:
    """`stored`, if any, is told of each object that arrived, with key, size and SHA-256, and drops it again with False: the disk
    store's door does so, others cannot. `remembers` makes `head` tell the checksum an object came with, as such stores do,
    instead of the one it has."""

    def __init__(self, clock: Clock, *, stored: Stored | None = None, remembers: bool = False) -> None:
        self._signer = UrlSigner(_SECRET, clock)
        self._stored = stored
        self._remembers = remembers
        self._objects: dict[str, _Object] = {}
        self._hidden: set[str] = set()

    # -- ports.object_store --------------------------------------------------------------------------------------------------

    def fresh_key(self, chance: Chance) -> str:
        return drawn_key(chance)

    def presign_put(self, key: str, *, size: int, sha256: Digest, ttl_s: int) -> SignedRequest:
        return self._signer.sign("PUT", key, put_headers(size, sha256), ttl_s)

    def presign_get(self, key: str, *, ttl_s: int, answer: Mapping[str, str] | None = None) -> SignedRequest:
        return self._signer.sign("GET", key, {}, ttl_s, answer_parameters(answer))

    async def head(self, key: str) -> ObjectStat | None:
        found = self._visible(key)
        if found is None:
            return None
        return ObjectStat(len(found.data), found.announced if self._remembers else found.sha256)

    async def read(self, key: str, offset: int, length: int) -> bytes:
        content = self._found(key).data[offset : offset + length]
        if len(content) != length:
            raise Corrupt(what="An object", reason="it is shorter than it should be")
        return content

    async def remove(self, key: str) -> None:
        self._objects.pop(key, None)

    async def write(self, key: str, data: bytes) -> None:
        if key in self._objects:
            raise AlreadyExists(what="This object")
        sha256 = Digest(hashlib.sha256(data).hexdigest())
        self._objects[key] = _Object(bytes(data), sha256, sha256)

    # -- The door ------------------------------------------------------------------------------------------------------------

    async def put(self, request: SignedRequest, data: bytes) -> None:
        """Stores an object. Raises `AlreadyExists` (a device takes it for success), `ChecksumMismatch` for other bytes than those
        announced, `Forbidden` for a request that was altered or has expired, `NotFound` when nobody asked for it (`stored`)."""
        key = self._verified("PUT", request)
        size = int(request.headers["content-length"])
        sha256 = checksum_digest(request.headers["x-amz-checksum-sha256"])
        if key in self._objects:
            raise AlreadyExists(what="This object")
        if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
            raise ChecksumMismatch()
        self._objects[key] = _Object(bytes(data), sha256, sha256)
        if self._stored is not None and not await self._stored(key, size, sha256):
            await self.remove(key)
            raise NotFound(what="The grant of this object")

    async def get(self, request: SignedRequest, offset: int, length: int) -> bytes:
        """Exactly `length` bytes. Raises `Forbidden` as `put` does, `NotFound`, `CorruptPack` when the object is shorter."""
        content = self._found(self._verified("GET", request)).data[offset : offset + length]
        if len(content) != length:
            raise CorruptPack(reason=f"{len(content)} of {length} bytes came")
        return content

    # -- What can go wrong -----------------------------------------------------------------------------------------------------

    def lose(self, key: str) -> None:
        """What was stored is gone."""
        del self._objects[key]

    def corrupt(self, key: str, at: int) -> None:
        """The byte at `at` is another one now."""
        found = self._objects[key]
        data = bytearray(found.data)
        data[at] ^= 0xFF
        self._objects[key] = _Object(bytes(data), Digest(hashlib.sha256(data).hexdigest()), found.announced)

    def hide(self, key: str) -> None:
        """Neither `head` nor reading finds it until `show`, be it stored already or not yet; storing it again does."""
        self._hidden.add(key)

    def show(self, key: str) -> None:
        self._hidden.discard(key)

    @property
    def keys(self) -> list[str]:
        """Of everything stored, in the order in which it came."""
        return list(self._objects)

    def snapshot(self) -> object:
        return self._objects.copy()

    def restore(self, snapshot: object) -> None:
        """Puts a backup back, as often as one likes."""
        assert isinstance(snapshot, dict)
        self._objects = snapshot.copy()

    def _verified(self, method: str, request: SignedRequest) -> str:
        """The key of a request that was signed here and holds."""
        path, _, query = request.url.partition("?")
        key = path.removeprefix(PREFIX)
        self._signer.verify(method, key, query.encode(), request.headers)
        return key

    def _visible(self, key: str) -> _Object | None:
        return None if key in self._hidden else self._objects.get(key)

    def _found(self, key: str) -> _Object:
        found = self._visible(key)
        if found is None:
            raise NotFound(what="This object")
        return found
