"""What three people do to one tree, and what must be there in the end: each works in a folder of their own, so no two edits meet,
and every byte that was written last must be on every device."""

from __future__ import annotations

import hashlib
import random
import shutil
from pathlib import Path

from tests.e2e.world import Device, Tree

MINE = "work-{name}"


class Person:
    def __init__(self, device: Device, seed: int) -> None:
        self.device = device
        self._chance = random.Random(f"{seed} {device.name}")
        self._home = MINE.format(name=device.name)
        self._count = 0
        self.files: dict[str, str] = {}
        """What must be there: path → SHA-256."""

    def begin(self, source: Path) -> None:
        """A tree that somebody really has, copied in."""
        shutil.copytree(source, self.device.folder / self._home, ignore=shutil.ignore_patterns("__pycache__"))
        for path in (self.device.folder / self._home).rglob("*"):
            if path.is_file():
                self.files[self._name(path)] = hashlib.sha256(path.read_bytes()).hexdigest()

    def act(self) -> None:
        """One edit: a new file, a new version, a move, a folder moved, or a deletion."""
        acts = (self._write, self._write, self._edit, self._edit, self._move, self._delete)
        self._chance.choice(acts)()

    def _write(self) -> None:
        self._count += 1
        self._put(f"{self._home}/new {self._count % 7}/{self._count}.bin", self._chance.choice((200, 9_000, 400_000)))

    def _edit(self) -> None:
        self._put(self._some(), self._chance.choice((10, 20_000)))

    def _move(self) -> None:
        self._count += 1
        old, new = self._some(), f"{self._home}/moved/{self._count}"
        target = self.device.folder / new
        target.parent.mkdir(exist_ok=True)
        (self.device.folder / old).rename(target)
        self.files[new] = self.files.pop(old)

    def _delete(self) -> None:
        gone = self._some()
        (self.device.folder / gone).unlink()
        del self.files[gone]

    def _some(self) -> str:
        return self._chance.choice(sorted(self.files))

    def _put(self, name: str, size: int) -> None:
        """As editors do: written beside, then renamed into place."""
        content = self._chance.randbytes(size)
        path = self.device.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.device.folder.parent / f"editing-{self.device.name}"
        beside.write_bytes(content)
        beside.replace(path)
        self.files[name] = hashlib.sha256(content).hexdigest()

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.device.folder))


def missing(people: list[Person], found: Tree) -> list[str]:
    """What should be there and is not, and what should not be there and is."""
    wanted = {name: sha256 for person in people for name, sha256 in person.files.items()}
    there = {name: sha256 for name, (kind, sha256, _) in found.items() if kind == "file"}
    return [
        f"{name}: {wanted.get(name)} ≠ {there.get(name)}"
        for name in sorted({*wanted, *there})
        if wanted.get(name) != there.get(name)
    ]
