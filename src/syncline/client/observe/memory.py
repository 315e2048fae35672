"""What observing keeps between scans beside the local tree. A restart loses it, and begins with a full scan."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, field

from syncline.client.observe.hints import Dirt
from syncline.client.observe.ignore import Ignore
from syncline.client.observe.match import HashFile, InodeKey
from syncline.client.observe.notes import Notes
from syncline.client.trees.trees import Trees
from syncline.model.ids import NodeId
from syncline.ports.clock import Clock, Ids
from syncline.ports.local_files import LocalFiles
from syncline.ports.watcher import Watcher


class Senses(Struct, frozen=True):
    """What a walk looks through."""

    files: LocalFiles
    watcher: Watcher | None
    trees: Trees
    ids: Ids
    clock: Clock
    hash_file: HashFile | None


class Memory(Struct):
    ignore: Ignore
    dirt: Dirt = field(default_factory=Dirt)
    notes: Notes = field(default_factory=Notes)
    limbo: dict[NodeId, float] = field(default_factory=dict)
    """Nodes that vanished, and since when: they may turn up elsewhere."""
    expected: dict[InodeKey, float] = field(default_factory=dict)
    """Inodes of newcomers still being written, and when each is looked at again: what is missing may be one of them."""
    unread: set[NodeId] = field(default_factory=set)
    """Folders that could not be read when last tried."""
    watched: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Folders watched under their path, by device and inode."""


def reader(files: LocalFiles) -> Callable[[str, int], bytes]:
    """Reads at most so many bytes of a file."""

    def read(path: str, limit: int) -> bytes:
        parts: list[bytes] = []
        left = limit
        with files.open_read(path) as file:
            while left > 0 and (data := file.read(left)):
                parts.append(data)
                left -= len(data)
        return b"".join(parts)

    return read
