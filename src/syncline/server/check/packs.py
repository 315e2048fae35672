"""Packs: what the database says of one against the object that the store holds, byte for byte."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence

from msgspec import Struct, field

from syncline.content.pack import read_index
from syncline.content.seal import block_key, open_frame
from syncline.model.blocks import PackEntry
from syncline.model.errors import Corrupt
from syncline.model.ids import Digest
from syncline.ports.check_store import CheckedCopy
from syncline.ports.pack_store import PackRow
from syncline.server.check.findings import Finding

DAMAGED_SHOWN_MAX = 20
"""Damaged blocks told one by one of one pack; the rest is counted."""


class Examined(Struct):
    """`unreadable` are the blocks whose copy in this pack does not give their bytes."""

    findings: list[Finding] = field(default_factory=list)
    unreadable: set[Digest] = field(default_factory=set)


def about_pack(row: PackRow, code: str, message: str, block: Digest | None = None) -> Finding:
    return Finding(code=code, message=message, namespace=row.namespace, pack=row.id, object=row.object_key, block=block)


def examine(row: PackRow, data: bytes, pack_key: bytes, copies: Sequence[CheckedCopy]) -> Examined:
    """Reads a whole pack: its hash, its sealed index against the copies recorded, and every block of both. Blocks of the CPU's
    time, no more memory than the pack and its largest block."""
    told = Examined()
    if hashlib.sha256(data).hexdigest() != row.sha256:
        told.findings.append(about_pack(row, "check.pack_damaged", "the object's bytes are not those that were granted (SHA-256)"))
    try:
        index = read_index(io.BytesIO(data), len(data), pack_key)
    except Corrupt as damage:
        told.findings.append(about_pack(row, "check.pack_damaged", str(damage)))
        index = None
    if index is not None:
        told.findings += _compare(row, index, copies)
    _open_all(row, data, pack_key, copies, told)
    return told


def _compare(row: PackRow, index: Sequence[PackEntry], copies: Sequence[CheckedCopy]) -> list[Finding]:
    """The sealed index is the pack's own word: what the database says must be the same."""
    findings: list[Finding] = []
    recorded = {copy.hash: copy for copy in copies}
    for entry in index:
        copy = recorded.pop(entry.hash, None)
        if copy is None:
            findings.append(about_pack(row, "check.copy_differs", "the pack holds a block that no copy is recorded of", entry.hash))
        elif _place_of_copy(copy) != (entry.offset, entry.length, entry.plain_size, entry.codec):
            message = "the copy recorded of a block lies elsewhere than the pack's own index says"
            findings.append(about_pack(row, "check.copy_differs", message, entry.hash))
    message = "a copy is recorded of a block that the pack does not hold"
    return findings + [about_pack(row, "check.copy_differs", message, block) for block in recorded]


def _open_all(row: PackRow, data: bytes, pack_key: bytes, copies: Sequence[CheckedCopy], told: Examined) -> None:
    view = memoryview(data)
    for copy in copies:
        frame = view[copy.offset : copy.offset + copy.length]
        try:
            open_frame(frame, block_key(pack_key, copy.hash), copy.hash, copy.plain_size)
        except Corrupt as damage:
            told.unreadable.add(copy.hash)
            if len(told.unreadable) <= DAMAGED_SHOWN_MAX:
                told.findings.append(about_pack(row, "check.block_damaged", str(damage), copy.hash))
    if len(told.unreadable) > DAMAGED_SHOWN_MAX:
        rest = len(told.unreadable) - DAMAGED_SHOWN_MAX
        told.findings.append(about_pack(row, "check.block_damaged", f"{rest} more of its blocks are damaged"))


def _place_of_copy(copy: CheckedCopy) -> tuple[object, ...]:
    return copy.offset, copy.length, copy.plain_size, copy.codec
