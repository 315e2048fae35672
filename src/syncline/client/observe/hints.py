"""Which folders to look at again, and which files still have a writer: the watcher's hints, kept until the walk takes them.

Hints only say where to look. A file that is being written to waits for its quiet window, told by the watcher's hints where there
are some, else by the file's own times; nothing here can hold a file up for longer than `QUIET_CAP_S` of writing.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from msgspec import Struct

from syncline.model.entries import Kind, Signature
from syncline.model.limits import CLOSED_QUIET_S, DIRTY_FOLDERS_MAX, DIRTY_NAMES_MAX, QUIET_CAP_S, QUIET_WINDOW_S
from syncline.model.paths import STATE_FOLDER, exact_key, join, parent_of
from syncline.ports.watcher import Hint, Hints

_NS: int = 1_000_000_000
_WRITING_LOOKED_AT: Final = 1_000
"""Quiet windows looked at to name some that are open: a burst has many, and naming must stay cheap."""


class Mark(Struct):
    """`names` are the entries in question; None for the folder whole."""

    due_s: float
    names: set[str] | None


class Writing(Struct):
    """A file seen being written. `told` by hints, else by its times."""

    first_s: float
    due_s: float
    told: bool


class Dirt:
    """Marks and quiet windows. Times are the monotonic clock's; not thread-safe."""

    def __init__(self) -> None:
        self.lost: str | None = None
        """Why only a full scan restores certainty, if so."""
        self._lost_due_s = 0.0
        self._marks: dict[str, Mark] = {}
        self._revisits: dict[str, Mark] = {}
        self._writing: dict[str, dict[str, Writing]] = {}
        """By folder and name, composed: the watcher spells it as the disk does, the scan as the tree does."""

    @property
    def is_clean(self) -> bool:
        return not (self._marks or self._revisits or self.lost)

    def lose(self, reason: str, due_s: float) -> None:
        """Nothing is certain any more; a full scan is due."""
        self.lost, self._lost_due_s = reason, due_s

    def next_due_s(self) -> float | None:
        """When the next look is due."""
        if self.lost is not None:
            return self._lost_due_s
        return min((mark.due_s for marks in (self._marks, self._revisits) for mark in marks.values()), default=None)

    def mark(self, hints: Hints, now_s: float) -> None:
        if hints.lost is not None:
            self.lose(hints.lost, now_s)
        for hint in hints.seen:
            if hint.folder.partition("/")[0] == STATE_FOLDER:
                continue
            if hint.folder_gone and not hint.folder:
                # No folder above tells that it is there again, and is to be watched anew with all below it.
                self.lose("the folder itself went away, and all watches with it", now_s)
            elif hint.folder_gone or not hint.name:
                self.mark_folder(hint.folder, now_s + CLOSED_QUIET_S)
                self.mark_folder(parent_of(hint.folder), now_s + CLOSED_QUIET_S)
            elif hint.folder or hint.name != STATE_FOLDER:
                _add(self._marks, hint.folder, hint.name, self._settles_s(hint, now_s))
        if len(self._marks) > DIRTY_FOLDERS_MAX:
            self.lose("more folders changed at once than are followed one by one", now_s)
            self._marks.clear()

    def mark_folder(self, folder: str, due_s: float) -> None:
        _add(self._marks, folder, None, due_s)

    def revisit(self, folder: str, name: str | None, at_s: float) -> None:
        """Look at the folder again, but not before `at_s`."""
        _add(self._revisits, folder, name, at_s)

    def take(self, now_s: float, *, full: bool) -> dict[str, set[str] | None]:
        """The folders to visit now, and what of them: everything hinted at (both halves of a rename must be seen together), and the
        revisits that are due. A full scan takes all."""
        marks, self._marks = self._marks, {}
        if full:
            self.lost = None
            self._revisits.clear()
            return {}
        for folder in [folder for folder, mark in self._revisits.items() if mark.due_s <= now_s]:
            mark = self._revisits.pop(folder)
            for name in (None,) if mark.names is None else mark.names:
                _add(marks, folder, name, now_s)
        return {folder: mark.names for folder, mark in marks.items()}

    def being_written(self, now_s: float, most: int) -> list[str]:
        """Some of the files whose quiet window is open; not to be asked while a scan runs."""
        every = ((folder, name, writing) for folder, within in self._writing.items() for name, writing in within.items())
        some = islice(every, _WRITING_LOOKED_AT)
        return list(islice((join(folder, name) for folder, name, writing in some if writing.due_s > now_s), most))

    def quiet_at(
        self, folder: str, name: str, kind: Kind, signature: Signature, now_s: float, now_ns: int, *, just_moved: bool
    ) -> float | None:
        """None when nothing writes to the entry any more, else when to look again. `just_moved` says that it is new here and
        changed its name or inode this instant, so that the hint about where it came from may still be on its way."""
        name = exact_key(name)
        within = self._writing.get(folder)
        writing = None if within is None else within.get(name)
        first_s = now_s if writing is None else writing.first_s
        due_s: float | None = None
        if now_s - first_s >= QUIET_CAP_S:
            pass
        elif writing is not None and writing.told:
            due_s = writing.due_s if writing.due_s > now_s else None
        else:
            if kind is Kind.FILE:
                due_s = _rests_at(signature, now_s, now_ns, first_s)
            if due_s is None and just_moved and first_s + CLOSED_QUIET_S > now_s:
                due_s = first_s + CLOSED_QUIET_S
        if due_s is None:
            if within is not None and within.pop(name, None) is not None and not within:
                del self._writing[folder]
        elif writing is None:
            self._writing.setdefault(folder, {})[name] = Writing(now_s, due_s, told=False)
        else:
            writing.due_s = due_s
        return due_s

    def tidy(self, folder: str, now_s: float) -> None:
        """Forgets quiet windows of the folder that are over and were for nothing."""
        within = self._writing.get(folder)
        if within is None:
            return
        for name in [name for name, writing in within.items() if writing.due_s <= now_s]:
            del within[name]
        if not within:
            del self._writing[folder]

    def forget(self, folder: str) -> None:
        """The folder is gone, with all below it."""
        below = folder + "/"
        places: tuple[dict[str, Mark] | dict[str, dict[str, Writing]], ...] = (self._revisits, self._writing)
        for held in places:
            for path in [path for path in held if path == folder or path.startswith(below)]:
                del held[path]

    def _settles_s(self, hint: Hint, now_s: float) -> float:
        """When the hinted entry is worth a look; opens or moves its quiet window."""
        if not (hint.written or hint.closed or hint.moved_in):
            return now_s + CLOSED_QUIET_S
        within = self._writing.setdefault(hint.folder, {})
        name = exact_key(hint.name)
        writing = within.get(name)
        if writing is None:
            writing = within[name] = Writing(now_s, now_s, told=True)
        writing.told = True
        due_s = now_s + (QUIET_WINDOW_S if hint.written else CLOSED_QUIET_S)
        writing.due_s = min(due_s, max(now_s, writing.first_s + QUIET_CAP_S))
        return writing.due_s


def _rests_at(signature: Signature, now_s: float, now_ns: int, first_s: float) -> float | None:
    """When a file without a hint has rested for the quiet window; None when it has. Times in the future say nothing: then the
    window runs from the first look."""
    for time_ns in (signature.mtime_ns, signature.ctime_ns):
        age_s = (now_ns - time_ns) / _NS
        if age_s >= 0:
            return None if age_s >= QUIET_WINDOW_S else now_s + QUIET_WINDOW_S - age_s
    due_s = first_s + QUIET_WINDOW_S
    return due_s if due_s > now_s else None


def _add(marks: dict[str, Mark], folder: str, name: str | None, due_s: float) -> None:
    mark = marks.get(folder)
    if mark is None:
        marks[folder] = Mark(due_s, None if name is None else {name})
        return
    mark.due_s = min(mark.due_s, due_s)
    if name is None or (mark.names is not None and len(mark.names) >= DIRTY_NAMES_MAX):
        mark.names = None
    elif mark.names is not None:
        mark.names.add(name)


_NOTHING: dict[str, Writing] = {}
