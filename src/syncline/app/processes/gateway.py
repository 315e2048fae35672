"""The gateway role: the doors of HTTP, in front of rooms in this process, or in others that are asked over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.app.config import ServerConfig
from syncline.app.observing import Observing
from syncline.app.processes.peers import carrier_to
from syncline.app.processes.ready import Ready
from syncline.app.roles.rooms import Rooms, blocks_side, metadata_side, notify_side
from syncline.ports.clock import Ids
from syncline.protocol.changes import PollAnswer, PollRequest
from syncline.server.caller import Caller
from syncline.server.gateway.services import Services
from syncline.server.rooms.between.remote import remote_side
from syncline.server.rooms.looking import PollingRoom
from syncline.server.rooms.sides import BlocksSide, MetadataSide, NotifySide

Side = TypeVar("Side")


@asynccontextmanager
async def gateway_services(
    config: ServerConfig,
    rooms: Rooms | None,
    clock: MachineClock,
    chance: MachineChance,
    ready: Ready,
    closing: asyncio.Event,
    observing: Observing,
) -> AsyncIterator[Services]:
    """What the doors of a gateway call, until the block ends; `ready` learns of what it needs. `rooms` are this process's, if it
    has any other role. Raises `InvalidRequest`."""
    async with AsyncExitStack() as held:

        async def asked(role: str, side: type[Side]) -> Side:
            carrier = await held.enter_async_context(carrier_to(role, config, clock, chance))
            observing.peers(role, carrier)
            ready.needs(carrier.check)
            return remote_side(side, carrier)

        here = config.roles if rooms is not None else ()
        metadata = metadata_side(rooms) if rooms and "metadata" in here else await asked("metadata", MetadataSide)
        blocks = blocks_side(rooms) if rooms and "blocks" in here else await asked("blocks", BlocksSide)
        notify = notify_side(rooms) if rooms and "notify" in here else _let_go(await asked("notify", NotifySide), closing)
        shown: dict[str, Any] = {**vars(metadata), **vars(blocks), **vars(notify)}
        yield Services(
            **shown,
            ids=Ids(clock, chance),
            public_url=config.public_url,
            content_url=None if "content" in here else config.content_url,
        )


def services_here(rooms: Rooms) -> Services:
    """The same, all of it of this process."""
    shown: dict[str, Any] = {**vars(metadata_side(rooms)), **vars(blocks_side(rooms)), **vars(notify_side(rooms))}
    return Services(**shown, ids=rooms.ground.ids, public_url=rooms.ground.config.public_url)


def _let_go(side: NotifySide, closing: asyncio.Event) -> NotifySide:
    return NotifySide(polling=_Polls(side.polling, closing), synced=side.synced)


class _Polls:
    """Polls that wait in another process are answered here once this one closes: there is nothing to tell, ask again."""

    def __init__(self, polling: PollingRoom, closing: asyncio.Event) -> None:
        self._polling = polling
        self._closing = closing

    async def poll(self, caller: Caller, request: PollRequest) -> PollAnswer:
        asking = asyncio.create_task(self._polling.poll(caller, request), name="polling/poll")
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait((asking, closing), return_when=asyncio.FIRST_COMPLETED)
            return await asking if asking.done() else PollAnswer(changed=False, sync=True)
        finally:
            asking.cancel()
            closing.cancel()
