"""Which folders are watched: a tree of names over inotify's watch numbers.

The kernel watches an inode and knows no name, so names live here. A folder that moves takes its whole subtree along by one change
of its parent, however much lies below it.
"""

from __future__ import annotations

from collections.abc import Iterator


class Folder:
    """A name on the way to something watched; `number` is its own watch, or -1."""

    __slots__ = ("children", "name", "number", "parent")

    def __init__(self, name: str, parent: Folder | None) -> None:
        self.name = name
        self.parent = parent
        self.children: dict[str, Folder] = {}
        self.number = -1

    def path(self) -> str:
        names: list[str] = []
        at = self
        while at.parent is not None:
            names.append(at.name)
            at = at.parent
        return "/".join(reversed(names))

    def below(self) -> Iterator[Folder]:
        """This folder and all under it."""
        frontier = [self]
        while frontier:
            at = frontier.pop()
            frontier += at.children.values()
            yield at


class Watched:
    """Folders by path and by watch number."""

    def __init__(self) -> None:
        self._top = Folder("", None)
        self._by_number: dict[int, Folder] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    def path_of(self, number: int) -> str | None:
        folder = self._by_number.get(number)
        return None if folder is None else folder.path()

    def number_at(self, path: str) -> int | None:
        folder = self._find(path)
        return None if folder is None or folder.number < 0 else folder.number

    def put(self, path: str, number: int) -> list[int]:
        """`number` watches `path` now. What was watched there before lies elsewhere or nowhere: the numbers to unwatch."""
        forgotten: list[int] = []
        known = self._by_number.get(number)
        if known is not None and known.path() != path:
            # The same inode under a new name: it moved, and what is below it moved along.
            forgotten = self.move(known.path(), path)
        folder = self._make(path)
        if known is not None and known is not folder:
            known.number = -1
            self._prune(known)
        if folder.number not in (-1, number):
            self._by_number.pop(folder.number, None)
            forgotten.append(folder.number)
        folder.number = number
        self._by_number[number] = folder
        return forgotten

    def move(self, old: str, new: str) -> list[int]:
        """Renames `old` and all below it. What was watched at `new` before is forgotten: the numbers to unwatch."""
        folder = self._find(old)
        if folder is None or folder.parent is None or not new or old == new or new.startswith(old + "/"):
            return []
        above, folder.parent = folder.parent, None
        del above.children[folder.name]
        self._prune(above)
        forgotten = self.drop(new)
        holder, _, name = new.rpartition("/")
        folder.parent = self._make(holder)
        folder.name = name
        folder.parent.children[name] = folder
        return forgotten

    def drop(self, path: str) -> list[int]:
        """Forgets `path` and all below it; the numbers to unwatch."""
        folder = self._find(path)
        if folder is None:
            return []
        numbers = [each.number for each in folder.below() if each.number >= 0]
        for number in numbers:
            self._by_number.pop(number, None)
        if folder.parent is None:
            self._top = Folder("", None)
        else:
            del folder.parent.children[folder.name]
            self._prune(folder.parent)
        return numbers

    def ignored(self, number: int) -> None:
        """The kernel dropped this watch by itself."""
        folder = self._by_number.pop(number, None)
        if folder is not None:
            folder.number = -1
            self._prune(folder)

    def _find(self, path: str) -> Folder | None:
        at: Folder | None = self._top
        for name in path.split("/") if path else ():
            at = at.children.get(name) if at is not None else None
        return at

    def _make(self, path: str) -> Folder:
        at = self._top
        for name in path.split("/") if path else ():
            below = at.children.get(name)
            if below is None:
                below = at.children[name] = Folder(name, at)
            at = below
        return at

    def _prune(self, folder: Folder) -> None:
        """Names that lead to nothing watched any more go."""
        while folder.parent is not None and folder.number < 0 and not folder.children:
            del folder.parent.children[folder.name]
            folder = folder.parent
