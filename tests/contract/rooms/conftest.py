"""The rooms of a whole server on SQLite and a disk, asked as a gateway asks them: in this process, over gRPC, and with TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.contract.rooms.certificates import tls_for

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.peers.carrier import PeerCarrier
from syncline.adapters.peers.proof import Proof
from syncline.adapters.peers.server import answered
from syncline.app.config import load
from syncline.app.data import DataDirectory
from syncline.app.observing import observed
from syncline.app.roles import ground as grounds
from syncline.app.roles.rooms import Rooms, blocks_side, furnished, metadata_side, notify_side
from syncline.ports.clock import Ids
from syncline.protocol.sessions import TokenRequest
from syncline.server.accounts.people import People
from syncline.server.caller import Caller
from syncline.server.rooms.between.answering import answering
from syncline.server.rooms.between.remote import remote_side
from syncline.server.rooms.sides import BlocksSide, MetadataSide, NotifySide

PASSWORD = "correct horse battery staple"
SECRET = bytes(range(32))


@dataclass
class Asked:
    """The rooms as they are asked, and people to ask for."""

    metadata: MetadataSide
    blocks: BlocksSide
    notify: NotifySide
    rooms: Rooms
    token: str = ""

    async def person(self, email: str, quota_bytes: int | None = None) -> Caller:
        """Adds somebody, and signs them in as a gateway would."""
        ground = self.rooms.ground
        await People(ground.stores.accounts, ground.clock, ground.ids).add(email, PASSWORD, quota_bytes=quota_bytes)
        tokens = await self.metadata.accounts.sign_in(TokenRequest(email=email, password=PASSWORD, device_name="test"), "192.0.2.1")
        self.token = tokens.access_token
        return (await self.metadata.accounts.authenticate(tokens.access_token)).caller

    async def root(self, caller: Caller) -> str:
        return (await self.metadata.metadata.latest(caller)).namespace


@pytest.fixture
async def rooms(tmp_path: Path) -> AsyncIterator[Rooms]:
    clock, chance = MachineClock(), MachineChance()
    config = load(tmp_path / "data", None, None)
    data = DataDirectory.open(tmp_path / "data", chance, Ids(clock, chance))
    async with AsyncExitStack() as held:
        observing = await held.enter_async_context(observed(config, clock, "all"))
        ground = await held.enter_async_context(grounds.opened(config, data, clock, chance, observing))
        yield await held.enter_async_context(furnished(ground))


@pytest.fixture(params=["here", "grpc", "tls"])
async def asked(request: pytest.FixtureRequest, rooms: Rooms) -> AsyncIterator[Asked]:
    here = (metadata_side(rooms), blocks_side(rooms), notify_side(rooms))
    if request.param == "here":
        yield Asked(*here, rooms)
        return
    clock, chance = rooms.ground.clock, rooms.ground.chance
    proof, tls = Proof(SECRET, clock, chance), tls_for("localhost") if request.param == "tls" else None
    keepers = {
        address: keeper
        for side, shown in zip((MetadataSide, BlocksSide, NotifySide), here, strict=True)
        for address, keeper in answering(side, shown).items()
    }
    closing = asyncio.Event()
    async with (
        answered(("127.0.0.1", 0), keepers, proof, tls=tls, ending=closing, drain_s=5) as port,
        PeerCarrier("every", [("localhost" if tls else "127.0.0.1", port)], proof, clock, chance, tls=tls) as carrier,
    ):
        yield Asked(remote_side(MetadataSide, carrier), remote_side(BlocksSide, carrier), remote_side(NotifySide, carrier), rooms)
