"""Names of content: SHA-256 of plaintext, in hexadecimal.

A block is named by the digest of its bytes, a revision by the digest of all its bytes (what `sha256sum` prints), so equality never
depends on how a file was cut. hashlib lets other threads run while it hashes anything larger than 2 KiB.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

from syncline.model.ids import Digest

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Contiguous bytes, read in place."""

DIGEST_BYTES = 32


def digest(data: Buffer) -> Digest:
    """The SHA-256 of `data`."""
    return Digest(hashlib.sha256(data).hexdigest())


class Digester:
    """The SHA-256 of bytes that come in pieces. For one thread at a time."""

    __slots__ = ("_sha256",)

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def update(self, data: Buffer) -> None:
        self._sha256.update(data)

    def digest(self) -> Digest:
        """The digest of everything so far; more may follow."""
        return Digest(self._sha256.hexdigest())
