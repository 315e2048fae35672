"""A server's data directory: where everything lies, who may read it, and that only one server holds it.

Laws: 0700 from birth, secrets 0600, and one server at a time by a kernel lock that dies with its process. `syncline admin` works
beside a running server and takes no lock: the database arbitrates.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncline.adapters.kms.secrets import private_folder
from syncline.app.keys import Keys
from syncline.model.errors import Conflict, LocalIo
from syncline.ports.clock import Chance, Ids


class ServerRunning(Conflict):
    """Another server already runs on {path}; stop it first."""

    code = "server.running"


class DataDirectory:
    """The opened data directory at `path`."""

    def __init__(self, path: Path, chance: Chance, ids: Ids) -> None:
        self.path = path
        self._chance = chance
        self._ids = ids

    @classmethod
    def open(cls, path: Path, chance: Chance, ids: Ids) -> DataDirectory:
        """Makes what is missing. Raises `LocalIo`."""
        try:
            private_folder(path)
            private_folder(path / "keys")
            # SQLite gives its journals the mode of the database.
            (path / "metadata.db").touch(mode=0o600)
        except OSError as error:
            raise LocalIo(path=str(path), reason=error.strerror or str(error)) from error
        return cls(path, chance, ids)

    @property
    def database(self) -> Path:
        return self.path / "metadata.db"

    @property
    def objects(self) -> Path:
        return self.path / "objects"

    @property
    def keys(self) -> Keys:
        """Its own keys, made as they are first needed."""
        return Keys(self.path / "keys", self._chance, self._ids, makes=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the directory for one server. Raises `ServerRunning`."""
        file = os.open(self.path / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ServerRunning(path=str(self.path)) from error
            yield
        finally:
            os.close(file)
