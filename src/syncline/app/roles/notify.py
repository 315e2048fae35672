"""The notify role: long polls and sockets, stirred by the hub, which hears of commits from this process and over the bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from syncline.app import memory
from syncline.app.roles.ground import Ground
from syncline.app.roles.metadata import MetadataRooms
from syncline.app.roles.worker import Complaints, at_work
from syncline.server.gateway.edge import App
from syncline.server.gateway.sockets import SocketDoor
from syncline.server.notify.conversation import Desk
from syncline.server.notify.hearing import Hearing
from syncline.server.notify.poll import Polling
from syncline.server.notify.presence import Presences
from syncline.server.notify.standings import Together
from syncline.server.notify.sweep import Sweep
from syncline.server.notify.synced import LastSynced
from syncline.server.notify.teller import Teller


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyRooms:
    polling: Polling
    synced: LastSynced
    presences: Presences
    door: App
    """Where WebSockets are taken."""


def notify_rooms(ground: Ground, core: MetadataRooms) -> NotifyRooms:
    hub, clock, chance = ground.hub, ground.clock, ground.chance
    synced = LastSynced(core.metadata, core.accounts.notes, clock)
    audience = ground.stores.audience
    standings = Together(audience)
    presences = Presences(ground.shared.presence, clock)
    desk = Desk(
        metadata=core.metadata, hub=hub, standings=standings, clock=clock, chance=chance, synced=synced, teller=Teller(audience)
    )
    polling = Polling(core.metadata, hub, clock, standings, synced)
    ground.observing.polling(polling)
    return NotifyRooms(
        polling=polling,
        synced=synced,
        presences=presences,
        door=SocketDoor(core.accounts, desk, presences, chance),
    )


@asynccontextmanager
async def notifying(ground: Ground, rooms: NotifyRooms) -> AsyncIterator[None]:
    """What goes on beside the waiting, until the block ends."""
    sweep = Sweep(ground.stores.audience, ground.hub, Complaints("sweep", ground.clock), rooms.presences.wait, memory.expect)
    work = {"sweep": sweep.run, "presence": rooms.presences.run}
    if ground.config.bus.kind != "memory":
        work["hearing"] = Hearing(ground.bus, ground.hub, ground.chance, Complaints("hearing", ground.clock)).run
    tasks = [asyncio.ensure_future(at_work(name, run)) for name, run in work.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
