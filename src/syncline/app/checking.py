"""Checking a server's data from beside it: what `syncline admin check` opens, reads and closes again.

Nothing is made that is not there, no lock is taken and nothing is brought up to date, so a running server is not disturbed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

from syncline.adapters.kms.keyfile import KeyFileWrapper
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.objects.disk import DiskObjects
from syncline.adapters.objects.s3.spread import SpreadObjects
from syncline.adapters.objects.s3.store import S3Objects
from syncline.adapters.objects.signing import UrlSigner
from syncline.adapters.sql.check import SqlCheckStore
from syncline.app.config import ObjectsConfig
from syncline.app.data import DataDirectory
from syncline.app.keys import SECRET_BYTES
from syncline.app.objects import s3_buckets
from syncline.model.errors import Corrupt
from syncline.ports.clock import Ids
from syncline.ports.object_listing import ObjectListing
from syncline.server.check.checker import Checker
from syncline.server.check.findings import Hop, Show, Tell


class NoKeys:
    """Stands in where the key file is missing, so that everything else is checked all the same."""

    def wrap(self, key: bytes) -> bytes:
        raise Corrupt(what="The key file", reason="it is missing")

    def unwrap(self, wrapped: bytes) -> bytes:
        raise Corrupt(what="The key file", reason="it is missing, so that no pack can be opened")


async def check_server(
    path: Path, *, deep: bool, tell: Tell, show: Show, objects: ObjectsConfig | None = None
) -> AsyncIterator[Hop]:
    """Checks the data directory at `path` and the store its objects lie in; `Checker.run`. Raises `InvalidRequest` for one of
    another version, `Unavailable`, `Corrupt`."""
    clock, chance = MachineClock(), MachineChance()
    data = DataDirectory(path.resolve(), chance, Ids(clock, chance))
    store = SqlCheckStore.open(data.database)
    closing = AsyncExitStack()
    closing.push_async_callback(store.close)
    try:
        listing = _listing(objects or ObjectsConfig(), data, clock, chance, closing)
        keys: KeyFileWrapper | NoKeys = data.keys.key_wrapper() if data.keys.pack_keys.exists() else NoKeys()
        async for hop in Checker(store, listing, keys, tell=tell, show=show).run(deep=deep):
            yield hop
    finally:
        await closing.aclose()


def _listing(
    config: ObjectsConfig, data: DataDirectory, clock: MachineClock, chance: MachineChance, closing: AsyncExitStack
) -> ObjectListing:
    """The store as a checker reads it: by itself, so that it signs no URLs."""
    if config.kind == "s3":
        stores = [S3Objects(bucket) for bucket in s3_buckets(config, clock, chance)]
        for store in stores:
            closing.push_async_callback(store.close)
        return stores[0] if len(stores) == 1 else SpreadObjects(stores)
    disk = DiskObjects(data.objects, UrlSigner(bytes(SECRET_BYTES), clock), chance)
    closing.callback(disk.close)
    return disk
