"""The observer: keeps the local tree true to the disk, from the watcher's hints and from full scans.

First room of the river on this side: file change → *scan* → plan. Laws: hints only say where to look, the disk decides; what a
person is in the middle of writing stays as it was; a deletion needs proof (`walk`), a move is recognised so that nothing is sent
twice (`match`). Synchronous, for a worker thread; while `scan` runs nobody else touches the trees.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct, field

from syncline.client.observe.ignore import Ignore, ignored_by
from syncline.client.observe.match import HashFile
from syncline.client.observe.memory import Memory, Senses, reader
from syncline.client.observe.walk import Walk
from syncline.client.status import Problem
from syncline.client.trees.trees import Trees
from syncline.model.entries import Kind
from syncline.ports.clock import Clock, Ids
from syncline.ports.local_files import LocalFiles
from syncline.ports.watcher import Hints, Watcher

ROOT_RETRY_S: Final = 2.0


class Observed(Struct, kw_only=True):
    """What a scan found."""

    changed: int = 0
    """Local nodes put or removed."""
    unquiet: list[str] = field(default_factory=list)
    """Paths left as they were, since they are still being written."""
    retry_at_s: float | None = None
    """When to scan again (monotonic), if nothing else happens."""
    problems: list[Problem] = field(default_factory=list)
    """All that stands in the way as of now, in folders this scan did not look at too: it replaces what was told before."""
    complete: bool = True
    """False when the root could not be listed, or had lost its marker: nothing was taken as deleted."""
    unreadable: list[str] = field(default_factory=list)
    """Folders that could not be read: below them nothing was taken as deleted."""
    skipped: int = 0
    """Symbolic links and special files, in the whole tree."""
    ignored: int = 0
    """Entries this scan met and left out because of a rule."""


class Observer:
    """`mark` what the watcher says, `scan` when `due`. `hash_file` reads a file that has the given signature before and after."""

    def __init__(
        self,
        files: LocalFiles,
        watcher: Watcher | None,
        trees: Trees,
        ids: Ids,
        clock: Clock,
        hash_file: HashFile | None,
    ) -> None:
        self._senses = Senses(files, watcher, trees, ids, clock, hash_file)
        self._read = reader(files)
        self._memory = Memory(Ignore(self._read))

    def mark(self, hints: Hints) -> None:
        """Notes where to look. `lost` hints make the next scan a full one."""
        for hint in hints.seen:
            if hint.folder_gone:
                self._memory.watched.pop(hint.folder, None)
        self._memory.dirt.mark(hints, self._senses.clock.monotonic_s())

    def mark_folders(self, paths: Iterable[str]) -> None:
        """Notes folders to look at again at once."""
        now_s = self._senses.clock.monotonic_s()
        for path in paths:
            self._memory.dirt.mark_folder(path, now_s)

    @property
    def is_dirty(self) -> bool:
        """Whether anything is still to be looked at, now or later."""
        return not self._memory.dirt.is_clean

    @property
    def is_seeking(self) -> bool:
        """Whether something vanished that may turn up elsewhere; that is not sought for long."""
        return bool(self._memory.limbo)

    def being_written(self, most: int) -> list[str]:
        """Some of the files that are being written to right now; not to be asked while a scan runs."""
        return self._memory.dirt.being_written(self._senses.clock.monotonic_s(), most)

    @property
    def wants_full(self) -> bool:
        """Whether hints were lost, so that the next scan will be a full one."""
        return self._memory.dirt.lost is not None

    def due(self, now_s: float) -> bool:
        due_s = self._memory.dirt.next_due_s()
        return due_s is not None and due_s <= now_s

    def next_due_s(self) -> float | None:
        """When the next scan is due (monotonic); None when nothing is to be looked at."""
        return self._memory.dirt.next_due_s()

    def scan(self, *, full: bool) -> Observed:
        """Brings the local tree up to the disk: everything below the root, or what is marked and due. A full scan is made too when
        hints were lost. The caller has checked the root's marker."""
        clock, memory = self._senses.clock, self._memory
        walk = Walk(self._senses, memory, clock.monotonic_s(), full=full or self.wants_full)
        walk.run()
        scene = walk.scene
        if not scene.complete:
            memory.dirt.lose("the synced folder could not be read", clock.monotonic_s() + ROOT_RETRY_S)
        return Observed(
            changed=scene.changed,
            unquiet=list(dict.fromkeys(scene.unquiet)),
            retry_at_s=memory.dirt.next_due_s(),
            problems=memory.notes.problems(self._senses.trees),
            complete=scene.complete,
            unreadable=scene.unreadable,
            skipped=memory.notes.skipped,
            ignored=scene.ignored,
        )

    def ignored_by(self, path: str) -> str | None:
        """The rule that keeps `path` from being synced (`FILE:LINE: PATTERN`), or None: read from disk, so any thread may ask.

        None too for what is tracked: it syncs on, whatever the rules say. A slash at the end asks for a folder that does not exist.
        """
        trees, place = self._senses.trees, path.strip("/")
        if not place or any(tree.find(place, trees.root) is not None for tree in (trees.synced, trees.remote)):
            return None
        is_folder = path.endswith("/")
        try:
            is_folder = self._senses.files.stat(place).kind is Kind.DIR
        except OSError:
            is_folder = path.endswith("/")
        rule = ignored_by(place, is_folder=is_folder, read=self._read)
        return None if rule is None else str(rule)
