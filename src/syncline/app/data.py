"""A server's data directory: where everything lies, who may read it, and that only one server holds it.

Laws: 0700 from birth, secrets 0600, and one server at a time by a kernel lock that dies with its process. `syncline admin` works
beside a running server and takes no lock: the database arbitrates.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from syncline.adapters.kms.keyfile import KeyFileWrapper
from syncline.adapters.kms.secrets import load_or_create, private_folder
from syncline.model.errors import Conflict, Corrupt, LocalIo
from syncline.ports.clock import Chance, Ids

SECRET_BYTES = 32


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
    def pack_keys(self) -> Path:
        return self.path / "keys" / "pack-keys.json"

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

    def key_wrapper(self) -> KeyFileWrapper:
        """The key-encryption keys that pack keys are wrapped under."""
        return KeyFileWrapper.open(self.pack_keys, self._chance)

    def secret(self, name: str) -> bytes:
        """A secret of 32 bytes for one purpose (`cursors`, `urls`, `content`, `links`, …). Raises `Corrupt`."""
        content = load_or_create(self.path / "keys" / f"{name}.key", lambda: self._chance.token(SECRET_BYTES), self._chance)
        if len(content) != SECRET_BYTES:
            raise Corrupt(what=f"The secret file {name}.key", reason=f"it must hold {SECRET_BYTES} bytes")
        return content

    def signing_keys(self) -> dict[str, Any]:
        """The private JWK set that access tokens are signed under."""
        from syncline.server.accounts.tokens import fresh_signing_key

        path = self.path / "keys" / "tokens.json"
        text = load_or_create(path, lambda: json.dumps(fresh_signing_key(self._ids)).encode(), self._chance)
        try:
            document = json.loads(text)
        except ValueError as error:
            raise Corrupt(what="The signing key file", reason="it is not JSON") from error
        if not isinstance(document, dict):
            raise Corrupt(what="The signing key file", reason="it is not a JWK set")
        return document
