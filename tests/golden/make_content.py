"""The content room's golden files: what they hold, and how they were made (`python -m tests.golden.make_content`).

A golden file that no longer matches means stored packs, manifests or deduplication break: mend the code, or give the format or the
cut a new version beside the old. Only missing ones are made: none is ever made anew over the old one.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from syncline.content.cut import LARGE_CUT, SMALL_CUT, cut
from syncline.content.digest import digest
from syncline.content.manifest import pack_manifest
from syncline.content.pack import PackWriter
from syncline.model.blocks import Block, Manifest, PackOffer
from syncline.model.limits import KIB, MIB

FOLDER: Final = Path(__file__).parent / "content"
PACK_KEY: Final = bytes(range(32))


class CountedChance:
    """Chance that is the same in every run: SHAKE-128 of a counter."""

    def __init__(self) -> None:
        self._count = 0

    def token(self, size_bytes: int) -> bytes:
        self._count += 1
        return noise(f"chance {self._count}", size_bytes)


def noise(seed: str, size: int) -> bytes:
    """Incompressible bytes, the same on every machine for ever."""
    return hashlib.shake_128(seed.encode()).digest(size)


def prose(size: int) -> bytes:
    """Compressible bytes, likewise."""
    return b"".join(b"%d bottles on the wall, and %x\n" % (index, index * index) for index in range(size // 24 + 1))[:size]


def cut_inputs() -> Iterator[tuple[str, str, bytes]]:
    """Name, cut, bytes: noise, forced borders (zeros never meet the mask), text, and the sizes around the smallest block."""
    yield "noise, small", SMALL_CUT, noise("cut", 12 * MIB + 12345)
    yield "noise, large", LARGE_CUT, noise("cut", 24 * MIB)
    yield "zeros, small", SMALL_CUT, bytes(3 * MIB + 1)
    yield "prose, small", SMALL_CUT, prose(6 * MIB)
    for size in (0, 1, 128 * KIB - 1, 128 * KIB, 128 * KIB + 1, 128 * KIB + 2, 1 * MIB):
        yield f"{size} bytes, small", SMALL_CUT, noise("edge", size)


def pack_blocks() -> list[tuple[bytes, bool]]:
    """Plaintext, and whether it is packed as dense."""
    return [(b"a", True), (prose(3000), False), (noise("block", 500), False), (prose(700), True), (bytes(4 * KIB), False)]


def write_pack(*, dense: bool) -> tuple[bytes, PackOffer]:
    """The golden pack. Compressed bytes may change with the zstd library; with `dense` nothing is compressed and no byte may."""
    file = io.BytesIO()
    writer = PackWriter(file, PACK_KEY, CountedChance())
    for data, named_dense in pack_blocks():
        writer.add(digest(data), data, dense=named_dense or dense)
    offer = writer.finish()
    return file.getvalue(), offer


def manifest() -> Manifest:
    pieces = [data for data, _ in pack_blocks()]
    whole = b"".join(pieces)
    return Manifest(digest(whole), len(whole), SMALL_CUT, tuple(Block(digest(piece), len(piece)) for piece in pieces))


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    cuts = {name: [len(block) for block in cut(io.BytesIO(data), cut_name)] for name, cut_name, data in cut_inputs()}
    made = {
        "cuts.json": msgspec.json.format(msgspec.json.encode(cuts), indent=1) + b"\n",
        "manifest.bin": pack_manifest(manifest()),
    }
    for name, dense in (("mixed", False), ("raw", True)):
        pack, offer = write_pack(dense=dense)
        made |= {f"{name}.pack": pack, f"{name}.json": msgspec.json.format(msgspec.json.encode(offer), indent=1) + b"\n"}
    for name, data in made.items():
        if not (FOLDER / name).exists():
            (FOLDER / name).write_bytes(data)


if __name__ == "__main__":
    main()
