"""Identifiers: each kind is a type of its own, and none is ever used as a path.

Nodes, namespaces, users, devices, packs and changesets are named by ULIDs (26 characters of Crockford's base 32: 48 bits of
milliseconds, 80 bits of chance), so ids made by clients sort by birth and never collide. Source: the ULID specification.
"""

from __future__ import annotations

import re
from typing import Final, NewType, TypeVar

from syncline.model.errors import InvalidId

UserId = NewType("UserId", str)
DeviceId = NewType("DeviceId", str)
NamespaceId = NewType("NamespaceId", str)
"""A namespace's root folder is the node whose id equals the namespace's."""
NodeId = NewType("NodeId", str)
PackId = NewType("PackId", str)
UploadId = NewType("UploadId", str)
LinkId = NewType("LinkId", str)
ChangesetId = NewType("ChangesetId", str)

Digest = NewType("Digest", str)
"""A SHA-256 as 64 lower-case hexadecimal digits: what `sha256sum` prints."""

ULID_CHARS: Final = 26
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID: Final = re.compile(f"[0-7][{_ALPHABET}]{{25}}")
_PAIRS: Final = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_DIGEST: Final = re.compile("[0-9a-f]{64}")

EMPTY_DIGEST: Final = Digest("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
"""The SHA-256 of no bytes: the empty file has a content hash too."""

Id = TypeVar("Id", bound=str)


def ulid(time_ms: int, chance: bytes) -> str:
    """The ULID of a time (milliseconds since 1970) and ten random bytes."""
    if len(chance) != 10:
        raise ValueError("a ULID takes ten bytes of chance")
    value = (time_ms & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(chance, "big")
    pairs = _PAIRS
    return "".join([pairs[(value >> shift) & 1023] for shift in range(120, -1, -10)])


def ulid_bytes(text: str) -> bytes:
    """The sixteen bytes that a ULID spells."""
    value = 0
    for char in text:
        value = value << 5 | _ALPHABET.index(char)
    return value.to_bytes(16, "big")


def ulid_of(data: bytes) -> str:
    """The ULID that spells these sixteen bytes."""
    return ulid(int.from_bytes(data[:6], "big"), data[6:])


def ulid_time_ms(text: str) -> int:
    """When a ULID was born: milliseconds since 1970."""
    value = 0
    for char in text[:10]:
        value = value << 5 | _ALPHABET.index(char)
    return value


def is_ulid(text: str) -> bool:
    return _ULID.fullmatch(text) is not None


def parse_ulid(kind: type[Id] | object, text: str) -> str:
    """`text` if it is a ULID; raises `InvalidId` otherwise. `kind` names it in the message."""
    if not is_ulid(text):
        raise InvalidId(kind=getattr(kind, "__name__", str(kind)), value=text[:64])
    return text


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


def parse_digest(text: str) -> Digest:
    """`text` if it is a SHA-256 in lower-case hexadecimal; raises `InvalidId` otherwise."""
    if not is_digest(text):
        raise InvalidId(kind="Digest", value=text[:80])
    return Digest(text)
