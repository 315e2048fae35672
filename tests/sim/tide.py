"""A tide: changes of every kind on two sides of a synced tree at once, and what the rules say the tree must be afterwards.

Each tide leaves, in a folder of its own, the files that the next one edits, moves and deletes, and clears away what the one before
it left. Almost every path is touched on one side only, so the tree afterwards is known to the byte; where both sides touch a path,
the decision table says what comes of it, and for true conflicts both contents must live, one of them in a conflict copy.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from tests.e2e.world import Tree, difference

KIB, MIB = 1024, 1024 * 1024
RESTED_S = 5.0
"""Files get an mtime so long ago: nobody is writing to them any more."""
COPY_MARK = "'s conflicted copy "

Act = Callable[[], object]
Acts = list[Act]


class Side:
    """A user at one folder. `beside` is a path outside it, on the same file system: files come into the folder whole."""

    def __init__(self, root: Path, beside: Path) -> None:
        self.root = root
        self.beside = beside

    def write(self, path: str, data: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        self.beside.write_bytes(data)
        then = time.time() - RESTED_S
        os.utime(self.beside, (then, then))
        self.beside.replace(target)

    def move(self, source: str, target: str) -> None:
        (self.root / target).parent.mkdir(parents=True, exist_ok=True)
        (self.root / source).rename(self.root / target)

    def copy(self, source: str, target: str) -> None:
        self.write(target, (self.root / source).read_bytes())

    def delete(self, path: str) -> None:
        target = self.root / path
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()

    def make_executable(self, path: str) -> None:
        (self.root / path).chmod(0o755)

    def make_folder(self, path: str) -> None:
        (self.root / path).mkdir(parents=True)


_SIDED = (
    "edit",
    "move",
    "gone",
    "mode",
    "swap-a",
    "swap-b",
    "keep",
    "tree-gone/x",
    "tree-gone/y/z",
    "tree-moved/x",
    "tree-moved/y/z",
)
_SHARED = ("edit-both", "edit-move", "delete-edit", "edit-delete", "delete-both", "edit-same")
BASE = (*(f"{side}/{work}" for side in ("here", "there") for work in _SIDED), *_SHARED)
"""Files that stand on both sides before a tide."""


class Tides:
    """Tides one after the other between two sides, from one seed. `there` is the side that may replace what `here` did not see."""

    def __init__(self, here: Side, there: Side, seed: int) -> None:
        self._sides = {"here": here, "there": there}
        self._chance = random.Random(f"tides {seed}")
        self._serial = 0
        self._base = 0
        self._rubbish: list[str] = []
        self._acts: dict[str, Acts] = {"here": [], "there": []}
        self._files: dict[str, tuple[str, bool]] = {}
        self._folders: set[str] = set()
        self._rivals: dict[str, frozenset[str]] = {}
        self.written: set[str] = set()
        """The SHA-256 of everything a user wrote."""

    def begin(self) -> dict[str, Acts]:
        """The first base."""
        self._acts = {"here": [], "there": []}
        self._next_base()
        return self._acts

    def rise(self) -> dict[str, Acts]:
        """What happens on each side in the next tide, to be done in any order."""
        self._acts = {"here": [], "there": []}
        base, new = f"base{self._base}", f"new{self._base}"
        for path in self._rubbish:
            self._delete("there", path)
        self._rubbish = [base, new]
        for side in ("here", "there"):
            self._one_sided(side, f"{base}/{side}", f"{new}/{side}")
        self._two_sided(base, new)
        self._next_base()
        return self._acts

    def grow(self) -> dict[str, Acts]:
        """A tide that touches nothing that stands."""
        self._acts = {"here": [], "there": []}
        folder = f"fresh{self._serial}"
        for side in ("here", "there"):
            for name in ("one", "two"):
                self._write(side, f"{folder}/{name}-{side}", 3_000)
        self._rubbish.append(folder)
        return self._acts

    def grow_long(self, size: int) -> dict[str, Acts]:
        """A tide of one long file there, of a few blocks over and over."""
        self._acts = {"here": [], "there": []}
        path = f"long{self._serial}"
        self._write("there", path, size, pattern=MIB)
        self._rubbish.append(path)
        return self._acts

    def plain(self, size: int) -> tuple[str, bytes]:
        """A file that comes to the server by no device at all: its path and bytes."""
        path = f"plain{self._serial}"
        data = self._content(path, size)
        self._files[path] = (hashlib.sha256(data).hexdigest(), False)
        self._rubbish.append(path)
        return path, data

    def check(self, found: Tree) -> None:
        """Raises AssertionError when a tree is not what all tides so far must have led to."""
        rest = dict(found)
        for path, contents in self._rivals.items():
            there = [path, *(other for other in rest if _is_copy_of(other, path))]
            shas = [rest[place][1] for place in there if place in rest]
            assert len(there) == 2, f"{path} has {len(there) - 1} conflict copies for one conflict: {there}"
            assert set(shas) == contents, f"a version of {path} is not live: {there}"
            for place in there:
                del rest[place]
        copies = [path for path in rest if COPY_MARK in path]
        assert not copies, f"conflict copies where only one side changed, or both agreed: {copies}"
        assert rest == self._expected(), difference(self._expected(), rest)

    def _expected(self) -> Tree:
        files = {path: ("file", sha, executable) for path, (sha, executable) in self._files.items() if path not in self._rivals}
        above = {str(parent) for path in (*self._files, *self._folders) for parent in PurePosixPath(path).parents}
        return {**dict.fromkeys((above | self._folders) - {"."}, ("dir", None, False)), **files}

    # -- what happens --------------------------------------------------------------------------------------------------------------

    def _one_sided(self, side: str, base: str, new: str) -> None:
        self._write(side, f"{base}/edit", 900)
        self._move(side, f"{base}/move", f"{new}/moved")
        self._delete(side, f"{base}/gone")
        self._delete(side, f"{base}/tree-gone")
        self._move(side, f"{base}/tree-moved", f"{new}/tree")
        self._swap(side, f"{base}/swap-a", f"{base}/swap-b")
        self._set_mode(side, f"{base}/mode")
        self._copy(side, f"{base}/keep", f"{new}/copied")
        self._write(side, f"{new}/small", 40)
        self._write(side, f"{new}/deep/er/empty", 0)
        self._write(side, f"{new}/large", self._chance.choice((300, 1_500, 2_600)) * KIB)
        self._folders.add(f"{new}/folder")
        self._acts[side].append(lambda: self._sides[side].make_folder(f"{new}/folder"))

    def _two_sided(self, base: str, new: str) -> None:
        for path in (f"{base}/edit-both", f"{new}/twin"):
            mine, theirs = self._write("here", path, 500), self._write("there", path, 600)
            self._rivals[path] = frozenset((mine, theirs))
        self._write("here", f"{base}/edit-move", 300)
        self._move("there", f"{base}/edit-move", f"{new}/edit-moved")
        self._write("there", f"{base}/delete-edit", 300)
        self._act("here", "delete", f"{base}/delete-edit")
        self._write("here", f"{base}/edit-delete", 300)
        self._act("there", "delete", f"{base}/edit-delete")
        self._delete("here", f"{base}/delete-both")
        self._act("there", "delete", f"{base}/delete-both")
        for path in (f"{base}/edit-same", f"{new}/twin-same"):
            data = self._content(path, 700)
            for side in ("here", "there"):
                self._put(side, path, data)

    def _next_base(self) -> None:
        self._base += 1
        for index, name in enumerate(BASE):
            side = "here" if self._base > 1 and index % 3 == 0 else "there"
            self._write(side, f"base{self._base}/{name}", self._chance.choice((20, 700, 9_000)))

    def _act(self, side: str, act: str, *arguments: object) -> None:
        self._acts[side].append(lambda: getattr(self._sides[side], act)(*arguments))

    def _content(self, path: str, size: int, pattern: int = 0) -> bytes:
        self._serial += 1
        head = f"{self._serial} {path}\n".encode()
        if size == 0:
            data = b""
        elif pattern:
            data = (head + self._chance.randbytes(pattern - len(head))) * (size // pattern)
        else:
            data = head + self._chance.randbytes(max(0, size - len(head)))
        self.written.add(hashlib.sha256(data).hexdigest())
        return data

    def _put(self, side: str, path: str, data: bytes) -> str:
        sha = hashlib.sha256(data).hexdigest()
        self._files[path] = (sha, False)
        self._act(side, "write", path, data)
        return sha

    def _write(self, side: str, path: str, size: int, *, pattern: int = 0) -> str:
        return self._put(side, path, self._content(path, size, pattern))

    def _move(self, side: str, source: str, target: str) -> None:
        self._act(side, "move", source, target)
        for path in [path for path in self._files if path == source or path.startswith(source + "/")]:
            self._files[target + path.removeprefix(source)] = self._files.pop(path)

    def _swap(self, side: str, one: str, other: str) -> None:
        for source, target in ((one, f"{one}.hold"), (other, one), (f"{one}.hold", other)):
            self._move(side, source, target)

    def _copy(self, side: str, source: str, target: str) -> None:
        self._act(side, "copy", source, target)
        self._files[target] = self._files[source]

    def _set_mode(self, side: str, path: str) -> None:
        self._act(side, "make_executable", path)
        self._files[path] = (self._files[path][0], True)

    def _delete(self, side: str, path: str) -> None:
        self._act(side, "delete", path)
        below = path + "/"
        self._files = {at: item for at, item in self._files.items() if at != path and not at.startswith(below)}
        self._folders = {at for at in self._folders if not at.startswith(below)}
        self._rivals = {at: both for at, both in self._rivals.items() if not at.startswith(below)}


def _is_copy_of(path: str, original: str) -> bool:
    found, wanted = PurePosixPath(path), PurePosixPath(original)
    return found.parent == wanted.parent and found.name.startswith(f"{wanted.stem} (") and COPY_MARK in found.name
