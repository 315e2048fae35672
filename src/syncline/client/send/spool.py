"""The spool: finished packs on this device's disk, from before they are granted until the server has them. Blocking.

Laws: files are 0600 and made exclusively; a pack is sent again after a restart only if it still has its SHA-256, so nothing here
needs syncing; packs too small to be worth it are not recorded, and are simply made anew. Under load the files of packs that are
done serve the next ones: their pages are in memory already, and pages touched for the first time cost several times the rest of
making a pack.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final, cast

import msgspec

from syncline.content.digest import Digester
from syncline.model.blocks import PackOffer
from syncline.model.ids import Digest, NamespaceId, PackId
from syncline.model.limits import KIB, MIB, PACKS_IN_FLIGHT
from syncline.ports.clock import Chance
from syncline.ports.tree_store import SpoolRow, TreeStore

RECORD_ABOVE_BYTES: Final = 256 * KIB
"""Below this, sending a pack again costs less than remembering it."""
SPARE_ABOVE_BYTES: Final = 1 * MIB
"""Below this, a new file costs no more than one used again."""
_SUFFIX: Final = ".pack"


class Spooled:
    """A finished pack. `grants` counts how often it was granted; `recorded` says that a row remembers it."""

    __slots__ = ("file_name", "grants", "namespace", "offer", "pack_id", "path", "recorded")

    def __init__(self, file_name: str, path: str, namespace: NamespaceId, offer: PackOffer) -> None:
        self.file_name = file_name
        self.path = path
        self.namespace = namespace
        self.offer = offer
        self.pack_id: PackId | None = None
        self.grants = 0
        self.recorded = False

    @property
    def hashes(self) -> list[Digest]:
        return [entry.hash for entry in self.offer.index]


class Spool:
    """The folder of packs, and the rows that remember them."""

    def __init__(self, folder: Path, store: TreeStore, chance: Chance) -> None:
        self._folder = folder
        self._store = store
        self._chance = chance
        self._lock = threading.Lock()
        self._used: set[str] = set()
        self._spare: list[str] = []

    def create(self) -> tuple[str, BinaryIO]:
        """A file for a pack, and its name. It may be longer than the pack will be, until it is `sealed`."""
        with self._lock:
            name = self._spare.pop() if self._spare else ""
        if name:
            with suppress(FileNotFoundError):
                return name, self._opened(name, "rb+")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = self._chance.token(16).hex() + _SUFFIX
        return name, self._opened(name, "xb+")

    def _opened(self, name: str, mode: str) -> BinaryIO:
        file = FileIO(self._path(name), mode, opener=_opener)
        with self._lock:
            self._used.add(name)
        return cast("BinaryIO", file)

    def sealed(self, name: str, file: BinaryIO, namespace: NamespaceId, offer: PackOffer) -> Spooled:
        """The finished pack in `file`, which is closed."""
        with file:
            if os.fstat(file.fileno()).st_size > offer.size:
                file.truncate(offer.size)
        return self.spooled(name, namespace, offer)

    def spooled(self, name: str, namespace: NamespaceId, offer: PackOffer) -> Spooled:
        return Spooled(name, self._path(name), namespace, offer)

    def record(self, packs: Sequence[Spooled]) -> None:
        """Remembers granted packs, before a byte of them is sent."""
        rows = []
        for pack in packs:
            if pack.offer.size >= RECORD_ABOVE_BYTES:
                offer = msgspec.json.encode(pack.offer)
                rows.append(SpoolRow(file_name=pack.file_name, namespace=pack.namespace, offer=offer, pack_id=pack.pack_id))
                pack.recorded = True
        if rows:
            self._store.spool_put(rows)

    def remove(self, packs: Sequence[Spooled]) -> None:
        """Forgets packs: rows first, so that no row names a file that is gone, or is another pack's by now."""
        names = [pack.file_name for pack in packs if pack.recorded]
        if names:
            self._store.spool_remove(names)
        with self._lock:
            self._used.difference_update(pack.file_name for pack in packs)
            self._spare += [pack.file_name for pack in packs if pack.offer.size >= SPARE_ABOVE_BYTES]
            room = max(0, PACKS_IN_FLIGHT - len(self._used)) if self._used else 0
            over, self._spare = self._spare[room:], self._spare[:room]
        for name in (*over, *(pack.file_name for pack in packs if pack.offer.size < SPARE_ABOVE_BYTES)):
            self.discard(name)

    def discard(self, name: str) -> None:
        """Removes a file that no row names."""
        with self._lock:
            self._used.discard(name)
        Path(self._path(name)).unlink(missing_ok=True)

    def recover(self, count_max: int) -> list[Spooled]:
        """What an earlier run left: packs that are whole, remembered, and were granted. Everything else is removed."""
        packs: list[Spooled] = []
        lost: list[str] = []
        for row in self._store.spooled():
            pack = self._recovered(row)
            if pack is None or len(packs) >= count_max:
                lost.append(row.file_name)
            else:
                packs.append(pack)
        if lost:
            self._store.spool_remove(lost)
        kept = {pack.file_name for pack in packs}
        if self._folder.is_dir():
            for entry in os.scandir(self._folder):
                if entry.name.endswith(_SUFFIX) and entry.name not in kept:
                    self.discard(entry.name)
        return packs

    def _recovered(self, row: SpoolRow) -> Spooled | None:
        if row.pack_id is None or "/" in row.file_name or not row.file_name.endswith(_SUFFIX):
            return None
        try:
            offer = msgspec.json.decode(row.offer, type=PackOffer)
        except msgspec.DecodeError:
            return None
        if _file_digest(self._path(row.file_name), offer.size) != offer.sha256:
            return None
        pack = self.spooled(row.file_name, row.namespace, offer)
        pack.pack_id, pack.recorded = row.pack_id, True
        self._used.add(pack.file_name)
        return pack

    def _path(self, name: str) -> str:
        return str(self._folder / name)


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _file_digest(path: str, size: int) -> Digest | None:
    """The SHA-256 of a file of `size` bytes; None when it is gone, unreadable or of another size."""
    digester = Digester()
    try:
        with open(path, "rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size != size:
                return None
            while data := file.read(MIB):
                digester.update(data)
    except OSError:
        return None
    return digester.digest()
