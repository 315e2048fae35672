"""What a simulated disk is made of: inodes, the entries that name them, and files held open."""

from __future__ import annotations

from typing import Final, Protocol

from syncline.model.entries import Kind, Signature
from syncline.ports.local_files import Stat

FOLDER_BYTES: Final = 4096

Link = tuple[str, "Inode"]
"""A stored name and what it names."""


class Listener(Protocol):
    """Whoever watches a folder."""

    def event(self, number: int, mask: int, name: str) -> None: ...


class Inode:
    """A file, a folder, or (`kind` None) a symbolic link.

    `entries` is a folder's content as every process sees it, `kept` as it would be after the power went; `kept_in` and `kept_links`
    say the same of where this inode is. `safe` is a file's data as last made durable, None while that is all of it, and `settled`
    the ranges made durable since; `safe_attributes` likewise. `pins` counts what was deleted in a folder and is still open: until
    there is none, the folder is not gone for the kernel either.
    """

    __slots__ = (
        "birth_ns",
        "ctime_ns",
        "data",
        "device",
        "entries",
        "entry",
        "executable",
        "handles",
        "kept",
        "kept_in",
        "kept_links",
        "kind",
        "links",
        "mtime_ns",
        "number",
        "pins",
        "safe",
        "safe_attributes",
        "seen",
        "settled",
        "watchers",
    )

    def __init__(self, device: int, number: int, kind: Kind | None, now_ns: int, birth_ns: int | None = None) -> None:
        self.birth_ns = now_ns if birth_ns is None else birth_ns
        self.device = device
        self.number = number
        self.kind = kind
        self.mtime_ns = self.ctime_ns = now_ns
        self.links = 2 if kind is Kind.DIR else 0
        self.handles = 0
        self.pins = 0
        self.executable = False
        self.data = bytearray()
        self.entries: dict[str, Entry] = {}
        self.entry: Entry | None = None
        self.kept: dict[str, Link] = {}
        self.kept_in: Inode | None = None
        self.kept_links = 0
        self.safe: bytes | None = None
        self.safe_attributes: tuple[bool, int, int] | None = None
        self.settled: list[tuple[int, bytes]] = []
        self.seen: Stat | None = None
        self.watchers: dict[Listener, int] = {}

    def __repr__(self) -> str:
        return f"Inode({self.number}, {self.kind})"

    def signature(self) -> Signature:
        size = FOLDER_BYTES if self.kind is Kind.DIR else len(self.data)
        return Signature(self.device, self.number, size, self.mtime_ns, self.ctime_ns)

    def stat(self, name: str, has_exec: bool) -> Stat:
        """Remembered until something changes: most looks find what the last one found."""
        seen = self.seen
        if seen is None or seen.name != name:
            executable = self.executable if has_exec and self.kind is Kind.FILE else None
            seen = self.seen = Stat(name, self.kind, self.signature(), self.links, executable)
        return seen

    def path_from(self, above: Inode) -> str | None:
        """This folder's path below another one, None where it is not there."""
        names: list[str] = []
        at: Inode | None = self
        while at is not above:
            entry = at.entry if at is not None else None
            if entry is None:
                return None
            names.append(entry.name)
            at = entry.folder
        return "/".join(reversed(names))


class Entry:
    """A name in a folder. A rename takes it along, so an open file knows the name it has now; `folder` None says it has none, and
    `pinned` which folder it had while it is still open. `holders` counts who has it open."""

    __slots__ = ("folder", "holders", "inode", "name", "pinned")

    def __init__(self, folder: Inode | None, name: str, inode: Inode) -> None:
        self.folder = folder
        self.name = name
        self.inode = inode
        self.holders = 0
        self.pinned: Inode | None = None


class Handle:
    """A file held open: it stays with the inode whatever becomes of the name. `boot` is the machine's run it was opened in."""

    __slots__ = ("boot", "closed", "entry", "inode", "is_writable")

    def __init__(self, entry: Entry, boot: int, is_writable: bool) -> None:
        self.entry = entry
        self.inode = entry.inode
        self.boot = boot
        self.is_writable = is_writable
        self.closed = False
