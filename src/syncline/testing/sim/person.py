"""A person at one device: does what an event says to whatever is there, and keeps the ledger.

What cannot be done (nothing to move, the name is taken) is not done. Each operation is what an editor, a shell or a file manager
does: several of them in one breath are several system calls to the engine's eye.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import replace

from syncline.model.entries import Kind
from syncline.testing.sim.ledger import Ledger, named
from syncline.testing.sim.script import Event
from syncline.testing.sim.user import Seen, UserDisk, Writer

Tree = dict[str, Seen]
DEPTH = 3
TRIES = 4
"""Whoever cannot do a thing to what they first thought of does it to something else."""


class Person:
    """`log` is told in words what was done, for whoever reads a failing run."""

    def __init__(self, name: str, disk: UserDisk, ledger: Ledger, log: Callable[[str], None]) -> None:
        self.name = name
        self.disk = disk
        self._ledger = ledger
        self._log = log
        self._writers: list[tuple[Writer, bytes]] = []
        self.done = 0
        self.left_alone: set[str] = set()
        """What this person neither moves nor deletes: the mounts of shared folders."""
        self.alone: Tree | None = None
        """What this person left, where nobody else changes anything anywhere: the engine must not either."""
        self.intruded: str | None = None
        """What the engine changed on the disk of somebody who is alone."""

    def act(self, event: Event) -> bool:
        """Whether it could be done."""
        before = self._seen()
        if before is None:
            return False
        self.look_around(before)
        told: str | None = None
        for turn in range(TRIES):
            with suppress(OSError):
                told = getattr(self, f"_{event.what}")(_turned(event, turn), before)
            if told or (seen := self._seen()) != before or seen is None:
                break
        if told:
            self.done += 1
            self._log(f"{self.name}.{told}")
        self._account(before)
        return bool(told)

    def _seen(self) -> Tree | None:
        """What this person sees; None while the folder is away."""
        try:
            return self.disk.tree()
        except OSError:
            return None

    def _account(self, before: Tree) -> None:
        """Everything that is new on the disk since `before` is this person's work, and so is everything that is no longer there."""
        after = self._seen() or {}
        self._ledger.note(self.name, Counter(_contents(before)), Counter(_contents(after)))
        if self.alone is not None:
            self.alone = after

    def look_around(self, tree: Tree) -> None:
        """Somebody alone finds everything as they left it."""
        if self.alone is not None and tree != self.alone and self.intruded is None:
            changed = sorted(path for path in tree.keys() | self.alone.keys() if tree.get(path) != self.alone.get(path))
            told = [f"{path!r} from {_told(self.alone.get(path))} to {_told(tree.get(path))}" for path in changed]
            self.intruded = f"the engine changed {', '.join(told)} at {self.name}"

    def finish_writers(self) -> None:
        """Whoever still writes ends the file and closes it."""
        before = self._seen()
        hidden = set(_contents(self.disk.everything())) if before is not None else set()
        for writer, last in self._writers:
            with suppress(OSError):
                writer.write(last)
            writer.close()
        self._writers.clear()
        if before is not None:
            self._account(before)
            for content in set(_contents(self.disk.everything())) - hidden:
                self._ledger.wrote(self.name, content)

    # -- choosing ------------------------------------------------------------------------------------------------------------------

    def _file(self, event: Event, tree: Tree, pick: int = 0) -> str | None:
        files = sorted(path for path, (kind, _, _) in tree.items() if kind is Kind.FILE)
        return files[int(event.picks[pick] * len(files))] if files else None

    def _entry(self, event: Event, tree: Tree) -> str | None:
        paths = sorted(tree.keys() - self.left_alone)
        return paths[int(event.picks[0] * len(paths))] if paths else None

    def _place(self, event: Event, tree: Tree, pick: int = 1) -> str:
        folders = ["", *sorted(path for path, (kind, _, _) in tree.items() if kind is Kind.DIR and path.count("/") < DEPTH - 1)]
        folder = folders[int(event.picks[pick] * len(folders))]
        return f"{folder}/{event.text}" if folder else event.text

    def _fresh(self, event: Event, tree: Tree) -> bytes:
        """New bytes; now and then those of a file that is there already."""
        if event.picks[2] < 0.1 and (old := self._file(event, tree, 1)) is not None:
            return tree[old][1] or b""
        return self._ledger.fresh(self.name, event.size)

    # -- deeds: each does it, keeps the ledger, and says what it did --------------------------------------------------------------

    def _new(self, event: Event, tree: Tree) -> str | None:
        path = self._place(event, tree)
        if self.disk.read(path) is not None or path in tree:
            return None
        content = self._fresh(event, tree)
        self.disk.write(path, content)
        return f"new {path!r} {named(content)}"

    def _replace(self, event: Event, tree: Tree, deed: Callable[[str, bytes], None], word: str) -> str | None:
        path = self._file(event, tree)
        if path is None:
            return None
        content = self._fresh(event, tree)
        if content == tree[path][1]:
            return None
        deed(path, content)
        return f"{word} {path!r} {named(content)}"

    def _write(self, event: Event, tree: Tree) -> str | None:
        return self._replace(event, tree, self.disk.write, "write")

    def _save(self, event: Event, tree: Tree) -> str | None:
        return self._replace(event, tree, self.disk.save, "save")

    def _backup(self, event: Event, tree: Tree) -> str | None:
        return self._replace(event, tree, self.disk.save_backup, "backup")

    def _poke(self, event: Event, tree: Tree) -> str | None:
        path = self._file(event, tree)
        if path is None or not (old := tree[path][1]):
            return None
        new = self._ledger.fresh(self.name, max(1, event.size))[: len(old)]
        self.disk.poke(path, new)
        return f"poke {path!r} {named(new)}"

    def _append(self, event: Event, tree: Tree) -> str | None:
        path = self._file(event, tree)
        if path is None:
            return None
        old = tree[path][1] or b""
        more = self._ledger.fresh(self.name, max(1, event.size))
        self.disk.append(path, more)
        return f"append {path!r} {named(old + more)}"

    def _mkdir(self, event: Event, tree: Tree) -> str | None:
        path = self._place(event, tree)
        self.disk.mkdir(path)
        return f"mkdir {path!r}"

    def _delete(self, event: Event, tree: Tree) -> str | None:
        path = self._entry(event, tree)
        if path is None:
            return None
        self.disk.delete(path)
        return f"delete {path!r}"

    def _move(self, event: Event, tree: Tree) -> str | None:
        source, target = self._entry(event, tree), self._place(event, tree)
        if source is None or target == source or target.startswith(source + "/"):
            return None
        self.disk.move(source, target)
        return f"move {source!r} {target!r}"

    def _over(self, event: Event, tree: Tree) -> str | None:
        """`mv -f one other`."""
        source, target = self._file(event, tree), self._file(event, tree, 1)
        if source is None or target is None or source == target or tree[source][1] is None:
            return None
        self.disk.delete(target)
        self.disk.move(source, target)
        return f"over {source!r} {target!r}"

    def _swap(self, event: Event, tree: Tree) -> str | None:
        one, other = self._entry(event, tree), self._file(event, tree, 1)
        if one is None or other is None or one == other or other.startswith(one + "/") or one.startswith(other + "/"):
            return None
        spare = "swap.tmp"
        self.disk.move(one, spare)
        self.disk.move(other, one)
        self.disk.move(spare, other)
        return f"swap {one!r} {other!r}"

    def _chmod(self, event: Event, tree: Tree) -> str | None:
        path = self._file(event, tree)
        if path is None or tree[path][2] is None:
            return None
        self.disk.chmod(path, not tree[path][2])
        return f"chmod {path!r} {not tree[path][2]}"

    def _touch(self, event: Event, tree: Tree) -> str | None:
        path = self._file(event, tree)
        if path is None:
            return None
        self.disk.touch(path, None)
        return f"touch {path!r}"

    def _copy(self, event: Event, tree: Tree) -> str | None:
        source, target = self._file(event, tree), self._place(event, tree)
        if source is None or target in tree:
            return None
        content = tree[source][1] or b""
        self.disk.write(target, content)
        return f"copy {source!r} {target!r} {named(content)}"

    def _writer(self, event: Event, tree: Tree) -> str | None:
        """Opens a file and keeps writing to it, whatever becomes of its name."""
        path = self._file(event, tree)
        if path is None or self._writers:
            return None
        writer = self.disk.open_writer(path)
        writer.write(self._ledger.fresh(self.name, 10))
        self._writers.append((writer, self._ledger.fresh(self.name, 12)))
        return f"writer {path!r}"


def _turned(event: Event, turn: int) -> Event:
    """The same event with its eye on other things."""
    return replace(event, picks=tuple((pick + turn * 0.381966) % 1.0 for pick in event.picks)) if turn else event


def _contents(tree: Tree) -> list[bytes]:
    return [content for _, content, _ in tree.values() if content]


def _told(seen: Seen | None) -> str:
    if seen is None:
        return "nothing"
    return named(seen[1]) + (" executable" if seen[2] else "")
