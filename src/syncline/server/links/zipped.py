"""A linked folder as one ZIP file, made while it is sent: stored as it is, ZIP64 where sizes ask for it, in constant memory.

What is in it is listed first (at most `LINK_ZIP_FILES_MAX` entries); each file is then the revision that was seen, so the archive
is one look at the folder, whatever happens meanwhile. Sizes and checksums follow the bytes (data descriptors), which every
program reads that reads the directory at the end.
"""

from __future__ import annotations

import asyncio
import zipfile
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import IO, Any, Final, cast

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.errors import LimitExceeded, TooBusy
from syncline.model.ids import LinkId, NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.model.limits import BATCH_MAX, DEPTH_MAX, KIB, LINK_ZIP_FILES_MAX, LINK_ZIPS_AT_ONCE
from syncline.ports.metadata_store import MetadataStore
from syncline.server.content.downloads import Downloads
from syncline.server.links.public import Look
from syncline.server.links.tokens import no_such_link

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_YEAR: Final = 1980
_LAST_YEAR: Final = 2107
_THREAD_ABOVE_BYTES: Final = 64 * KIB
_ZIP64_ABOVE_BYTES: Final = zipfile.ZIP64_LIMIT


class Member(Struct, frozen=True):
    """A file or folder of an archive; `path` begins with the archive's one folder."""

    path: str
    entry: JournalEntry


class Zips:
    """Archives of linked folders, at most `LINK_ZIPS_AT_ONCE` under way, and half of them for one link."""

    def __init__(self, store: MetadataStore, downloads: Downloads) -> None:
        self._store = store
        self._downloads = downloads
        self._open: Counter[LinkId] = Counter()

    async def members(self, look: Look) -> list[Member]:
        """What the archive will hold. Raises `NotFound` for a file, `LimitExceeded`."""
        if not look.is_folder:
            raise no_such_link()
        return await members(self._store, look.visit.namespace, look.node, name_of(look))

    async def stream(self, look: Look, found: list[Member]) -> AsyncGenerator[bytes, None]:
        """The archive's bytes, in pieces. Raises `TooBusy`, `NotFound`, `Corrupt`, `Unavailable`."""
        link = look.visit.link.id
        if self._open.total() >= LINK_ZIPS_AT_ONCE or self._open[link] >= LINK_ZIPS_AT_ONCE // 2:
            raise TooBusy(retry_after=5)
        self._open[link] += 1
        try:
            async with aclosing(zipped(self._downloads, look.visit.namespace, found)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self._open[link] -= 1
            if not self._open[link]:
                del self._open[link]


def name_of(look: Look) -> str:
    """What the archive and the folder in it are called."""
    return (look.entry.name if look.entry is not None else look.visit.name) or "files"


async def members(store: MetadataStore, namespace: NamespaceId, folder: NodeId, name: str) -> list[Member]:
    """Everything below `folder`, folders before what is in them; mounted shared folders are left out. Raises `LimitExceeded`."""
    found: list[Member] = []
    waiting = [(folder, name, 0)]
    while waiting:
        parent, path, depth = waiting.pop()
        after: str | None = None
        while True:
            page = await store.children(namespace, parent, after, BATCH_MAX)
            for _, entry in page:
                if entry.mount:
                    continue
                if len(found) >= LINK_ZIP_FILES_MAX:
                    raise LimitExceeded(what="The number of files in one archive", limit=LINK_ZIP_FILES_MAX)
                found.append(Member(f"{path}/{entry.name}", entry))
                if entry.kind is Kind.DIR and depth < DEPTH_MAX:
                    waiting.append((entry.node_id, found[-1].path, depth + 1))
            if len(page) < BATCH_MAX:
                break
            after = page[-1][0]
    return found


async def zipped(downloads: Downloads, namespace: NamespaceId, found: list[Member]) -> AsyncGenerator[bytes, None]:
    """The archive's bytes, in pieces."""
    sink = _Sink()
    archive = zipfile.ZipFile(cast(IO[bytes], sink), "w", zipfile.ZIP_STORED, allowZip64=True)
    for member in found:
        entry = member.entry
        info = _info(member)
        if entry.kind is Kind.DIR:
            archive.writestr(info, b"")
            continue
        content = await downloads.content(namespace, entry.node_id, entry.revision)
        info.file_size = content.size
        with archive.open(info, "w", force_zip64=content.size >= _ZIP64_ABOVE_BYTES) as file:
            async with aclosing(downloads.stream(content, 0, content.size)) as pieces:
                async for piece in pieces:
                    await _write(file, piece)
                    for part in sink.taken():
                        yield part
        for part in sink.taken():
            yield part
    archive.close()
    for part in sink.taken():
        yield part


async def _write(file: Any, piece: memoryview) -> None:
    """Writing sums up a checksum: large pieces are worked on in a thread."""
    if len(piece) > _THREAD_ABOVE_BYTES:
        await asyncio.to_thread(file.write, piece)
    else:
        file.write(piece)


class _Sink:
    """A file that cannot be sought in and keeps what was written until it is taken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes | memoryview) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces


def _info(member: Member) -> zipfile.ZipInfo:
    entry = member.entry
    is_dir = entry.kind is Kind.DIR
    time = _EPOCH + timedelta(microseconds=entry.time_us if is_dir else entry.mtime_us)
    stamp = (min(max(time.year, _FIRST_YEAR), _LAST_YEAR), time.month, time.day, time.hour, time.minute, time.second)
    info = zipfile.ZipInfo(member.path + ("/" if is_dir else ""), stamp)
    info.create_system = 3
    info.external_attr = (0o40755 << 16 | 0x10) if is_dir else ((0o100755 if entry.executable else 0o100644) << 16)
    return info
