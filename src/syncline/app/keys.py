"""A server's keys: a folder of secret files that all its processes share, and nobody else reads.

What is in it: `pack-keys.json` (wraps the keys of packs), `tokens.json` (signs access tokens), `cursors`, `pages`, `urls`,
`content` and `links` (`.key` each: seal what clients bring back), `cache` and `limits` (what lies in Redis), and `cluster.key` (by
which processes know each other). In a data directory they are made as they are first needed; a folder that the configuration names
under `keys` is only read, and may be mounted so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from syncline.adapters.kms.keyfile import KeyFileWrapper
from syncline.adapters.kms.secrets import load_or_create, private_folder
from syncline.model.errors import Corrupt, InvalidRequest, LocalIo
from syncline.ports.clock import Chance, Ids

SECRET_BYTES: Final = 32
CLUSTER: Final = "cluster"
SECRETS: Final = ("cursors", "pages", "urls", "content", "links", "cache", "limits", CLUSTER)
_PACK_KEYS: Final = "pack-keys.json"
_TOKENS: Final = "tokens.json"


class Keys:
    """The keys in `folder`; with `makes`, those that are missing are made."""

    def __init__(self, folder: Path, chance: Chance, ids: Ids, *, makes: bool) -> None:
        self.folder = folder
        self._chance = chance
        self._ids = ids
        self._makes = makes

    @property
    def pack_keys(self) -> Path:
        return self.folder / _PACK_KEYS

    def key_wrapper(self) -> KeyFileWrapper:
        """The key-encryption keys that pack keys are wrapped under. Raises as `secret` does."""
        self._look_for(_PACK_KEYS)
        return KeyFileWrapper.open(self.pack_keys, self._chance)

    def secret(self, name: str) -> bytes:
        """A secret of 32 bytes for one purpose, of `SECRETS`. Raises `Corrupt`, and `InvalidRequest` where one is missing that is
        not to be made."""
        self._look_for(f"{name}.key")
        content = load_or_create(self.folder / f"{name}.key", lambda: self._chance.token(SECRET_BYTES), self._chance)
        if len(content) != SECRET_BYTES:
            raise Corrupt(what=f"The secret file {name}.key", reason=f"it must hold {SECRET_BYTES} bytes")
        return content

    def signing_keys(self) -> dict[str, Any]:
        """The private JWK set that access tokens are signed under. Raises as `secret` does."""
        from syncline.server.accounts.tokens import fresh_signing_key

        self._look_for(_TOKENS)
        text = load_or_create(self.folder / _TOKENS, lambda: json.dumps(fresh_signing_key(self._ids)).encode(), self._chance)
        try:
            document = json.loads(text)
        except ValueError as error:
            raise Corrupt(what="The signing key file", reason="it is not JSON") from error
        if not isinstance(document, dict):
            raise Corrupt(what="The signing key file", reason="it is not a JWK set")
        return document

    def make(self) -> None:
        """Makes what is missing, all of it. Raises `LocalIo`."""
        try:
            private_folder(self.folder)
            self.key_wrapper()
            self.signing_keys()
            for name in SECRETS:
                self.secret(name)
        except OSError as error:
            raise LocalIo(path=str(self.folder), reason=error.strerror or str(error)) from error

    def _look_for(self, name: str) -> None:
        if not self._makes and not (self.folder / name).is_file():
            raise InvalidRequest(
                message=f"keys: {self.folder} holds no {name}, or it cannot be read; `syncline admin keys DIR` makes a whole folder"
            )
