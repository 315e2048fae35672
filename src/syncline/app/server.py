"""The server: every room built and wired, run by uvicorn in one process, and ended without losing a request.

Start: data directory held, database and store opened, socket bound, then one line says where. End: waits are answered, no new
request is taken, those under way get `drain_s` seconds, then the database closes and the directory is let go.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.metadata import version
from typing import Any, Final

import structlog

from syncline.adapters import failpoints
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.objects.disk import DiskObjects
from syncline.adapters.objects.door import ObjectsDoor
from syncline.adapters.objects.signing import UrlSigner
from syncline.adapters.sql.stores import Stores, open_stores
from syncline.app import memory
from syncline.app.config import ServerConfig
from syncline.app.data import DataDirectory
from syncline.app.listener import Listener, base_url, bound
from syncline.model.errors import SynclineError, Unavailable
from syncline.ports.clock import Ids
from syncline.server.accounts.sessions import Accounts
from syncline.server.accounts.tokens import AccessTokens, signing_keys
from syncline.server.blocks.fetch import Fetching
from syncline.server.blocks.grant import Granting
from syncline.server.blocks.receive import Receiving
from syncline.server.gateway.app import create_app
from syncline.server.gateway.edge import App
from syncline.server.gateway.services import Services
from syncline.server.metadata.cursors import CursorCodec
from syncline.server.metadata.doors import Doors
from syncline.server.metadata.service import Metadata
from syncline.server.notify.hub import Hub
from syncline.server.notify.poll import Polling
from syncline.server.notify.synced import LastSynced
from syncline.server.sharing.access import NodeAccess
from syncline.server.sharing.folders import Stores as Shared
from syncline.server.sharing.service import Sharing
from syncline.server.tree.copies import Copies
from syncline.server.views.places import Places
from syncline.server.views.service import NoContentUrls, Views
from syncline.server.views.tokens import TokenCodec

TEND_EVERY_S: Final = 60.0
SWEEP_BATCH: Final = 500

log: Final[Any] = structlog.get_logger("syncline.server")


async def serve(config: ServerConfig, *, ready: Callable[[str], None] | None = None, stop: asyncio.Event | None = None) -> None:
    """Runs the server until `stop` is set (by default: until SIGTERM or SIGINT). `ready` is told the base URL once it listens.

    Raises `ServerRunning`, `LocalIo`, `Corrupt`.
    """
    clock, chance = MachineClock(), MachineChance()
    data = DataDirectory.open(config.data.resolve(), chance, Ids(clock, chance))
    with data.held(), _stopping(stop) as ending, bound(config) as listener:
        async with _built(config, data, clock, chance, ending) as (app, hub):
            memory.freeze()
            url = base_url(config, listener)
            server = Listener(config, app, lambda: (ready or _announce)(url))
            running = asyncio.ensure_future(server.serve(sockets=[listener]))
            waiting = asyncio.ensure_future(ending.wait())
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            log.info("draining", waits=hub.waiting)
            ending.set()
            hub.close()
            server.should_exit = True
            await running
    log.info("stopped")


@asynccontextmanager
async def _built(
    config: ServerConfig, data: DataDirectory, clock: MachineClock, chance: MachineChance, ending: asyncio.Event
) -> AsyncIterator[tuple[App, Hub]]:
    """The application with all its rooms, and the hub whose waits end first at shutdown."""
    ids = Ids(clock, chance)
    keys = data.key_wrapper()
    signer = UrlSigner(data.secret("urls"), clock)
    objects = DiskObjects.open(data.objects, signer, chance)
    stores = await open_stores(data.database)
    try:
        hub = Hub()
        failpoints.arm(metadata=stores.metadata, packs=stores.packs, objects=objects, hub=hub)
        server_id = await stores.accounts.server_id()
        tokens = AccessTokens(signing_keys(data.signing_keys()), server_id, clock, ids)
        accounts = Accounts(stores.accounts, tokens, clock, chance, on_unlink=hub.drop_device)
        access = NodeAccess(stores.shares)
        metadata = Metadata(stores.metadata, CursorCodec(data.secret("cursors")), clock, ids, hub.publish, access=access)
        places = Places(metadata, stores.metadata, stores.views)
        synced = LastSynced(metadata, stores.accounts, clock)
        receiving = Receiving(stores.packs, objects, clock)
        shared = Shared(stores.shares, stores.accounts, stores.metadata)
        sharing = Sharing(shared, metadata, access, clock, ids, hub.publish)
        services = Services(
            accounts=accounts,
            metadata=metadata,
            granting=Granting(metadata, stores.packs, objects, keys, clock, chance),
            receiving=receiving,
            fetching=Fetching(metadata, stores.packs, objects, keys),
            access=access,
            sharing=sharing,
            doors=Doors(stores.shares, metadata.lookup, access, clock, ids, hub.publish),
            copies=Copies(stores.shares, stores.metadata, metadata.lookup, access, clock, ids, hub.publish),
            polling=Polling(metadata, hub, clock, accounts.live, synced),
            synced=synced,
            views=Views(places, stores.metadata, stores.views, TokenCodec(data.secret("pages")), NoContentUrls()),
            check_ready=_ready_check(stores, ending),
            server_id=server_id,
            version=version("syncline"),
            public_url=config.public_url,
        )
        tending = asyncio.ensure_future(_tend(receiving, metadata))
        try:
            yield create_app(services, ObjectsDoor(objects, signer, receiving.stored), chance), hub
        finally:
            tending.cancel()
            with suppress(asyncio.CancelledError):
                await tending
            await services.doors.drain()
            await services.copies.drain()
            await sharing.drain()
            await metadata.drain()
    finally:
        await stores.close()
        objects.close()


def _ready_check(stores: Stores, ending: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        if ending.is_set():
            raise Unavailable(what="This server, which is shutting down,")
        await stores.accounts.server_id()

    return check


async def _tend(receiving: Receiving, metadata: Metadata) -> None:
    """Settles grants that ended without a word and forgets what is past its time, a bounded amount every so often."""
    while True:
        await asyncio.sleep(TEND_EVERY_S)
        for name, work in (("sweep", lambda: receiving.sweep(SWEEP_BATCH)), ("prune", metadata.prune)):
            try:
                await work()
            except SynclineError as error:
                log.warning("tending failed", task=name, code=error.code)
            except Exception as error:  # noqa: BLE001 - the supervisor of a task that must outlive a bad round
                log.error("tending failed", task=name, kind=type(error).__name__)


def _announce(url: str) -> None:
    sys.stdout.write(f"listening on {url}\n")
    sys.stdout.flush()


@contextmanager
def _stopping(stop: asyncio.Event | None) -> Iterator[asyncio.Event]:
    """`stop`, or an event that SIGTERM and SIGINT set."""
    if stop is not None:
        yield stop
        return
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
