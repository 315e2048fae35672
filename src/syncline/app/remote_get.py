"""Downloading a remote file without a synced folder: blocks in order, verified, with a little read-ahead; resumable.

A file under way is `.NAME.HASH.part` beside its target, HASH being the revision's: what lies in it is verified block by block
before it is gone on with, so neither a crash nor another revision can leave a wrong byte.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

from syncline.content.digest import Digester, digest
from syncline.content.runs import open_run, runs, span
from syncline.model.errors import AlreadyExists, ContentRaw, Corrupt, Forbidden, LocalIo, NotFound, Unavailable
from syncline.model.ids import NamespaceId
from syncline.model.limits import LARGE_BLOCK_MAX_BYTES, MIB
from syncline.model.paths import check_name
from syncline.ports.remote import Remote
from syncline.protocol.blocks import PackSource, RevisionRef, StoredBlock
from syncline.protocol.changes import Entry, to_us

RANGE_MAX_BYTES: Final = LARGE_BLOCK_MAX_BYTES
"""Plain bytes one ranged read may bring: neighbours travel together."""
AHEAD: Final = 4
RENEWALS_MAX: Final = 3
"""Times in a row that expired URLs are asked for anew without a byte in between."""

Progress = Callable[[int], None]


class _Range(Struct, frozen=True):
    """Blocks that lie one behind the other in one pack."""

    source: PackSource
    blocks: list[StoredBlock]


async def stream(remote: Remote, namespace: NamespaceId, entry: Entry, first_block: int = 0) -> AsyncGenerator[bytes, None]:
    """The verified blocks of a file's revision, from block number `first_block` on."""
    at, renewals = first_block, 0
    while True:
        try:
            async with aclosing(_stream(remote, namespace, entry, at)) as blocks:
                async for block in blocks:
                    at, renewals = at + 1, 0
                    yield block
            return
        except Forbidden:
            # The URLs have expired on the way: ask for fresh ones from here on.
            renewals += 1
            if renewals > RENEWALS_MAX:
                raise


async def _stream(remote: Remote, namespace: NamespaceId, entry: Entry, first_block: int) -> AsyncGenerator[bytes, None]:
    under_way: deque[asyncio.Task[list[bytes]]] = deque()
    try:
        async with aclosing(_ranges(remote, namespace, entry, first_block)) as ranges:
            async for piece in ranges:
                under_way.append(asyncio.create_task(_read(remote, piece)))
                if len(under_way) >= AHEAD:
                    for block in await under_way.popleft():
                        yield block
        while under_way:
            for block in await under_way.popleft():
                yield block
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _ranges(remote: Remote, namespace: NamespaceId, entry: Entry, first_block: int) -> AsyncGenerator[_Range, None]:
    at: int | None = first_block
    while at is not None:
        answer = await remote.manifests(namespace, [RevisionRef(node_id=entry.node_id, revision=entry.revision, from_block=at)])
        if not answer.manifests:
            raise Unavailable(what="The manifest of the file")
        manifest = answer.manifests[0]
        if manifest.error == ContentRaw.code:
            raise ContentRaw
        if manifest.error is not None:
            raise NotFound(what=f"The content of {entry.name} ({manifest.error})")
        for piece in runs(manifest.blocks, RANGE_MAX_BYTES):
            yield _Range(answer.packs[piece[0].pack], piece)
        at = manifest.next_block


async def _read(remote: Remote, piece: _Range) -> list[bytes]:
    sealed = await remote.read_object(piece.source.get, *span(piece.blocks))
    return await asyncio.to_thread(open_run, sealed, piece.blocks)


async def download(
    remote: Remote, namespace: NamespaceId, entry: Entry, target: Path, *, replace: bool, progress: Progress = lambda _: None
) -> bool:
    """The file at `target`, whole and durable; False when it was there already, byte for byte. Raises `AlreadyExists` where
    another file is and `replace` was not given, `LocalIo`."""
    check_name(entry.name)
    if await asyncio.to_thread(_is_there, target, entry):
        progress(entry.size)
        return False
    if os.path.lexists(target) and not replace:
        raise AlreadyExists(what=str(target))
    part = target.with_name(f".{target.name[:150]}.{(entry.content_hash or '')[:16]}.part")
    try:
        with part.open("r+b" if part.exists() else "x+b") as file:
            await _fill(remote, namespace, entry, file, progress)
            await asyncio.to_thread(_finish, file, entry)
        if not replace and os.path.lexists(target):
            raise AlreadyExists(what=str(target))
        part.replace(target)
    except OSError as error:
        raise LocalIo(path=str(error.filename or target), reason=error.strerror or str(error)) from error
    return True


def _is_there(target: Path, entry: Entry) -> bool:
    if target.is_symlink() or not target.is_file() or target.stat().st_size != entry.size:
        return False
    whole = Digester()
    with target.open("rb", buffering=0) as file:
        while piece := file.read(MIB):
            whole.update(piece)
    return whole.digest() == entry.content_hash


async def _fill(remote: Remote, namespace: NamespaceId, entry: Entry, file: BinaryIO, progress: Progress) -> None:
    whole = Digester()
    kept = await _resume(remote, namespace, entry, file, whole, progress)
    async with aclosing(stream(remote, namespace, entry, kept)) as blocks:
        async for block in blocks:
            await asyncio.to_thread(_append, file, whole, block)
            progress(len(block))
    if file.tell() != entry.size or whole.digest() != entry.content_hash:
        file.truncate(0)
        raise Corrupt(what=entry.name, reason="its blocks do not make up the file that was promised")


def _append(file: BinaryIO, whole: Digester, block: bytes) -> None:
    file.write(block)
    whole.update(block)


async def _resume(remote: Remote, namespace: NamespaceId, entry: Entry, file: BinaryIO, whole: Digester, progress: Progress) -> int:
    """How many blocks of the part file are good. The first bad or incomplete one and all behind it are cut off."""
    kept, good = 0, 0
    if file.seek(0, os.SEEK_END):
        file.seek(0)
        async with aclosing(_ranges(remote, namespace, entry, 0)) as ranges:
            async for piece in ranges:
                count, size = await asyncio.to_thread(_verified, file, piece.blocks, whole)
                kept, good = kept + count, good + size
                progress(size)
                if count < len(piece.blocks):
                    break
    file.seek(good)
    file.truncate(good)
    return kept


def _verified(file: BinaryIO, blocks: list[StoredBlock], whole: Digester) -> tuple[int, int]:
    count = size = 0
    for block in blocks:
        data = file.read(block.size)
        if len(data) != block.size or digest(data) != block.hash:
            break
        whole.update(data)
        count, size = count + 1, size + block.size
    return count, size


def _finish(file: BinaryIO, entry: Entry) -> None:
    mask = os.umask(0)
    os.umask(mask)
    os.fchmod(file.fileno(), (0o777 if entry.executable else 0o666) & ~mask)
    file.flush()
    time_ns = to_us(entry.mtime) * 1000
    os.utime(file.fileno(), ns=(time_ns, time_ns))
    os.fsync(file.fileno())
