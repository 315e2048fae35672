"""A key-encryption key in a file beside the data: `ports.kms.KeyWrapper` without a key service.

A wrapped key is `version (1) ‖ key id (8) ‖ nonce (12) ‖ AES-256-GCM(key, tag 16)`, version and id authenticated. The id is the
head of the key-encryption key's own hash, so a file may hold several: the last wraps, all of them unwrap, and rotation is adding
one. Whoever holds the data directory without this file holds noise.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from struct import Struct
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from syncline.adapters.kms.secrets import load_or_create
from syncline.model.errors import Corrupt
from syncline.ports.clock import Chance

KEY_BYTES: Final = 32
_VERSION: Final = 1
_HEADER: Final = Struct(">B8s12s")


class KeyFile(msgspec.Struct, kw_only=True):
    """The file's JSON: key-encryption keys in base64, oldest first."""

    keys: list[bytes]


class KeyFileWrapper:
    """`KeyWrapper` on the keys of one file."""

    def __init__(self, keys: list[bytes], chance: Chance) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise Corrupt(what="The key file", reason=f"it must hold keys of {KEY_BYTES} bytes")
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._current = _key_id(keys[-1])
        self._chance = chance

    @classmethod
    def open(cls, path: Path, chance: Chance) -> KeyFileWrapper:
        """The wrapper of the file at `path`, which is made, with one fresh key, where there is none. Raises `Corrupt`."""
        text = load_or_create(path, lambda: msgspec.json.encode(KeyFile(keys=[chance.token(KEY_BYTES)])), chance)
        try:
            return cls(msgspec.json.decode(text, type=KeyFile).keys, chance)
        except msgspec.MsgspecError as error:
            raise Corrupt(what="The key file", reason="it is not the JSON it should be") from error

    def wrap(self, key: bytes) -> bytes:
        nonce = self._chance.token(12)
        header = _HEADER.pack(_VERSION, self._current, nonce)
        return header + self._ciphers[self._current].encrypt(nonce, key, header)

    def unwrap(self, wrapped: bytes) -> bytes:
        if len(wrapped) <= _HEADER.size:
            raise Corrupt(what="A wrapped key", reason="it is too short")
        version, key_id, nonce = _HEADER.unpack_from(wrapped)
        cipher = self._ciphers.get(key_id)
        if version != _VERSION or cipher is None:
            raise Corrupt(what="A wrapped key", reason="the key file does not hold the key it needs")
        try:
            return cipher.decrypt(nonce, wrapped[_HEADER.size :], wrapped[: _HEADER.size])
        except InvalidTag as error:
            raise Corrupt(what="A wrapped key", reason="it was changed") from error


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"syncline kek id\0" + key).digest()[:8]
