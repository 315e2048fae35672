"""Hashing local files whose content a decision needs, off the event loop, many small ones to a thread call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from syncline.client.local_errors import reading_error
from syncline.content.digest import Digester
from syncline.model.entries import Signature
from syncline.model.errors import ChangedWhileRead, SynclineError
from syncline.model.ids import Digest, NodeId
from syncline.model.limits import MIB
from syncline.ports.local_files import LocalFiles

READ_BYTES: Final = MIB
BATCH_FILES: Final = 64
BATCH_BYTES: Final = 16 * MIB


class HashJob(Struct, frozen=True):
    """`racy` says that the signature was too young, when the file was given to be read, to tell a later write."""

    node: NodeId
    path: str
    signature: Signature
    racy: bool = False


class Hashed(Struct, frozen=True):
    """The content hash of a file that still had `signature` after it was read, or why there is none. If `racy`, a write since may
    have left the signature as it is."""

    node: NodeId
    signature: Signature
    content_hash: Digest | None = None
    error: SynclineError | None = None
    racy: bool = False


def hash_file(
    files: LocalFiles,
    path: str,
    signature: Signature,
    is_over: Callable[[], bool] = bool,
    passed: Callable[[int], None] = lambda _: None,
) -> Digest:
    """SHA-256 of a file that has `signature` before and after it is read. `is_over` ends the reading of a long one early; `passed`
    is told how many bytes each step read. Raises `ChangedWhileRead` (also when it is over), `Unreadable`, `LocalIo`."""
    try:
        with files.open_read(path) as file:
            if files.fstat_signature(file) != signature:
                raise ChangedWhileRead(path=path)
            digester = Digester()
            while not is_over() and (data := file.read(READ_BYTES)):
                digester.update(data)
                passed(len(data))
            if is_over() or files.fstat_signature(file) != signature:
                raise ChangedWhileRead(path=path)
    except OSError as error:
        raise reading_error(error, path) from error
    return digester.digest()


class Hasher:
    """A queue of files to hash; `run` until cancelled."""

    def __init__(self, files: LocalFiles) -> None:
        self._files = files
        self._jobs: deque[HashJob] = deque()
        self._wake = asyncio.Event()
        self._is_over = False
        self.results: asyncio.Queue[list[Hashed]] = asyncio.Queue()

    def submit(self, job: HashJob) -> None:
        self._jobs.append(job)
        self._wake.set()

    async def run(self) -> None:
        self._is_over = False
        try:
            while True:
                self._wake.clear()
                while batch := self._next_batch():
                    await self.results.put(await asyncio.to_thread(self._hash, batch))
                await self._wake.wait()
        finally:
            # A thread cannot be cancelled, and the process ends only when it has: a film must not hold that up.
            self._is_over = True

    def _next_batch(self) -> list[HashJob]:
        batch: list[HashJob] = []
        size = 0
        while self._jobs and len(batch) < BATCH_FILES and size < BATCH_BYTES:
            job = self._jobs.popleft()
            batch.append(job)
            size += job.signature.size
        return batch

    def hash_now(self, jobs: list[HashJob]) -> list[Hashed]:
        """For who looks without an engine that runs. Blocking."""
        self._is_over = False
        return self._hash(jobs)

    def _hash(self, batch: list[HashJob]) -> list[Hashed]:
        done: list[Hashed] = []
        for job in batch:
            try:
                content_hash = hash_file(self._files, job.path, job.signature, lambda: self._is_over)
                done.append(Hashed(job.node, job.signature, content_hash, racy=job.racy))
            except SynclineError as error:
                done.append(Hashed(job.node, job.signature, None, error))
        return done
