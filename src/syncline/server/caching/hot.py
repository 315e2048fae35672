"""Hot metadata: pages of journals and trees, and long manifests, that many devices ask for at once.

After a commit in a shared folder every member reads the same page; at a first synchronization every device reads the same
snapshot. Laws: who may read is asked of the database before any of this, at every request. A page is kept under the chain that its
journal had before *and* after it was read, and used only while the database says that this is the chain now: equal chains are equal
histories, so a cache that is stale, wrong or gone changes no answer. A manifest is used only while the database has that very
revision. The journal itself says when pages of a namespace are of no more use: `moved`.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.ports.clock import Clock
from syncline.ports.metadata_store import JournalPage, MetadataStore, RevisionBlocks
from syncline.protocol.blocks import RevisionRef
from syncline.server.caching.sealed import SealedCache

PAGE_TTL_S: Final = 600
MANIFEST_TTL_S: Final = 3600
LONG_BLOCKS: Final = 32
"""Manifests below this are as quickly read from the database."""
_DIGEST_CHARS: Final = 64
_THREAD_ABOVE_BYTES: Final = 64 << 10
T = TypeVar("T")

Children = list[tuple[str, JournalEntry]]
_encoder: Final = msgspec.msgpack.Encoder()
_manifests: Final = msgspec.msgpack.Decoder(tuple[str, int, str, bytes, bytes])


class _Coder(Generic[T]):
    """An answer as bytes, and back."""

    def __init__(self, kind: Any) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)

    def encode(self, answer: T) -> bytes:
        return _encoder.encode(answer)

    def decode(self, value: bytes) -> T | None:
        """None for what another version of this program wrote."""
        try:
            answer: T = self._decoder.decode(value)
        except msgspec.DecodeError:
            return None
        return answer


_PAGES: Final[_Coder[JournalPage]] = _Coder(JournalPage)
_ENTRIES: Final[_Coder[list[JournalEntry]]] = _Coder(list[JournalEntry])
_CHILDREN: Final[_Coder[Children]] = _Coder(Children)


class HotMetadata:
    """Stands before the reading half of a metadata store."""

    def __init__(self, store: MetadataStore, cache: SealedCache, clock: Clock) -> None:
        self._store = store
        self._cache = cache
        self._clock = clock
        self._journal = store.journal
        self._live = store.live
        self._children = store.children
        self._revision_blocks = store.revision_blocks

    def stand_before(self, store: Any) -> None:
        """From now on whoever asks `store` for these asks here first."""
        for name in ("journal", "live", "children", "revision_blocks"):
            setattr(store, name, getattr(self, name))

    async def moved(self, namespace: NamespaceId) -> None:
        """Its journal has grown: what was kept of it is of no use to anybody."""
        await self._cache.forget(_tree(namespace))

    async def journal(self, namespace: NamespaceId, after: int, limit: int) -> JournalPage:
        return await self._page(namespace, f"j:{after}:{limit}", _PAGES, lambda: self._journal(namespace, after, limit))

    async def live(self, namespace: NamespaceId, after: NodeId | None, limit: int) -> list[JournalEntry]:
        return await self._page(namespace, f"l:{after or ''}:{limit}", _ENTRIES, lambda: self._live(namespace, after, limit))

    async def children(self, namespace: NamespaceId, folder: NodeId, after_key: str | None, limit: int) -> Children:
        name = f"c:{folder}:{limit}:{after_key or ''}"
        return await self._page(namespace, name, _CHILDREN, lambda: self._children(namespace, folder, after_key, limit))

    async def revision_blocks(self, namespace: NamespaceId, refs: Sequence[RevisionRef]) -> list[RevisionBlocks]:
        group = f"m:{namespace}"
        kept = await self._cache.get(group, [_of_ref(ref) for ref in refs])
        hits = [(ref, one.value) for ref, one in zip(refs, kept, strict=True) if one is not None]
        whole = await self._confirmed(namespace, hits)
        missing = [ref for ref in refs if _of_ref(ref) not in whole]
        read = await self._revision_blocks(namespace, missing) if missing else []
        for ref, one in zip(missing, read, strict=True):
            if one.blocks is not None and len(one.blocks) >= LONG_BLOCKS:
                await self._cache.put(group, _of_ref(ref), _packed(one), true_us=self._clock.now_us(), ttl_s=MANIFEST_TTL_S)
        rest = iter(read)
        return [whole[_of_ref(ref)] if _of_ref(ref) in whole else next(rest) for ref in refs]

    async def _confirmed(self, namespace: NamespaceId, hits: Sequence[tuple[RevisionRef, bytes]]) -> dict[str, RevisionBlocks]:
        """What was kept, as far as the database has those very revisions."""
        present = await self._store.revisions(namespace, [ref for ref, _ in hits]) if hits else []
        found = dict[str, RevisionBlocks]()
        for (ref, value), now in zip(hits, present, strict=True):
            large = len(value) > _THREAD_ABOVE_BYTES
            manifest = await asyncio.to_thread(_unpacked, value, now) if large else _unpacked(value, now)
            if manifest is not None:
                found[_of_ref(ref)] = manifest
        return found

    async def _page(self, namespace: NamespaceId, name: str, coder: _Coder[T], read: Callable[[], Awaitable[T]]) -> T:
        version = await self._store.version_of(namespace)
        if version is None:
            return await read()
        group, name = _tree(namespace), f"{version}:{name}"
        (kept,) = await self._cache.get(group, [name])
        if kept is not None and (page := coder.decode(kept.value)) is not None:
            return page
        fresh = await read()
        # What was committed while it was read may be in it, or in part of it.
        if await self._store.version_of(namespace) == version:
            await self._cache.put(group, name, coder.encode(fresh), true_us=self._clock.now_us(), ttl_s=PAGE_TTL_S)
        return fresh


def _tree(namespace: NamespaceId) -> str:
    return f"t:{namespace}"


def _of_ref(ref: RevisionRef) -> str:
    return f"{ref.node_id}:{ref.revision}"


def _packed(manifest: RevisionBlocks) -> bytes:
    assert manifest.blocks is not None
    hashes = bytes.fromhex("".join(block for block, _ in manifest.blocks))
    sizes = array("Q", [size for _, size in manifest.blocks]).tobytes()
    return _encoder.encode((manifest.content_hash, manifest.size, manifest.cut, hashes, sizes))


def _unpacked(value: bytes, present: RevisionBlocks) -> RevisionBlocks | None:
    """The manifest, if it is that of the revision which the database has at present."""
    try:
        content_hash, size, cut, hashes, packed = _manifests.decode(value)
    except msgspec.DecodeError:
        return None
    if present.blocks is None or (present.content_hash, present.size, present.cut) != (content_hash, size, cut):
        return None
    sizes, text = array("Q", packed), hashes.hex()
    if sum(sizes) != size or len(text) != len(sizes) * _DIGEST_CHARS:
        return None
    blocks = [
        (Digest(text[start : start + _DIGEST_CHARS]), length)
        for start, length in zip(range(0, len(text), _DIGEST_CHARS), sizes, strict=True)
    ]
    return replace(present, blocks=blocks)
