"""The server: every room built and wired, run by uvicorn in one process, and ended without losing a request.

Start: data directory held, database and store opened, socket bound, then one line says where. End: waits are answered, no new
request is taken, those under way get `drain_s` seconds, then the database closes and the directory is let go.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import Any, Final

import structlog

from syncline.adapters import failpoints
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.objects.disk import DiskObjects
from syncline.adapters.objects.door import ObjectsDoor
from syncline.adapters.objects.signing import PREFIX, UrlSigner
from syncline.adapters.sql.stores import Stores, open_stores
from syncline.app import memory
from syncline.app.config import ServerConfig
from syncline.app.data import DataDirectory
from syncline.app.listener import Listener, base_url, bound
from syncline.app.objects import events_token
from syncline.app.objects import opened as opened_objects
from syncline.model.errors import SynclineError, Unavailable
from syncline.model.limits import DROPS_AT_ONCE
from syncline.ports.clock import Ids
from syncline.ports.raw_store import RawContent
from syncline.server.accounts.sessions import Accounts
from syncline.server.accounts.tokens import AccessTokens, signing_keys
from syncline.server.blocks.fetch import Fetching
from syncline.server.blocks.grant import Granting
from syncline.server.blocks.intake import Intake
from syncline.server.blocks.receive import Receiving
from syncline.server.content.assemble import Assembler
from syncline.server.content.door import ContentDoor
from syncline.server.content.downloads import CONTENT_PREFIX, DEVICE, Downloads
from syncline.server.content.gates import device_gate
from syncline.server.content.tickets import Tickets
from syncline.server.gateway.app import create_app
from syncline.server.gateway.edge import App
from syncline.server.gateway.services import Services
from syncline.server.gateway.store_events import PREFIX as EVENTS_PREFIX
from syncline.server.gateway.store_events import StoreEvents
from syncline.server.links.drop_uploads import DropUploads
from syncline.server.links.parts import link_parts
from syncline.server.metadata.cursors import CursorCodec
from syncline.server.metadata.doors import Doors
from syncline.server.metadata.service import Metadata
from syncline.server.notify.hub import Hub
from syncline.server.notify.poll import Polling
from syncline.server.notify.synced import LastSynced
from syncline.server.past.service import Past
from syncline.server.sharing.access import NodeAccess
from syncline.server.sharing.folders import Stores as Shared
from syncline.server.sharing.service import Sharing
from syncline.server.tree.copies import Copies
from syncline.server.uploads.service import Uploads
from syncline.server.uploads.shorthand import Shorthand
from syncline.server.views.places import Places
from syncline.server.views.service import Views
from syncline.server.views.tokens import TokenCodec
from syncline.server.workers.ingest import Ingest

TEND_EVERY_S: Final = 60.0
SWEEP_BATCH: Final = 500
WORKER_PAUSE_S: Final = 5.0

log: Final[Any] = structlog.get_logger("syncline.server")


async def serve(config: ServerConfig, *, ready: Callable[[str], None] | None = None, stop: asyncio.Event | None = None) -> None:
    """Runs the server until `stop` is set (by default: until SIGTERM or SIGINT). `ready` is told the base URL once it listens.

    Raises `ServerRunning`, `LocalIo`, `Corrupt`, `InvalidRequest` where the object store refuses its configuration, `Unavailable`.
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
    token = events_token(config.objects)
    async with AsyncExitStack() as opened:
        objects = await opened.enter_async_context(opened_objects(config.objects, data.objects, signer, clock, chance))
        stores = await open_stores(config.database or data.database)
        opened.push_async_callback(stores.close)
        hub = Hub()
        failpoints.arm(metadata=stores.metadata, packs=stores.packs, uploads=stores.uploads, objects=objects, hub=hub)
        server_id = await stores.accounts.server_id()
        tokens = AccessTokens(signing_keys(data.signing_keys()), server_id, clock, ids)
        accounts = Accounts(stores.accounts, tokens, clock, chance, on_unlink=hub.drop_device)
        access = NodeAccess(stores.shares)
        cursors, journal_s = CursorCodec(data.secret("cursors")), config.retention.journal_s
        metadata = Metadata(stores.metadata, cursors, clock, ids, hub.publish, access=access, journal_retention_s=journal_s)
        past = Past(metadata, stores.past, clock, config.retention)
        places = Places(metadata, stores.metadata, stores.views)
        synced = LastSynced(metadata, stores.accounts, clock)
        receiving = Receiving(stores.packs, objects, clock)
        granting = Granting(metadata, stores.packs, objects, keys, clock, chance)
        ingest = Ingest(metadata, stores.raws, stores.packs, objects, keys, clock, chance, _ingest_failed)
        uploads = Uploads(metadata, stores.uploads, objects, clock, chance, ingest.wake)
        assembler = Assembler(stores.contents, stores.packs, objects, keys)
        downloads = Downloads(stores.contents, objects, assembler, Tickets(data.secret("content"), clock), access)
        downloads.gates[DEVICE] = device_gate(accounts, metadata, access)
        shared = Shared(stores.shares, stores.accounts, stores.metadata)
        sharing = Sharing(shared, metadata, access, clock, ids, hub.publish)
        intake = Intake(stores.packs, objects, keys, clock, chance, at_once=DROPS_AT_ONCE)
        linked = link_parts(stores, access, metadata, downloads, intake, data.secret("links"), clock, chance)
        services = Services(
            accounts=accounts,
            metadata=metadata,
            granting=granting,
            receiving=receiving,
            fetching=Fetching(metadata, stores.packs, objects, keys),
            uploads=uploads,
            shorthand=Shorthand(metadata, granting, stores.packs, ids),
            downloads=downloads,
            past=past,
            ids=ids,
            access=access,
            sharing=sharing,
            doors=Doors(stores.shares, metadata.lookup, access, clock, ids, hub.publish),
            links=linked.book,
            public_links=linked.public,
            drops=linked.drops,
            drop_uploads=DropUploads(linked.public, linked.drops, metadata, uploads, stores.uploads),
            zips=linked.zips,
            copies=Copies(stores.shares, stores.metadata, metadata.lookup, access, clock, ids, hub.publish),
            polling=Polling(metadata, hub, clock, accounts.live, synced),
            synced=synced,
            views=Views(places, stores.metadata, stores.views, TokenCodec(data.secret("pages")), downloads),
            check_ready=_ready_check(stores, ending),
            server_id=server_id,
            version=version("syncline"),
            public_url=config.public_url,
        )
        sweeps: dict[str, Callable[[], Awaitable[object]]] = {
            "sweep": lambda: receiving.sweep(SWEEP_BATCH),
            "uploads": lambda: uploads.sweep(SWEEP_BATCH),
            "raw": lambda: ingest.sweep(SWEEP_BATCH),
            "prune": metadata.prune,
            "expire": past.expiry.tend,
        }
        tending = [asyncio.ensure_future(_tend(sweeps)), asyncio.ensure_future(_at_work("ingest", ingest.run))]
        try:
            doors: dict[str, App] = {CONTENT_PREFIX: ContentDoor(downloads)}
            if isinstance(objects, DiskObjects):
                objects.completed = uploads.arrived
                doors[PREFIX] = ObjectsDoor(objects, signer, receiving.stored)
            elif token is not None:
                assert config.objects.bucket is not None
                doors[EVENTS_PREFIX] = StoreEvents(token, config.objects.bucket, (receiving.arrived, uploads.arrived))
            yield create_app(services, doors, chance), hub
        finally:
            for task in tending:
                task.cancel()
            await asyncio.gather(*tending, return_exceptions=True)
            ingest.close()
            await services.doors.drain()
            await services.copies.drain()
            await sharing.drain()
            intake.close()
            await metadata.drain()


