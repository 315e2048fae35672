"""A device for tests of the transfer rooms: a real folder, a real state file, and a server's content half in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from syncline.adapters.disk.files import LinuxFiles
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.state.sqlite import SqliteTreeStore
from syncline.client.receive.fetched import Fetched, FetchFailed, Wanted
from syncline.client.receive.receiver import Receiver
from syncline.client.send.jobs import Prepared, SendFailed, SendJob
from syncline.client.send.sender import Sender
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.ports.clock import Ids
from syncline.testing.content_remote import ContentRemote

HOME = NamespaceId("01ARZ3NDEKTSV4RRFFQ69G5FAV")


class Device:
    def __init__(self, folder: Path, remote: ContentRemote) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.root.mkdir(parents=True)
        self.spool = folder / "spool"
        self.files: Any = LinuxFiles(self.root)
        self.store = SqliteTreeStore(folder / "state.db")
        self.remote: Any = remote
        self.ids = Ids(MachineClock(), MachineChance())
        self.located: dict[Digest, str] = {}

    def write(self, path: str, data: bytes, **options: Any) -> SendJob:
        """Puts a file in place; the job that sends it."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(data)
        return self.job(path, **options)

    def job(self, path: str, **options: Any) -> SendJob:
        signature = self.files.stat(path).signature
        node = NodeId(options.pop("node", None) or self.ids.fresh())
        return SendJob(node=node, namespace=HOME, path=path, signature=signature, size=signature.size, **options)

    def sender(self, knows: Callable[[Digest], bool] = lambda _: False) -> Sender:
        return Sender(self.files, self.remote, self.store, self.spool, MachineClock(), MachineChance(), knows)

    def receiver(self) -> Receiver:
        def locate(content: Digest) -> Any:
            path = self.located.get(content)
            return None if path is None else (path, self.files.stat(path).signature)

        return Receiver(self.files, self.remote, self.store, MachineClock(), MachineChance(), locate)

    async def send(self, *jobs: SendJob, sender: Sender | None = None) -> dict[NodeId, Prepared | SendFailed]:
        """Sends these files; every result, by node."""
        sender = sender or self.sender()
        async with running(sender.run):
            for job in jobs:
                await sender.submit(job)
            results = {}
            while len(results) < len(jobs):
                result = await asyncio.wait_for(sender.results.get(), 20)
                assert result.node not in results, "two results for one job"
                results[result.node] = result
            assert sender.pending == (0, 0)
        return results

    async def send_one(self, job: SendJob, sender: Sender | None = None) -> Prepared:
        result = (await self.send(job, sender=sender))[job.node]
        assert isinstance(result, Prepared), result
        return result

    def publish(self, results: Iterable[Prepared], *, revision: int = 1) -> list[Wanted]:
        """What commits would have made of them; how another device asks for them."""
        wanted = []
        for done in results:
            self.remote.add_revision(HOME, done.node, revision, done.manifest)
            wanted.append(
                Wanted(
                    node=done.node,
                    namespace=HOME,
                    revision=revision,
                    content_hash=done.content_hash,
                    size=done.size,
                    executable=False,
                    mtime_us=1_600_000_000_000_000,
                )
            )
        return wanted

    async def receive(self, wanted: Sequence[Wanted], receiver: Receiver | None = None) -> dict[NodeId, Fetched | FetchFailed]:
        receiver = receiver or self.receiver()
        async with running(receiver.run):
            await receiver.submit(wanted)
            results: dict[NodeId, Fetched | FetchFailed] = {}
            while len(results) < len(wanted):
                for result in await asyncio.wait_for(receiver.results.get(), 20):
                    assert result.node not in results, "two results for one node"
                    results[result.node] = result
            assert receiver.pending == (0, 0)
        return results

    def bytes_of(self, fetched: Fetched | FetchFailed) -> bytes:
        assert isinstance(fetched, Fetched), fetched
        return (self.root / fetched.temp_path).read_bytes()

    def spooled(self) -> list[str]:
        return sorted(entry.name for entry in self.spool.iterdir()) if self.spool.exists() else []


@asynccontextmanager
async def running(work: Callable[[], Any]) -> AsyncIterator[asyncio.Task[None]]:
    """The pipeline runs; a fault in it fails the test rather than hanging it."""
    task = asyncio.create_task(work())
    watch = asyncio.current_task()
    assert watch is not None
    task.add_done_callback(lambda done: watch.cancel() if not done.cancelled() and done.exception() else None)
    try:
        yield task
    finally:
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        if isinstance(outcome, Exception):
            raise outcome
