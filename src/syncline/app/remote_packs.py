"""What `syncline put` reads and spools: local files cut into blocks, and packs made of those that the server lacks. Blocking.

Laws: a block is read again when it is packed and must still have its hash; packs are 0600 and go when they are delivered, or when
the process that made them is found to be gone.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

from syncline.app.home import make_private
from syncline.content.compress import dense_name
from syncline.content.cut import choose_cut, cut
from syncline.content.digest import Digester, digest
from syncline.content.pack import PackWriter
from syncline.content.seal import new_pack_key
from syncline.model.blocks import PackOffer
from syncline.model.errors import ChangedWhileRead, LocalIo, Unreadable
from syncline.model.ids import Digest
from syncline.model.paths import STATE_FOLDER
from syncline.ports.clock import Chance

_SUFFIX: Final = ".put"


class Source(Struct, frozen=True):
    """A local file and the remote path it is to have; a local folder, to be made even where it stays empty."""

    local: Path
    remote: str
    is_folder: bool = False


class Cut(Struct, frozen=True):
    """A local file as read: its blocks (hash, offset, size), the hash of the whole, and its attributes."""

    source: Source
    blocks: list[tuple[Digest, int, int]]
    content_hash: Digest
    size: int
    cut: str
    mtime_ns: int
    executable: bool


class Piece(Struct, frozen=True):
    """A block that has to be sent, and where to read it."""

    read: Cut
    block: Digest
    offset: int
    size: int


def sources(local: Path, remote: str, left_out: list[Path]) -> list[Source]:
    """A file, or a folder and everything in it, parents first. Symbolic links and special files in it are added to `left_out`
    instead. Raises `Unreadable`."""
    if not local.is_dir():
        if not local.is_file():
            raise Unreadable(path=str(local), reason="it is no regular file")
        return [Source(local, remote)]
    found = [Source(local, remote, is_folder=True)]

    def refuse(error: OSError) -> None:
        raise Unreadable(path=str(error.filename), reason=error.strerror or str(error))

    for at, folders, files in os.walk(local, onerror=refuse):
        inside = Path(at).relative_to(local).as_posix()
        base = remote if inside == "." else f"{remote}/{inside}"
        linked = {name for name in folders if (Path(at) / name).is_symlink()}
        special = {name for name in files if not _is_regular(Path(at) / name)}
        left_out += [Path(at) / name for name in sorted(linked | special)]
        folders[:] = sorted(name for name in folders if name != STATE_FOLDER and name not in linked)
        found += [Source(Path(at) / name, f"{base}/{name}", is_folder=True) for name in folders]
        found += [Source(Path(at) / name, f"{base}/{name}") for name in sorted(files) if name not in special]
    return found


def _is_regular(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def read_source(source: Source) -> Cut:
    """One read: blocks, their hashes, and the hash of the whole. Raises `Unreadable`, `ChangedWhileRead`."""
    whole, blocks, offset = Digester(), [], 0
    try:
        with source.local.open("rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise Unreadable(path=str(source.local), reason="it is no regular file")
            chosen = choose_cut(before.st_size)
            for data in cut(file, chosen):
                whole.update(data)
                blocks.append((digest(data), offset, len(data)))
                offset += len(data)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise Unreadable(path=str(source.local), reason=error.strerror or str(error)) from error
    if _signature(before) != _signature(after) or offset != after.st_size:
        raise ChangedWhileRead(path=str(source.local))
    return Cut(source, blocks, whole.digest(), offset, chosen, after.st_mtime_ns, bool(after.st_mode & 0o100))


def _signature(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def make_pack(left: deque[Piece], spool: Path, chance: Chance) -> tuple[Path, PackOffer]:
    """One pack of as many pieces from the left as fit. Raises `LocalIo`, `ChangedWhileRead`."""
    path = spool / f"{os.getpid()}-{chance.token(8).hex()}{_SUFFIX}"
    try:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600)) as file:
            writer = PackWriter(file, new_pack_key(chance), chance)
            with ExitStack() as opened:
                at: Path | None = None
                while left and writer.fits(left[0].size):
                    piece = left[0]
                    local = piece.read.source.local
                    if local != at:
                        opened.close()
                        at, reading = local, opened.enter_context(local.open("rb", buffering=0))
                    writer.add(piece.block, _block(reading, piece), dense=dense_name(local.name))
                    left.popleft()
            return path, writer.finish()
    except OSError as error:
        path.unlink(missing_ok=True)
        raise LocalIo(path=str(error.filename or path), reason=error.strerror or str(error)) from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _block(reading: BinaryIO, piece: Piece) -> bytes:
    reading.seek(piece.offset)
    data = reading.read(piece.size)
    if len(data) != piece.size or digest(data) != piece.block:
        raise ChangedWhileRead(path=str(piece.read.source.local))
    return data


def sweep(spool: Path) -> None:
    """Removes packs of puts whose process is gone."""
    make_private(spool)
    for path in spool.glob(f"*{_SUFFIX}"):
        pid = path.name.partition("-")[0]
        if not pid.isdigit() or not Path(f"/proc/{pid}").exists():
            path.unlink(missing_ok=True)