def _ready_check(stores: Stores, ending: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        if ending.is_set():
            raise Unavailable(what="This server, which is shutting down,")
        await stores.accounts.server_id()

    return check


async def _tend(sweeps: Mapping[str, Callable[[], Awaitable[object]]]) -> None:
    """Settles grants and uploads that ended without a word and forgets what is past its time, a bounded amount every so often."""
    while True:
        await asyncio.sleep(TEND_EVERY_S)
        for name, work in sweeps.items():
            try:
                await work()
            except SynclineError as error:
                log.warning("tending failed", task=name, code=error.code)
            except Exception as error:  # noqa: BLE001 - the supervisor of a task that must outlive a bad round
                log.error("tending failed", task=name, kind=type(error).__name__)


async def _at_work(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """A worker that outlives whatever happens to it."""
    while True:
        try:
            await run()
        except SynclineError as error:
            log.warning("worker failed", task=name, code=error.code)
        except Exception as error:  # noqa: BLE001 - the supervisor of a task that must outlive a bad round
            log.error("worker failed", task=name, kind=type(error).__name__)
        await asyncio.sleep(WORKER_PAUSE_S)


def _ingest_failed(raw: RawContent, error: Exception) -> None:
    """Says that a content could not be taken in, and nothing of what it is."""
    kind = error.code if isinstance(error, SynclineError) else type(error).__name__
    log.warning("ingest failed", node=raw.node, revision=raw.revision, attempts=raw.attempts + 1, kind=kind)


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
