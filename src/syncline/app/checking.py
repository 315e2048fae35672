"""Checking a server's data from beside it: what `syncline admin check` opens, reads and closes again.

Nothing is made that is not there, no lock is taken and nothing is brought up to date, so a running server is not disturbed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from syncline.adapters.kms.keyfile import KeyFileWrapper
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.objects.disk import DiskObjects
from syncline.adapters.objects.signing import UrlSigner
from syncline.adapters.sql.check import SqlCheckStore
from syncline.app.data import SECRET_BYTES, DataDirectory
from syncline.model.errors import Corrupt
from syncline.ports.clock import Ids
from syncline.server.check.checker import Checker
from syncline.server.check.findings import Hop, Show, Tell


class NoKeys:
    """Stands in where the key file is missing, so that everything else is checked all the same."""

    def wrap(self, key: bytes) -> bytes:
        raise Corrupt(what="The key file", reason="it is missing")

    def unwrap(self, wrapped: bytes) -> bytes:
        raise Corrupt(what="The key file", reason="it is missing, so that no pack can be opened")


async def check_server(path: Path, *, deep: bool, tell: Tell, show: Show) -> AsyncIterator[Hop]:
    """Checks the data directory at `path`; `Checker.run`. Raises `InvalidRequest` for one of another version, `Unavailable`,
    `Corrupt`."""
    clock, chance = MachineClock(), MachineChance()
    data = DataDirectory(path.resolve(), chance, Ids(clock, chance))
    store = SqlCheckStore.open(data.database)
    # Signs nothing here: a checker reads the objects by itself.
    objects = DiskObjects(data.objects, UrlSigner(bytes(SECRET_BYTES), clock), chance)
    try:
        keys: KeyFileWrapper | NoKeys = data.key_wrapper() if data.pack_keys.exists() else NoKeys()
        async for hop in Checker(store, objects, keys, tell=tell, show=show).run(deep=deep):
            yield hop
    finally:
        await store.close()
        objects.close()
