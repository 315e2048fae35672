"""What a loss of power leaves: which changes of folders survive, and what becomes of data nobody synced.

Laws: a change is atomic, it survives or it does not. A change that needs another one (the file it renames, the folder it lies in,
the inode number it was given) never survives without it. A sync makes durable what it names and what that needs, nothing else, so
that a sync the engine forgot shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import Final

from syncline.model.entries import Kind
from syncline.testing.sim.inodes import Inode, Link

GARBAGE: Final = b"\xfe\xedGARBAGE"
"""What stands on the disk where data was promised and never written, over and over."""
PENDING_MAX: Final = 200
"""More changes than this are not held back: the oldest half is written, as kernels do by and by."""

Edit = tuple[Inode, str, Link | None, Link | None]
"""A folder, the key of a name in it, what it named before and what after."""


def garbage(size: int) -> bytes:
    return (GARBAGE * (size // len(GARBAGE) + 1))[:size]


class Change:
    """One atomic change of folders. `above` are the folders that decide whether a folder may move where it does."""

    __slots__ = ("above", "edits", "freed", "placed", "removed", "taken")

    def __init__(self, edits: tuple[Edit, ...], above: tuple[Inode, ...] = ()) -> None:
        self.edits = edits
        self.above = above
        left = [before[1] for _, _, before, _ in edits if before is not None]
        came = [after[1] for _, _, _, after in edits if after is not None]
        self.placed = [inode for inode in came if inode.kind is Kind.DIR]
        self.removed = [inode for inode in left if inode.kind is Kind.DIR and inode not in came]
        self.freed = [inode.number for inode in left if inode not in came]
        self.taken = [inode.number for inode in came if inode not in left]


class Durable:
    """The changes not yet durable, in order, over the `kept` side of the inodes."""

    def __init__(self, top: Inode) -> None:
        self._top = top
        self._pending: list[Change] = []
        self._numbers: dict[int, Inode] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def later(self, change: Change) -> None:
        """Durable once synced."""
        self._pending.append(change)
        if len(self._pending) > PENDING_MAX:
            half = PENDING_MAX // 2
            for old in self._pending[:half]:
                self._apply(old)
            del self._pending[:half]

    def at_once(self, change: Change) -> None:
        """Durable now, with all it needs."""
        if self._pending:
            self._commit(_Wanted(change))
        self._apply(change)

    def sync(self, folders: Iterable[Inode]) -> None:
        """The entries of these folders are durable."""
        if self._pending:
            wanted = _Wanted()
            wanted.folders.update(folders)
            wanted.places.update(wanted.folders)
            self._commit(wanted)

    def keep(self, folder: Inode, key: str) -> None:
        """What this name stands for is durable."""
        wanted = _Wanted()
        wanted.entries.add((folder, key))
        wanted.places.add(folder)
        self._commit(wanted)

    def lose(self, rng: Random) -> None:
        """The power goes: some of what is pending survives."""
        share = rng.choice((0.0, 0.3, 0.5, 0.8, 0.95, 1.0))
        for change in self._pending:
            if rng.random() < share and self._is_feasible(change):
                self._apply(change)
        self._pending.clear()

    def _commit(self, wanted: _Wanted) -> None:
        """From the newest to the oldest, since a change needs only older ones; then in order."""
        chosen: list[Change] = []
        left: list[Change] = []
        for change in reversed(self._pending):
            if wanted.has(change):
                wanted.add(change)
                chosen.append(change)
            else:
                left.append(change)
        for change in reversed(chosen):
            self._apply(change)
        left.reverse()
        self._pending = left

    def _is_feasible(self, change: Change) -> bool:
        for folder, key, before, after in change.edits:
            if folder is not self._top and folder.kept_in is None:
                return False
            link = folder.kept.get(key)
            if (link and link[1]) is not (before and before[1]):
                return False
            if after is not None and after[1].kind is Kind.DIR and _lies_in(folder, after[1]):
                return False
        if any(inode.kept for inode in change.removed):
            return False
        holders = (self._numbers.get(number) for number in change.taken)
        return all(holder is None or any(after and after[1] is holder for *_, after in change.edits) for holder in holders)

    def _apply(self, change: Change) -> None:
        assert self._is_feasible(change), "a change was made durable without what it needs"
        for folder, key, before, _ in change.edits:
            if before is not None:
                inode = before[1]
                del folder.kept[key]
                inode.kept_in = None
                inode.kept_links -= 1
                if not inode.kept_links:
                    self._numbers.pop(inode.number, None)
        for folder, key, _, after in change.edits:
            if after is not None:
                inode = after[1]
                folder.kept[key] = after
                inode.kept_in = folder
                inode.kept_links += 1
                self._numbers[inode.number] = inode


class _Wanted:
    """What must be durable: these entries, these folders' places and entries, the freeing of these inode numbers."""

    __slots__ = ("entries", "folders", "numbers", "places")

    def __init__(self, change: Change | None = None) -> None:
        self.entries: set[tuple[Inode, str]] = set()
        self.folders: set[Inode] = set()
        self.numbers: set[int] = set()
        self.places: set[Inode] = set()
        if change is not None:
            self.add(change)

    def has(self, change: Change) -> bool:
        for folder, key, _, _ in change.edits:
            if (folder, key) in self.entries or folder in self.folders:
                return True
        places, numbers = self.places, self.numbers
        return any(inode in places for inode in change.placed) or any(number in numbers for number in change.freed)

    def add(self, change: Change) -> None:
        for folder, key, _, _ in change.edits:
            self.entries.add((folder, key))
            self.places.add(folder)
        self.places.update(change.above)
        self.folders.update(change.removed)
        self.numbers.update(change.taken)


