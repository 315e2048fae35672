"""What stands in the way on disk, folder by folder, as last seen: problems for a person, one line each, in a bounded list."""

from __future__ import annotations

from msgspec import Struct, field

from syncline.client.status import Problem
from syncline.client.trees.trees import Trees
from syncline.model.ids import NodeId
from syncline.model.limits import SCAN_PROBLEMS_MAX
from syncline.model.paths import join


class Note(Struct, frozen=True):
    """About one entry of a folder ("" for the folder itself)."""

    code: str
    message: str


class FolderNotes(Struct):
    skipped: int = 0
    """Symbolic links, devices, sockets and pipes."""
    entries: dict[tuple[str, str], Note] = field(default_factory=dict)
    """By name and code."""


class Notes:
    """The current notes of all folders. They follow a folder when it moves, and go with it."""

    def __init__(self) -> None:
        self._folders: dict[NodeId, FolderNotes] = {}

    def begin(self, folder: NodeId) -> None:
        """The folder is looked at whole: what was noted before is void."""
        self._folders.pop(folder, None)

    def forget(self, folder: NodeId) -> None:
        self._folders.pop(folder, None)

    def clear(self, folder: NodeId, name: str) -> None:
        """One entry is looked at anew."""
        notes = self._folders.get(folder)
        if notes is not None:
            for key in [key for key in notes.entries if key[0] == name]:
                del notes.entries[key]

    def skip(self, folder: NodeId) -> None:
        self._folders.setdefault(folder, FolderNotes()).skipped += 1

    def add(self, folder: NodeId, name: str, code: str, message: str) -> None:
        entries = self._folders.setdefault(folder, FolderNotes()).entries
        if len(entries) <= SCAN_PROBLEMS_MAX:
            entries[name, code] = Note(code, message)

    def keep_only(self, folders: set[NodeId]) -> None:
        """The other folders are gone, or became another node."""
        for folder in [folder for folder in self._folders if folder not in folders]:
            del self._folders[folder]

    @property
    def skipped(self) -> int:
        return sum(notes.skipped for notes in self._folders.values())

    def problems(self, trees: Trees) -> list[Problem]:
        """All of them, at most `SCAN_PROBLEMS_MAX` and a line that counts the rest."""
        self.keep_only({folder for folder in self._folders if folder == trees.root or folder in trees.local})
        found: list[Problem] = []
        total = 0
        for folder, notes in self._folders.items():
            total += len(notes.entries)
            if len(found) >= SCAN_PROBLEMS_MAX or not notes.entries:
                continue
            path = trees.local_path(folder)
            if path is None:
                continue
            for (name, _), note in list(notes.entries.items())[: SCAN_PROBLEMS_MAX - len(found)]:
                found.append(Problem(code=note.code, path=shown(join(path, name) if name else path), message=note.message))
        if total > len(found):
            found.append(Problem(code="scan.more", path="", message=f"{total - len(found)} more entries cannot be synced."))
        if skipped := self.skipped:
            found.append(Problem(code="skipped.special", path="", message=_skipped(skipped)))
        return found


def shown(path: str) -> str:
    """A path that can be printed: bytes that are no text as `\\xNN`, control characters escaped."""
    text = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _skipped(count: int) -> str:
    what = "entry is a symbolic link or special file" if count == 1 else "entries are symbolic links or special files"
    return f"{count} {what}, not synced and left alone."
