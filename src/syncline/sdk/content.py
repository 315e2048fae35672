"""What is in files: up in blocks of which the server lacks some, down verified block by block."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

from syncline.app.home import make_private
from syncline.app.remote_files import Found
from syncline.app.remote_get import download, stream
from syncline.app.remote_packs import Source, sources
from syncline.app.remote_put import Uploader
from syncline.model.entries import Kind
from syncline.model.errors import LimitExceeded, LocalIo, Unreadable
from syncline.model.ids import NamespaceId
from syncline.model.limits import MIB
from syncline.model.paths import check_name, split_path
from syncline.protocol.changes import Entry
from syncline.sdk.tree import AsyncTree
from syncline.sdk.values import Downloaded, Item, Meter, OnProgress, Uploaded

READ_MAX_BYTES: Final = 256 * MIB
FILES_AT_ONCE: Final = 8

LocalPath = str | os.PathLike[str]
_Wanted = tuple[NamespaceId, Entry, Path]


class AsyncContent(AsyncTree):
    """Local files are read and written by this machine's user; `LocalIo` and `Unreadable` say what the disk refused."""

    async def upload(self, local: LocalPath, remote: str, *, progress: OnProgress | None = None) -> Uploaded:
        """The file `local` at `remote`, or under its own name inside it where that is a folder or ends with `/`; a folder's whole
        content into the folder `remote`. A file that is there gets a new version, an equal one costs a question; folders on the way
        are made; nothing is deleted. Interrupted, or ended by an error? Do it again: only what is missing is sent. Raises
        `Unreadable`, `ChangedWhileRead`, `NotAFile`, `NotAFolder`, `Forbidden`, `QuotaExceeded`, `Overtaken`."""
        path = Path(local)
        exact = "/" + "/".join(split_path(remote))
        if remote.endswith("/") or (not path.is_dir() and await self._is_folder(remote)):
            exact = f"{exact.rstrip('/')}/{check_name(Path(os.path.abspath(path)).name)}"
        return await self.upload_all([(path, exact)], progress=progress)

    async def upload_all(self, files: Iterable[tuple[LocalPath, str]], *, progress: OnProgress | None = None) -> Uploaded:
        """Many local files and folders, each to its exact remote path; otherwise as `upload`. They become visible some hundreds of
        files, or a gibibyte, at a time."""
        left_out: list[Path] = []
        wanted = [(Path(local), remote) for local, remote in files]
        chosen, total_bytes = await asyncio.to_thread(_chosen, wanted, left_out)
        meter = Meter(len(chosen), total_bytes, progress)
        outcome = await Uploader(self._files, self._spooling(), self._chance, meter).put(chosen)
        return Uploaded(
            uploaded=outcome.uploaded,
            unchanged=outcome.unchanged,
            sent_blocks=outcome.sent_blocks,
            known_blocks=outcome.known_blocks,
            left_out=len(left_out),
        )

    async def upload_bytes(self, data: bytes | bytearray | memoryview, remote: str) -> Item:
        """`data` as the file at exactly `remote`: a new file, or a new version of the one there. Raises as `upload` does."""
        spool = self._spooling()
        path = spool / f"{os.getpid()}-{self._chance.token(8).hex()}.put"
        try:
            await asyncio.to_thread(_write, path, data)
            await Uploader(self._files, spool, self._chance).put([Source(path, "/" + "/".join(split_path(remote)))])
        finally:
            path.unlink(missing_ok=True)
        return await self.stat(remote)

    async def download(
        self, remote: str, local: LocalPath, *, replace: bool = False, progress: OnProgress | None = None
    ) -> Downloaded:
        """The file `remote` at `local`, or under its own name inside it where that is a folder; a folder's whole content into the
        folder `local`, which is made. A file appears whole and verified, or not at all. Interrupted? Do it again: what has arrived
        is kept. Other files in the way raise `AlreadyExists`, or go with `replace`. Raises `NotFound`, `LocalIo`, `ContentRaw`."""
        wanted = await self._wanted(await self._files.find(remote), Path(local))
        meter = Meter(len(wanted), sum(entry.size for _, entry, _ in wanted), progress)
        fresh = await self._download(wanted, replace, meter)
        return Downloaded(downloaded=fresh, unchanged=len(wanted) - fresh)

    async def read(self, remote: str, *, limit_bytes: int = READ_MAX_BYTES) -> bytes:
        """The content of a file. Raises `NotFound`, `NotAFile`, `ContentRaw`, and `LimitExceeded` for one that is larger than
        `limit_bytes`: those are for `stream`, or `download`."""
        found = await self._files.file(remote)
        if found.needed.size > limit_bytes:
            raise LimitExceeded(what=found.path, limit=limit_bytes)
        async with aclosing(stream(self._remote, found.namespace, found.needed)) as blocks:
            return b"".join([block async for block in blocks])

    async def stream(self, remote: str) -> AsyncGenerator[bytes, None]:
        """The content of a file in order, piece by piece (at most 16 MiB each), every piece verified. Raises `NotFound`,
        `NotAFile`, `ContentRaw`."""
        found = await self._files.file(remote)
        async with aclosing(stream(self._remote, found.namespace, found.needed)) as blocks:
            async for block in blocks:
                yield block

    # -- inside ----------------------------------------------------------------------------------------------------------

    async def _is_folder(self, remote: str) -> bool:
        found = await self._files.find_or_none(remote)
        return found is not None and found.is_folder

    async def _wanted(self, found: Found, local: Path) -> list[_Wanted]:
        """What to bring where; folders are made on the way."""
        if found.entry is not None and not found.is_folder:
            target = local / check_name(found.entry.name) if local.is_dir() else local
            if not target.parent.is_dir():
                raise LocalIo(path=str(target.parent), reason="there is no such folder")
            return [(found.namespace, found.entry, target)]
        _make_folder(local)
        wanted: list[_Wanted] = []
        async for path, namespace, entry in self._files.walk(found):
            place = local.joinpath(*map(check_name, path.split("/")))
            if entry.kind is Kind.DIR:
                _make_folder(place)
            else:
                wanted.append((namespace, entry, place))
        return wanted

    async def _download(self, wanted: list[_Wanted], replace: bool, meter: Meter) -> int:
        """How many were not here yet. The first error ends the others."""
        left = iter(wanted)
        workers = [asyncio.create_task(self._fetch(left, replace, meter)) for _ in range(min(FILES_AT_ONCE, len(wanted)))]
        try:
            return sum([await worker for worker in asyncio.as_completed(workers)])
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _fetch(self, left: Iterator[_Wanted], replace: bool, meter: Meter) -> int:
        fresh = 0
        for namespace, entry, target in left:
            fresh += await download(self._remote, namespace, entry, target, replace=replace, progress=meter)
        return fresh


def _chosen(wanted: Iterable[tuple[Path, str]], left_out: list[Path]) -> tuple[list[Source], int]:
    """Every file and folder to bring up, and the bytes of them all."""
    chosen = [source for local, remote in wanted for source in sources(local, remote, left_out)]
    total_bytes = 0
    for source in chosen:
        try:
            total_bytes += 0 if source.is_folder else source.local.stat().st_size
        except OSError as error:
            raise Unreadable(path=str(source.local), reason=error.strerror or str(error)) from error
    return chosen, total_bytes


def _write(path: Path, data: bytes | bytearray | memoryview) -> None:
    make_private(path.parent)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise LocalIo(path=str(path), reason=error.strerror or str(error)) from error


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalIo(path=str(path), reason=error.strerror or str(error)) from error
