"""What every role stands on: the keys, the stores of the database, the object store, the hub, time and chance.

A process opens it once, whatever its roles are; each role's module builds its rooms on it and says what it adds. Nothing here
belongs to one role.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from syncline.adapters import failpoints
from syncline.adapters.kms.keyfile import KeyFileWrapper
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.objects.signing import UrlSigner
from syncline.adapters.sql.stores import Stores, open_stores
from syncline.app.bus import opened as opened_bus
from syncline.app.caching import Shared, kept_hot, sharing
from syncline.app.config import ServerConfig
from syncline.app.data import DataDirectory
from syncline.app.keys import Keys
from syncline.app.objects import Objects
from syncline.app.objects import opened as opened_objects
from syncline.app.observing import Observing
from syncline.ports.bus import Bus
from syncline.ports.clock import Ids
from syncline.server.notify.hub import Hub
from syncline.server.notify.word import Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    config: ServerConfig
    keys: Keys
    """Shared by all processes of one server."""
    clock: MachineClock
    chance: MachineChance
    ids: Ids
    wrapper: KeyFileWrapper
    signer: UrlSigner
    """Of URLs that lead to the objects on this process's disk."""
    objects: Objects
    stores: Stores
    observing: Observing
    """Whoever builds a room that is watched hands it in here."""
    shared: Shared
    hub: Hub
    """Who waits in this process."""
    word: Word
    """What rooms tell of each commit."""
    bus: Bus
    server_id: str


@asynccontextmanager
async def opened(
    config: ServerConfig, data: DataDirectory | None, clock: MachineClock, chance: MachineChance, observing: Observing
) -> AsyncIterator[Ground]:
    """The ground, until the block ends; then the stores are closed, whatever the rooms on it still held is theirs to end first.
    `data` is None where the configuration says of everything that it lies elsewhere.

    Raises `Corrupt`, `Unavailable`, and `InvalidRequest` where keys are missing or the object store refuses its configuration.
    """
    ids = Ids(clock, chance)
    keys, folder, database = _places(config, data, chance, ids)
    signer = UrlSigner(keys.secret("urls"), clock)
    async with AsyncExitStack() as held:
        objects = await held.enter_async_context(opened_objects(config.objects, folder, signer, clock, chance))
        stores = await open_stores(database, replica=config.database_replica)
        held.push_async_callback(stores.close)
        bus = await held.enter_async_context(opened_bus(config.bus))
        hub = Hub()
        shared = await held.enter_async_context(sharing(config, keys.secret, clock, chance, observing.meter))
        observing.database(stores.database)
        observing.objects(objects)
        observing.hub(hub)
        failpoints.arm(metadata=stores.metadata, packs=stores.packs, uploads=stores.uploads, objects=objects, hub=hub)
        word = Word(hub)
        await held.enter_async_context(kept_hot(shared, stores.metadata, word, clock))
        yield Ground(
            config=config,
            keys=keys,
            clock=clock,
            chance=chance,
            ids=ids,
            wrapper=keys.key_wrapper(),
            signer=signer,
            objects=objects,
            stores=stores,
            observing=observing,
            shared=shared,
            hub=hub,
            word=word,
            bus=bus,
            server_id=await stores.accounts.server_id(),
        )


def _places(config: ServerConfig, data: DataDirectory | None, chance: MachineChance, ids: Ids) -> tuple[Keys, Path, Path | str]:
    """The keys, the folder for objects that lie on a disk, and the database."""
    if data is None:
        # `app.processes.config` has checked that each of them is named.
        assert config.keys is not None
        assert config.database is not None
        return Keys(config.keys, chance, ids, makes=False), Path(), config.database
    keys = data.keys if config.keys is None else Keys(config.keys, chance, ids, makes=False)
    return keys, data.objects, config.database or data.database
