"""The journal's rows, their chain, and the Merkle root: one code for server and client.

Byte layouts are in `docs/format/journal.md`. The chain makes a changed history visible; the Merkle root is an error check of
the live tree, O(1) per change, and no proof against a hostile server.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.ids import ChangesetId, DeviceId, Digest, NodeId, UserId

EMPTY_CHAIN: Final = Digest("0" * 64)
"""The chain before the first row."""
MODULUS: Final = 1 << 256
_LENGTHS: Final = struct.Struct(">9H")
_NUMBERS: Final = struct.Struct(">QQQqBq")


class JournalEntry(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The whole placed state of one node after a change. Times are microseconds since 1970, UTC."""

    sequence: int
    changeset: ChangesetId
    op: str
    node_id: NodeId
    parent_id: NodeId
    name: str
    kind: Kind
    revision: int = 0
    content_hash: Digest | None = None
    size: int = 0
    executable: bool = False
    mtime_us: int = 0
    deleted: bool = False
    mount: bool = False
    actor: UserId | None = None
    device: DeviceId | None = None
    time_us: int = 0


def row_bytes(entry: JournalEntry) -> bytes:
    """The canonical bytes of a row: length-prefixed texts, then fixed-width numbers."""
    texts = (
        entry.changeset,
        entry.op,
        entry.node_id,
        entry.parent_id,
        entry.name,
        entry.kind.value,
        entry.content_hash or "",
        entry.actor or "",
        entry.device or "",
    )
    body = "".join(texts)
    if body.isascii():
        lengths = _LENGTHS.pack(*map(len, texts))
    else:
        lengths = _LENGTHS.pack(*(len(text.encode()) for text in texts))
    flags = entry.executable | entry.deleted << 1 | entry.mount << 2
    numbers = _NUMBERS.pack(entry.sequence, entry.revision, entry.size, entry.mtime_us, flags, entry.time_us)
    return lengths + body.encode() + numbers


def chain_after(chain: Digest, entry: JournalEntry) -> Digest:
    """SHA-256(previous chain ‖ row)."""
    return Digest(hashlib.sha256(bytes.fromhex(chain) + row_bytes(entry)).hexdigest())


def chain_over(chain: Digest, entries: Iterable[JournalEntry]) -> Digest:
    """The chain after all of `entries`, in order."""
    for entry in entries:
        chain = chain_after(chain, entry)
    return chain


def node_term(node_id: NodeId, parent_id: NodeId, name: str, kind: Kind, executable: bool, content_hash: Digest | None) -> int:
    """A live node's summand of the Merkle root. Names hold no NUL, so the encoding is unambiguous."""
    text = f"{node_id}{parent_id}{name}\0{kind.value}\0{'x' if executable else '-'}{content_hash or ''}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")


def root_text(root: int) -> str:
    """A Merkle root as people and messages see it: 64 hexadecimal digits."""
    return f"{root % MODULUS:064x}"
