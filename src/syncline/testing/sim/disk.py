"""A simulated disk: processes and a user on one file system, and the misfortunes that befall it."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

from syncline.adapters.disk import linux
from syncline.model.entries import Kind
from syncline.ports.clock import Clock
from syncline.testing.sim.files import Hook, SimFiles
from syncline.testing.sim.hands import SimUser
from syncline.testing.sim.inodes import Entry, Inode
from syncline.testing.sim.lookup import refusal
from syncline.testing.sim.profile import DiskProfile
from syncline.testing.sim.tree import Tree

DEVICE: Final = 2049
PLACEHOLDER_DEVICE: Final = 1
ROOT: Final = "sync"


class SimDisk:
    """Everything follows from `rng`, `clock` and what is called. `roots` are the folders that stand at the start.

    `user` is the user of the first root; `outside` one of the whole disk, who may rename, delete and make roots, and move things in
    and out of them (paths begin with the root's name).
    """

    def __init__(self, rng: Random, clock: Clock, profile: DiskProfile | None = None, roots: Sequence[str] = (ROOT,)) -> None:
        self.rng = rng
        self.profile = profile or DiskProfile()
        self.tree = Tree(clock, self.profile, DEVICE)
        self.user = SimUser(self.tree, roots[0])
        self.outside = SimUser(self.tree, "")
        self._processes: list[SimFiles] = []
        self._unmounted: dict[str, Entry] = {}
        for root in roots:
            self.outside.mkdir(root)

    def files(self, root: str = ROOT, hook: Hook | None = None) -> SimFiles:
        """A process that opens the folder. Raises `FileNotFoundError` when it is not there."""
        made = SimFiles(self.tree, root, self.tree.folder(self.tree.top, root), hook)
        self._processes.append(made)
        return made

    # -- misfortune --------------------------------------------------------------------------------------------------------------

    def process_death(self, files: SimFiles | None = None) -> None:
        """One process (default: all) is killed: what it wrote stays, its files are closed. It makes no more calls: they are
        `Crash`. The next run takes new `files`."""
        for process in [files] if files is not None else list(self._processes):
            process.die()
            self._processes.remove(process)

    def power_loss(self) -> None:
        """The machine goes off and comes up again: every process is dead, what was not synced survives in part, what was
        unmounted is there again."""
        self.process_death()
        self.tree.power_loss(self.rng)
        self._unmounted.clear()

    def unmount(self, root: str = ROOT, *, empty: bool = False) -> None:
        """The root's disk is gone: its place is gone, or holds the `empty` folder it was mounted over (of another device). Files
        that hold the root answer EIO."""
        tree = self.tree
        entry = tree.find(tree.top, root)
        if entry is None or root in self._unmounted:
            raise refusal(errno.EINVAL, root)
        self._unmounted[root] = entry
        del tree.top.entries[root]
        for inode in _below(entry.inode):
            tree.offline.add(inode)
            watchers, inode.watchers = inode.watchers, {}
            for listener, number in watchers.items():
                listener.event(number, linux.IN_UNMOUNT, "")
                listener.event(number, linux.IN_IGNORED, "")
        if empty:
            placeholder = Inode(PLACEHOLDER_DEVICE, len(self._unmounted) + 2, Kind.DIR, tree.now_ns())
            placeholder.kept_in = tree.top
            placeholder.entry = tree.top.entries[root] = Entry(tree.top, root, placeholder)

    @property
    def is_unmounted(self) -> bool:
        """Whether any root's disk is away."""
        return bool(self._unmounted)

    def mount(self, root: str = ROOT, *, device: int | None = None) -> None:
        """It is back, whatever stood in its place meanwhile; with `device` under another number, as after a restart."""
        entry = self._unmounted.pop(root)
        self.tree.top.entries[root] = entry
        for inode in _below(entry.inode):
            self.tree.offline.discard(inode)
            if device is not None:
                inode.device = device
                inode.seen = None


def _below(root: Inode) -> Iterator[Inode]:
    """An inode and all that its entries lead to."""
    frontier = [root]
    while frontier:
        at = frontier.pop()
        yield at
        frontier += (entry.inode for entry in at.entries.values())
