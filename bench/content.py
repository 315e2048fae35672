"""What one thread does with bytes: `python -m bench.content` prints MB/s of each step between a file and a pack, and back."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable
from typing import Final

from syncline.content.compress import encode
from syncline.content.cut import LARGE_CUT, SMALL_CUT, cut
from syncline.content.digest import digest
from syncline.content.manifest import pack_manifest, unpack_manifest
from syncline.content.pack import PackWriter, read_index
from syncline.content.seal import block_key, open_frame
from syncline.model.blocks import Block, Manifest, PackEntry
from syncline.model.ids import Digest
from syncline.model.limits import KIB, MIB

ROUNDS: Final = 3


class _Chance:
    def token(self, size_bytes: int) -> bytes:
        return os.urandom(size_bytes)


def report(name: str, size: int, count: int, run: Callable[[], object]) -> None:
    """The best of a few rounds: the machine is shared, and noise only ever slows."""
    best_s = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        run()
        best_s = min(best_s, time.perf_counter() - begin)
    each = f"{best_s / count * 1e6:9.1f} µs each" if count > 1 else ""
    sys.stdout.write(f"{name:34s} {size / best_s / 1e6:8.0f} MB/s {each}\n")


def text(size: int) -> bytes:
    lines = (
        b"%08d %s the quick brown fox\n" % (index, hex(index * 2654435761 % (1 << 32)).encode()) for index in range(size // 40)
    )
    return b"".join(lines)[:size].ljust(size)


def pack_all(blocks: list[tuple[Digest, bytes]], dense: bool = False) -> tuple[io.BytesIO, list[PackEntry], bytes]:
    """All blocks in one pack after another in memory; the last pack, its index and its key."""
    chance = _Chance()
    while True:
        file, key = io.BytesIO(), chance.token(32)
        writer = PackWriter(file, key, chance)
        for place, (name, data) in enumerate(blocks):
            if not writer.fits(len(data)):
                blocks = blocks[place:]
                break
            writer.add(name, data, dense=dense)
        else:
            return file, writer.finish().index, key
        writer.finish()


def open_all(file: io.BytesIO, index: list[PackEntry], key: bytes) -> None:
    view = file.getbuffer()
    for entry in index:
        frame = view[entry.offset : entry.offset + entry.length]
        open_frame(frame, block_key(key, entry.hash), entry.hash, entry.plain_size)


def bench_blocks(name: str, size: int, count: int, make: Callable[[int], bytes], dense: bool = False) -> None:
    pieces = [make(size) for _ in range(count)]
    pieces = [index.to_bytes(4, "big") + piece[4:] for index, piece in enumerate(pieces)]
    blocks = [(digest(piece), piece) for piece in pieces]
    report(f"add, {name}", size * count, count, lambda: pack_all(blocks, dense))
    file, index, key = pack_all(blocks, dense)
    report(f"open_frame, {name}", sum(entry.plain_size for entry in index), len(index), lambda: open_all(file, index, key))
    report(f"read_index, {name}", len(file.getbuffer()), 1, lambda: read_index(file, len(file.getbuffer()), key))


def main() -> None:
    noise = os.urandom(64 * MIB)
    report("cut, small", len(noise), 1, lambda: sum(map(len, cut(io.BytesIO(noise), SMALL_CUT))))
    report("cut, large", len(noise), 1, lambda: sum(map(len, cut(io.BytesIO(noise), LARGE_CUT))))
    report("cut, 4 KiB files", 40960000, 10_000, lambda: [list(cut(io.BytesIO(noise[:4096]), SMALL_CUT)) for _ in range(10_000)])
    report("digest", len(noise), 1, lambda: digest(noise))
    words = text(MIB)
    report("encode, 1 MiB text", 16 * MIB, 16, lambda: [encode(words, dense=False) for _ in range(16)])
    report("encode, 1 MiB noise (probed)", 16 * MIB, 16, lambda: [encode(noise[:MIB], dense=False) for _ in range(16)])
    bench_blocks("1 KiB text", KIB, 4000, text)
    bench_blocks("4 KiB text", 4 * KIB, 3000, text)
    bench_blocks("16 KiB text", 16 * KIB, 900, text)
    bench_blocks("4 KiB noise", 4 * KIB, 3000, os.urandom)
    bench_blocks("1 MiB text", MIB, 24, text)
    bench_blocks("1 MiB noise", MIB, 24, os.urandom)
    bench_blocks("1 MiB noise, named dense", MIB, 24, os.urandom, dense=True)
    blocks = tuple(Block(digest(index.to_bytes(4, "big")), 1000) for index in range(20_000))
    manifest = Manifest(digest(b"whole"), 20_000_000, SMALL_CUT, blocks)
    packed = pack_manifest(manifest)
    report("pack_manifest, 20,000 blocks", len(packed), len(blocks), lambda: pack_manifest(manifest))
    report("unpack_manifest, 20,000 blocks", len(packed), len(blocks), lambda: unpack_manifest(packed))


if __name__ == "__main__":
    main()
