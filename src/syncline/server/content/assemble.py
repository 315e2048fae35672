"""Assembling: the bytes of a stored revision, or of a part of it, block by block, verified, in constant memory.

Neighbours in a pack come in one ranged read of at most `RUN_MAX_BYTES`; `AHEAD` reads are under way while the one before them is
handed on, and no more are begun until it was taken. The block list is read a page at a time. A block that is not what its name says
ends the stream: what was handed on before it is right, and it is never handed on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Final

from msgspec import Struct

from syncline.content.runs import open_run, runs, span
from syncline.content.seal import block_key
from syncline.model.blocks import Block
from syncline.model.errors import Corrupt
from syncline.model.ids import Digest
from syncline.model.limits import MIB
from syncline.ports.content_store import Content, ContentStore
from syncline.ports.kms import KeyWrapper
from syncline.ports.object_store import ObjectStore
from syncline.ports.pack_store import PackStore

RUN_MAX_BYTES: Final = 4 * MIB
"""Plain bytes that one read of a pack brings, unless a single block is larger."""
AHEAD: Final = 2
PAGE_BLOCKS: Final = 1000


class _Placed(Struct, frozen=True, kw_only=True, gc=False):
    """A block and where to read it; `pack` is the key of the pack's object. Implements `content.runs.Lying`."""

    hash: Digest
    size: int
    pack: str
    offset: int
    length: int
    key: bytes


class Assembler:
    def __init__(self, contents: ContentStore, packs: PackStore, objects: ObjectStore, keys: KeyWrapper) -> None:
        self._contents = contents
        self._packs = packs
        self._objects = objects
        self._keys = keys

    async def stream(self, content: Content, start: int, end: int) -> AsyncGenerator[memoryview, None]:
        """Bytes `[start, end)`, in pieces. Raises `Corrupt`, `NotFound`, `Unavailable`."""
        source = self._raw(content.raw_key, start, end) if content.raw_key is not None else self._reads(content, start, end)
        async with aclosing(_ahead(source)) as pieces:
            async for piece in pieces:
                yield piece

    async def _raw(self, key: str, start: int, end: int) -> AsyncGenerator[_Read, None]:
        while start < end:
            length = min(RUN_MAX_BYTES, end - start)
            yield self._read_raw(key, start, length)
            start += length

    async def _read_raw(self, key: str, start: int, length: int) -> list[memoryview]:
        return [memoryview(await self._objects.read(key, start, length))]

    async def _reads(self, content: Content, start: int, end: int) -> AsyncGenerator[_Read, None]:
        """The reads that bring the range, in order; each gives its part of it."""
        index, at = await self._contents.locate(content, start)
        while at < end:
            page = await self._contents.blocks(content, index, PAGE_BLOCKS)
            if not page:
                raise Corrupt(what="The content of this file", reason="its blocks end before it does")
            index += len(page)
            for run in runs(await self._placed(content, _until(page, end - at)), RUN_MAX_BYTES):
                size = sum(block.size for block in run)
                yield self._read_run(run, max(0, start - at), min(size, end - at))
                at += size

    async def _placed(self, content: Content, blocks: Sequence[Block]) -> list[_Placed]:
        copies = {copy.hash: copy for copy in await self._packs.copies(content.namespace, list({block.hash for block in blocks}))}
        rows = {row.id: row for row in await self._packs.packs(list({copy.pack for copy in copies.values()}))}
        keys = {row.id: self._keys.unwrap(row.wrapped_key) for row in rows.values()}
        placed = list[_Placed]()
        for block in blocks:
            copy = copies.get(block.hash)
            if copy is None or copy.pack not in rows:
                raise Corrupt(what="The content of this file", reason="one of its blocks is not stored")
            placed.append(
                _Placed(
                    hash=block.hash,
                    size=block.size,
                    pack=rows[copy.pack].object_key,
                    offset=copy.offset,
                    length=copy.length,
                    key=block_key(keys[copy.pack], block.hash),
                )
            )
        return placed

    async def _read_run(self, run: Sequence[_Placed], skip: int, end: int) -> list[memoryview]:
        """Bytes `[skip, end)` of a run's plain bytes."""
        offset, length = span(run)
        sealed = await self._objects.read(run[0].pack, offset, length)
        plain = await asyncio.to_thread(open_run, sealed, run)
        pieces, at = list[memoryview](), 0
        for block in plain:
            piece = memoryview(block)[max(0, skip - at) : max(0, end - at)]
            if piece:
                pieces.append(piece)
            at += len(block)
        return pieces


_Read = Coroutine[Any, Any, list[memoryview]]


async def _ahead(reads: AsyncGenerator[_Read, None]) -> AsyncGenerator[memoryview, None]:
    """The pieces of all reads in order; `AHEAD` reads are under way while those of the one before them are handed on."""
    under_way: deque[asyncio.Task[list[memoryview]]] = deque()
    more = True
    try:
        async with aclosing(reads):
            while True:
                while more and len(under_way) <= AHEAD:
                    read = await anext(reads, None)
                    more = read is not None
                    if read is not None:
                        under_way.append(asyncio.create_task(read))
                if not under_way:
                    return
                pieces = deque(await under_way[0])
                under_way.popleft()
                while pieces:
                    # Each is let go as it is handed on.
                    yield pieces.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def _until(blocks: Sequence[Block], size: int) -> list[Block]:
    """Those of `blocks` that begin before byte `size`."""
    taken = list[Block]()
    for block in blocks:
        if size <= 0:
            break
        taken.append(block)
        size -= block.size
    return taken
