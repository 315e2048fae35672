"""A device's line to the simulated server: `ports.remote.Remote` with everything a network does to requests and answers.

A request takes time each way. It may be refused, lost on its way there or back, served twice, or answered by a server that is too
busy; the device itself may die before it left or after it was answered. What the HTTP client repeats by itself is repeated here by
the same rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final, TypeVar

from syncline.adapters.http.retry import REFUSED, SILENT, Backoff
from syncline.model.errors import AlreadyExists, Forbidden, SynclineError, TooBusy, Unauthenticated, Unavailable
from syncline.model.ids import DeviceId, Digest, NamespaceId, NodeId, PackId
from syncline.ports.remote import Traffic
from syncline.protocol.blocks import (
    DoneAnswer,
    DoneRequest,
    GrantAnswer,
    GrantRequest,
    ManifestsAnswer,
    ManifestsRequest,
    MissingRequest,
    PackOffer,
    RevisionRef,
    SignedRequest,
)
from syncline.protocol.changes import ChangesPage, LatestAnswer, PollAnswer, PollRequest, SnapshotPage
from syncline.protocol.commits import CommitAnswer, CommitRequest
from syncline.protocol.sessions import Devices, Me, Namespaces
from syncline.protocol.tree import ChildrenPage, Metadata, Versions
from syncline.server.caller import Caller
from syncline.testing.faulty import Crash
from syncline.testing.sim.faults import Faults
from syncline.testing.sim.ground import SimChance
from syncline.testing.sim.server import Rooms, SimServer

KINDS: Final = (
    "refused",
    "request lost",
    "answer lost",
    "twice",
    "late",
    "busy",
    "broken",
    "crash before",
    "crash after",
)
LATENCY_S: Final = 0.03
LATE_S: Final = 20.0
T = TypeVar("T")


class SimRemote:
    """`up` False is a pulled cable. `crash` kills the device. `pages` bounds pages, so that small trees have several."""

    def __init__(
        self, server: SimServer, caller: Caller, faults: Faults, name: str, rng: Random, crash: Callable[[], None], *, page: int
    ) -> None:
        self.traffic = Traffic()
        self.up = True
        self.session_ended = False
        self.refusals: list[str] = []
        """Codes of the server's refusals."""
        self._server = server
        self._caller = caller
        self._faults = faults
        self._name = name
        self._rng = rng
        self._crash = crash
        self._page = page
        self._backoff = Backoff(SimChance(rng))

    async def _ask(self, site: str, work: Callable[[Rooms], Awaitable[T]]) -> T:
        return await self._backoff.run(lambda: self._attempt(site, work))

    async def _attempt(self, site: str, work: Callable[[Rooms], Awaitable[T]]) -> T:
        self.traffic.requests += 1
        fault = self._faults.at(self._name, f"net.{site}", KINDS)
        if fault == "crash before":
            self._die()
        await asyncio.sleep(self._rng.random() * LATENCY_S + (self._rng.random() * LATE_S if fault == "late" else 0.0))
        self._check_line(fault)
        if self.session_ended:
            raise Unauthenticated(reason="this device is not linked any more")
        try:
            answer = await self._server.serve(work)
            if fault == "twice":
                await self._server.serve(work)
        except SynclineError as error:
            self.refusals += _codes(error)
            await asyncio.sleep(self._rng.random() * LATENCY_S)
            raise
        if fault == "crash after":
            self._die()
        await asyncio.sleep(self._rng.random() * LATENCY_S)
        if fault == "answer lost" or not self.up:
            raise Unavailable(what="The server", reason=SILENT)
        return answer

    def _check_line(self, fault: str | None) -> None:
        if fault == "refused" or not self.up:
            raise Unavailable(what="The server", reason=REFUSED)
        if fault == "request lost":
            raise Unavailable(what="The server", reason=SILENT)
        if fault == "busy":
            raise TooBusy(retry_after=self._rng.choice((1, 2, 30)))
        if fault == "broken":
            raise Unavailable(what="The server", reason="500")

    def _die(self) -> None:
        self._crash()
        raise Crash

    async def close(self) -> None:
        """Nothing to give back."""

    # -- who one is ----------------------------------------------------------------------------------------------------------------

    async def me(self) -> Me:
        raise NotImplementedError

    async def devices(self) -> Devices:
        raise NotImplementedError

    async def unlink_device(self, device_id: DeviceId) -> None:
        raise NotImplementedError

    async def namespaces(self) -> Namespaces:
        return await self._ask("namespaces", lambda rooms: rooms.sharing.namespaces(self._caller))

    # -- content -------------------------------------------------------------------------------------------------------------------

    async def missing(self, namespace: NamespaceId, hashes: Sequence[Digest]) -> list[Digest]:
        request = MissingRequest(namespace=namespace, hashes=list(hashes))
        return (await self._ask("missing", lambda rooms: rooms.granting.missing(self._caller, request))).missing

    async def grant(self, namespace: NamespaceId, packs: Sequence[PackOffer]) -> GrantAnswer:
        request = GrantRequest(namespace=namespace, packs=list(packs))
        return await self._ask("grant", lambda rooms: rooms.granting.grant(self._caller, request))

    async def put_pack(self, put: SignedRequest, path: str, size: int) -> None:
        async def work(rooms: Rooms) -> None:
            data = Path(path).read_bytes()[:size]
            self.traffic.sent_bytes += len(data)
            with suppress(AlreadyExists):
                await self._server.objects.put(put, data)

        await self._ask("put_pack", work)

    async def packs_done(self, pack_ids: Sequence[PackId]) -> DoneAnswer:
        request = DoneRequest(pack_ids=list(pack_ids))
        return await self._ask("packs_done", lambda rooms: rooms.receiving.done(self._caller, request))

    async def manifests(self, namespace: NamespaceId, revisions: Sequence[RevisionRef]) -> ManifestsAnswer:
        request = ManifestsRequest(namespace=namespace, revisions=list(revisions))
        return await self._ask("manifests", lambda rooms: rooms.fetching.manifests(self._caller, request))

    async def read_object(self, get: SignedRequest, offset: int, length: int) -> bytes:
        async def work(rooms: Rooms) -> bytes:
            return await self._server.objects.get(get, offset, length)

        data = await self._ask("read_object", work)
        self.traffic.received_bytes += len(data)
        return data

    async def read_into(self, get: SignedRequest, offset: int, into: memoryview) -> None:
        into[:] = await self.read_object(get, offset, len(into))

    # -- the tree and its history --------------------------------------------------------------------------------------------------

    async def commit(self, request: CommitRequest, *, key: str) -> CommitAnswer:
        return await self._ask("commit", lambda rooms: rooms.metadata.commit(self._caller, request, key))

    async def changes(self, namespace: NamespaceId, cursor: str) -> ChangesPage:
        return await self._ask("changes", lambda rooms: rooms.metadata.changes(self._caller, namespace, cursor, self._page))

    async def snapshot(self, namespace: NamespaceId, page: str | None) -> SnapshotPage:
        return await self._ask("snapshot", lambda rooms: rooms.metadata.snapshot(self._caller, namespace, page, self._page))

    async def latest(self, namespace: NamespaceId) -> LatestAnswer:
        return await self._ask("latest", lambda rooms: rooms.metadata.latest(self._caller, namespace))

    async def poll(self, cursors: Sequence[str], timeout_s: int) -> PollAnswer:
        request = PollRequest(cursors=list(cursors), timeout=timeout_s)
        return await self._ask("poll", lambda rooms: rooms.polling.poll(self._caller, request))

    async def metadata(self, path: str) -> Metadata:
        return await self._ask("metadata", lambda rooms: rooms.metadata.metadata_by_path(self._caller, path))

    async def children(self, namespace: NamespaceId, folder: NodeId, page: str | None) -> ChildrenPage:
        return await self._ask("children", lambda rooms: rooms.metadata.children(self._caller, namespace, folder, page))

    async def versions(self, namespace: NamespaceId, node: NodeId) -> Versions:
        return await self._ask("versions", lambda rooms: rooms.metadata.versions(self._caller, namespace, node))


def _codes(error: SynclineError) -> list[str]:
    failures: list[dict[str, Any]] = error.fields.get("failures") or []
    reason = error.fields.get("reason")
    named = f"{error.code}:{reason}" if error.code == "cursor.reset" else error.code
    return [named, *(str(failure.get("code")) for failure in failures)] if not isinstance(error, Forbidden) else [error.code]
