"""One process of a server: the rooms of its roles, what it answers, and what goes on in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.app.caching import sharing
from syncline.app.config import ServerConfig
from syncline.app.data import DataDirectory
from syncline.app.observing import Observing, observed
from syncline.app.processes.config import GROUNDED
from syncline.app.processes.gateway import gateway_services, services_here
from syncline.app.processes.peers import answering_peers, secret_of_edge
from syncline.app.processes.ready import Ready
from syncline.app.roles import ground as grounds
from syncline.app.roles.content import byte_doors
from syncline.app.roles.notify import notifying
from syncline.app.roles.rooms import Rooms, furnished, link_services
from syncline.app.roles.worker import working
from syncline.ports.clock import Ids
from syncline.server.gateway.app import create_app
from syncline.server.gateway.edge import App
from syncline.server.gateway.elsewhere import Elsewhere, NoSockets
from syncline.server.gateway.services import LinkServices, Operation, Services

LINKS_PREFIX = "/s/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    app: App
    rooms: Rooms | None
    closing: asyncio.Event

    def close(self) -> None:
        """Takes no new questions of peers, and answers what waits."""
        self.closing.set()
        if self.rooms is not None:
            self.rooms.ground.hub.close()

    @property
    def waiting(self) -> int:
        """Open waits."""
        return 0 if self.rooms is None else self.rooms.ground.hub.waiting


@asynccontextmanager
async def built(config: ServerConfig, clock: MachineClock, chance: MachineChance, ending: asyncio.Event) -> AsyncIterator[Process]:
    """The process that a checked configuration describes, until the block ends. It is not ready any more once `ending` is set.

    Raises `ServerRunning`, `LocalIo`, `Corrupt`, `Unavailable`, and `InvalidRequest` naming a key of the configuration.
    """
    ready, closing = Ready(ending), asyncio.Event()
    async with AsyncExitStack() as held:
        observing = await held.enter_async_context(observed(config, clock, ",".join(config.roles)))
        rooms = None
        if GROUNDED & set(config.roles):
            rooms = await held.enter_async_context(_grounded(config, clock, chance, observing))
            ready.needs(rooms.ground.stores.accounts.server_id)
            await held.enter_async_context(answering_peers(rooms, closing))
        services, limits = None, None if rooms is None else rooms.ground.shared.limits
        if "gateway" in config.roles:
            services = await held.enter_async_context(gateway_services(config, rooms, clock, chance, ready, closing, observing))
            if rooms is None:
                secret = partial(secret_of_edge, config, clock, chance)
                limits = (await held.enter_async_context(sharing(config, secret, clock, chance, observing.meter))).limits
        database, relay = None if rooms is None else rooms.ground.stores.database, config.bus.kind != "memory"
        await held.enter_async_context(observing.answering(config.metrics_listen, database, ready.check, relay=relay))
        operation = Operation(check_ready=ready.check, version=version("syncline"), limits=limits)
        app = observing.app(_app(config, rooms, services, operation, chance))
        yield Process(app=app, rooms=rooms, closing=closing)


@asynccontextmanager
async def _grounded(config: ServerConfig, clock: MachineClock, chance: MachineChance, observing: Observing) -> AsyncIterator[Rooms]:
    """The rooms on the database and the object store, with what goes on in them by itself."""
    async with AsyncExitStack() as held:
        data = None
        if config.needs_data:
            assert config.data is not None
            data = DataDirectory.open(config.data.resolve(), chance, Ids(clock, chance))
            held.enter_context(data.held())
        ground = await held.enter_async_context(grounds.opened(config, data, clock, chance, observing))
        rooms = await held.enter_async_context(furnished(ground))
        if "worker" in config.roles:
            await held.enter_async_context(working(ground, rooms.core, rooms.blocks, rooms.ingest))
        if "notify" in config.roles:
            await held.enter_async_context(notifying(ground, rooms.notify))
        yield rooms


def _app(config: ServerConfig, rooms: Rooms | None, services: Services | None, operation: Operation, chance: MachineChance) -> App:
    doors: dict[str, App] = {}
    linked: LinkServices | None = None
    if rooms is not None and "content" in config.roles:
        doors |= byte_doors(rooms.ground, rooms.content, rooms.blocks)
        linked = link_services(rooms)
    elif services is not None and config.content_url is not None:
        doors[LINKS_PREFIX] = Elsewhere(config.content_url)
    waited: Services | None = None
    sockets: App = NoSockets(chance)
    if rooms is not None and "notify" in config.roles:
        waited, sockets = services_here(rooms), rooms.notify.door
    return create_app(operation, doors, chance, services=services, waited=waited, linked=linked, sockets=sockets)
