"""The spool: finished packs on this device's disk, from before they are granted until the server has them. Blocking.

Laws: files are 0600 and made exclusively; a pack is sent again after a restart only if it still has its SHA-256, so nothing here
needs syncing; packs too small to be worth it are not recorded, and are simply made anew.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from syncline.content.digest import Digester
from syncline.model.blocks import PackOffer
from syncline.model.ids import Digest, NamespaceId, PackId
from syncline.model.limits import KIB, MIB
from syncline.ports.clock import Chance
from syncline.ports.tree_store import SpoolRow, TreeStore

RECORD_ABOVE_BYTES: Final = 256 * KIB
"""Below this, sending a pack again costs less than remembering it."""
_SUFFIX: Final = ".pack"
_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


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

    def create(self) -> tuple[str, BinaryIO]:
        """A new file for a pack, and its name."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = self._chance.token(16).hex() + _SUFFIX
        return name, open(self._path(name), "xb", buffering=0, opener=lambda path, _: os.open(path, _CREATE, 0o600))

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
        """Forgets packs: rows first, so that no row names a file that is gone for longer than a crash takes."""
        names = [pack.file_name for pack in packs if pack.recorded]
        if names:
            self._store.spool_remove(names)
        for pack in packs:
            self.discard(pack.file_name)

    def discard(self, name: str) -> None:
        """Removes a file that no row names."""
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
        return pack

    def _path(self, name: str) -> str:
        return str(self._folder / name)


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