def _lies_in(folder: Inode, inode: Inode) -> bool:
    at: Inode | None = folder
    while at is not None:
        if at is inode:
            return True
        at = at.kept_in
    return False


# -- data ------------------------------------------------------------------------------------------------------------------------


def about_to_change(inode: Inode) -> None:
    """Its data changes in memory; on the disk it is still what it was."""
    if inode.safe is None:
        inode.safe = bytes(inode.data)


def attributes_about_to_change(inode: Inode) -> None:
    if inode.safe_attributes is None:
        inode.safe_attributes = (inode.executable, inode.mtime_ns, inode.ctime_ns)


def make_durable(inode: Inode) -> None:
    """Its data and attributes are on the disk."""
    inode.safe = inode.safe_attributes = None
    if inode.settled:
        inode.settled.clear()


def settle(inode: Inode, offset: int, length: int) -> None:
    """A range of its data is on the disk."""
    if inode.safe is not None:
        inode.settled.append((offset, bytes(inode.data[offset : offset + length])))


def lose_data(inode: Inode, rng: Random) -> None:
    """The power went: what the file holds now."""
    if inode.safe is not None:
        data = _remains(bytes(inode.data), inode.safe, rng)
        for offset, piece in inode.settled:
            if len(data) < offset:
                data += bytes(offset - len(data))
            data[offset : offset + len(piece)] = piece
        inode.data = data
    if inode.safe_attributes is not None and rng.random() < 0.5:
        inode.executable, inode.mtime_ns, inode.ctime_ns = inode.safe_attributes
    make_durable(inode)


def _remains(data: bytes, safe: bytes, rng: Random) -> bytearray:
    """All of it, what was there before, nothing, a part from the start, or garbage from somewhere on."""
    cut = rng.randrange(len(data) + 1)
    return bytearray(
        rng.choice((data, safe, b"", data[:cut], garbage(len(data)), data[:cut] + garbage(len(data) - cut))),
    )


def kept_below(top: Inode) -> Iterator[Inode]:
    """Every inode that the disk still holds, each as often as it is named."""
    frontier = [top]
    while frontier:
        for _, inode in frontier.pop().kept.values():
            yield inode
            if inode.kind is Kind.DIR:
                frontier.append(inode)
