"""A real folder, an observer over it, and a clock that tests can wind."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

from syncline.adapters.disk.files import LinuxFiles
from syncline.client.observe.scan import Observed, Observer
from syncline.client.trees.trees import Trees
from syncline.model.entries import Kind, LocalNode, RemoteNode, Signature, SyncedNode
from syncline.model.ids import Digest, NamespaceId, NodeId, ulid
from syncline.ports.clock import Ids
from syncline.ports.local_files import LocalFiles
from syncline.ports.watcher import Hint, Hints

ROOT = NamespaceId(ulid(1, bytes(10)))


class WoundClock:
    """The machine's clock, plus what the test added."""

    def __init__(self) -> None:
        self.added_s = 0.0

    def now_us(self) -> int:
        return time.time_ns() // 1000 + int(self.added_s * 1e6)

    def monotonic_s(self) -> float:
        return time.monotonic() + self.added_s


class Counting:
    """Chance that counts."""

    def __init__(self) -> None:
        self.number = 0

    def token(self, size_bytes: int) -> bytes:
        self.number += 1
        return self.number.to_bytes(size_bytes, "big")

    def fraction(self) -> float:
        return 0.5


class NotedWatcher:
    """Remembers what it was told to watch."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.folders: set[str] = set()

    def watch(self, folder: str) -> None:
        self.calls.append(("watch", folder))
        self.folders.add(folder)

    def unwatch(self, folder: str) -> None:
        self.calls.append(("unwatch", folder))
        self.folders -= {path for path in self.folders if path == folder or path.startswith(folder + "/")}

    def moved(self, old: str, new: str) -> None:
        self.calls.append(("moved", old, new))
        moved = {path for path in self.folders if path == old or path.startswith(old + "/")}
        self.folders = self.folders - moved | {new + path[len(old) :] for path in moved}

    async def next(self) -> Hints:
        raise NotImplementedError

    def close(self) -> None: ...


class World:
    """`at` is the folder; `scan` and `settle` look at it."""

    def __init__(self, at: Path, *, files: LocalFiles | None = None, watcher: bool = True) -> None:
        self.at = at
        at.mkdir(exist_ok=True)
        (at / ".syncline").mkdir(exist_ok=True)
        (at / ".syncline" / "root-id").write_text("id")
        self.clock = WoundClock()
        self.trees = Trees(ROOT)
        self.chance = Counting()
        self.files: LocalFiles = LinuxFiles(at) if files is None else files
        self.watcher = NotedWatcher() if watcher else None
        self.hashed: list[str] = []
        self.observer = self.fresh_observer()

    def fresh_observer(self) -> Observer:
        return Observer(self.files, self.watcher, self.trees, Ids(self.clock, self.chance), self.clock, self.hash_file)

    def hash_file(self, path: str, signature: Signature) -> Digest:
        self.hashed.append(path)
        with self.files.open_read(path) as file:
            content = bytearray()
            while data := file.read(1 << 20):
                content += data
        return Digest(hashlib.sha256(content).hexdigest())

    # -- the user ----------------------------------------------------------------------------------------------------------------

    def write(self, path: str, text: str = "text", *, age_s: float = 100.0) -> None:
        """A file, last changed `age_s` ago."""
        file = self.at / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self.age(path, age_s)

    def age(self, path: str, age_s: float) -> None:
        then = time.time_ns() - int(age_s * 1e9)
        os.utime(self.at / path, ns=(then, then))

    def move(self, old: str, new: str) -> None:
        (self.at / new).parent.mkdir(parents=True, exist_ok=True)
        os.rename(self.at / old, self.at / new)

    def remove(self, path: str) -> None:
        target = self.at / path
        shutil.rmtree(target) if target.is_dir() and not target.is_symlink() else target.unlink()

    # -- looking -----------------------------------------------------------------------------------------------------------------

    def wind(self, seconds: float) -> None:
        self.clock.added_s += seconds

    def full(self) -> Observed:
        """A full scan, some time after whatever happened."""
        self.wind(5)
        return self.observer.scan(full=True)

    def hint(self, *paths: str, **flags: bool) -> None:
        hints = [Hint(*_split(path), **flags) for path in paths]
        self.observer.mark(Hints(seen=hints))

    def look(self, *paths: str, **flags: bool) -> Observed:
        """An incremental scan once the hints about `paths` are due."""
        self.hint(*paths, **flags)
        self.wind(0.06)
        return self.observer.scan(full=False)

    def settle(self) -> None:
        """Scans until nothing is left to look at."""
        for _ in range(20):
            due_s = self.observer.next_due_s()
            if due_s is None:
                return
            self.wind(max(0.0, due_s - self.clock.monotonic_s()) + 0.001)
            self.observer.scan(full=False)
        raise AssertionError("never at rest")

    def shape(self) -> dict[str, Kind]:
        """The local tree by path."""
        return {str(self.trees.local_path(node.id)): node.kind for node in self.trees.local}

    def ids(self) -> dict[str, NodeId]:
        return {str(self.trees.local_path(node.id)): node.id for node in self.trees.local}

    def node(self, path: str) -> LocalNode:
        node_id = self.trees.local.find(path, self.trees.root)
        assert node_id is not None, path
        return self.trees.local[node_id]

    def agree(self) -> None:
        """Everything local is on the server too: contents known, nothing racy, nothing open."""
        for node in list(self.trees.local):
            path = str(self.trees.local_path(node.id))
            content_hash = None
            if node.kind is Kind.FILE:
                content_hash = Digest(hashlib.sha256((self.at / path).read_bytes()).hexdigest())
                known = LocalNode(
                    id=node.id,
                    parent=node.parent,
                    name=node.name,
                    kind=node.kind,
                    signature=node.signature,
                    links=node.links,
                    content_hash=content_hash,
                    executable=node.executable,
                )
                self.trees.put_local(known)
            place = {"id": node.id, "namespace": ROOT, "parent": node.parent, "name": node.name, "kind": node.kind}
            self.trees.put_remote(RemoteNode(**place, content_hash=content_hash, revision=1))  # type: ignore[arg-type]
            self.trees.put_synced(SyncedNode(**place, content_hash=content_hash, revision=1))  # type: ignore[arg-type]
        self.trees.drain()
        self.trees.open.clear()


def on_disk(at: Path) -> dict[str, Kind]:
    """What a person would list."""
    found: dict[str, Kind] = {}
    for folder, folders, names in os.walk(at):
        base = os.path.relpath(folder, at)
        if base == ".":
            folders.remove(".syncline")
        for name in folders:
            found[os.path.normpath(os.path.join(base, name))] = Kind.DIR
        for name in names:
            found[os.path.normpath(os.path.join(base, name))] = Kind.FILE
    return found


def _split(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name
