"""Hashing local files whose content a decision needs, off the event loop, many small ones to a thread call."""

from __future__ import annotations

import asyncio
from collections import deque

from msgspec import Struct

from syncline.content.digest import Digester
from syncline.model.entries import Signature
from syncline.model.errors import ChangedWhileRead, LocalIo, SynclineError, Unreadable
from syncline.model.ids import Digest, NodeId
from syncline.model.limits import MIB
from syncline.ports.local_files import LocalFiles

READ_BYTES = MIB
BATCH_FILES = 64
BATCH_BYTES = 16 * MIB


class HashJob(Struct, frozen=True):
    node: NodeId
    path: str
    signature: Signature


class Hashed(Struct, frozen=True):
    """The content hash of a file that still had `signature` after it was read, or why there is none."""

    node: NodeId
    signature: Signature
    content_hash: Digest | None = None
    error: SynclineError | None = None


def hash_file(files: LocalFiles, path: str, signature: Signature) -> Digest:
    """SHA-256 of a file that has `signature` before and after it is read. Raises `ChangedWhileRead`, `Unreadable`, `LocalIo`."""
    try:
        with files.open_read(path) as file:
            if files.fstat_signature(file) != signature:
                raise ChangedWhileRead(path=path)
            digester = Digester()
            while data := file.read(READ_BYTES):
                digester.update(data)
            if files.fstat_signature(file) != signature:
                raise ChangedWhileRead(path=path)
    except FileNotFoundError:
        raise ChangedWhileRead(path=path) from None
    except PermissionError as error:
        raise Unreadable(path=path, reason=error.strerror or "permission denied") from error
    except OSError as error:
        raise LocalIo(path=path, reason=error.strerror or str(error)) from error
    return digester.digest()


class Hasher:
    """A queue of files to hash; `run` until cancelled."""

    def __init__(self, files: LocalFiles) -> None:
        self._files = files
        self._jobs: deque[HashJob] = deque()
        self._wake = asyncio.Event()
        self.results: asyncio.Queue[list[Hashed]] = asyncio.Queue()

    def submit(self, job: HashJob) -> None:
        self._jobs.append(job)
        self._wake.set()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            while batch := self._next_batch():
                await self.results.put(await asyncio.to_thread(self._hash, batch))
            await self._wake.wait()

    def _next_batch(self) -> list[HashJob]:
        batch: list[HashJob] = []
        size = 0
        while self._jobs and len(batch) < BATCH_FILES and size < BATCH_BYTES:
            job = self._jobs.popleft()
            batch.append(job)
            size += job.signature.size
        return batch

    def _hash(self, batch: list[HashJob]) -> list[Hashed]:
        done: list[Hashed] = []
        for job in batch:
            try:
                content_hash = hash_file(self._files, job.path, job.signature)
                done.append(Hashed(job.node, job.signature, content_hash))
            except SynclineError as error:
                done.append(Hashed(job.node, job.signature, None, error))
        return done
