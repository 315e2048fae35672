"""Wrapping of pack keys under a key-encryption key that only the server holds."""

from __future__ import annotations

from typing import Protocol


class KeyWrapper(Protocol):
    """Contract: `unwrap(wrap(key)) == key`; a wrapped key names the key-encryption key it needs, so rotation only rewraps."""

    def wrap(self, key: bytes) -> bytes: ...

    def unwrap(self, wrapped: bytes) -> bytes:
        """Raises `Corrupt` for bytes this wrapper did not make or a key it does not hold."""
        ...
