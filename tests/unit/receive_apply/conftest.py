"""A synced root on a real disk, with trees that know it, for the tests of the applier."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from syncline.adapters.disk.files import LinuxFiles
from syncline.client.plan.steps import Fetch
from syncline.client.receive.apply import Applier, Fetched
from syncline.client.trees.trees import Trees
from syncline.model.entries import Kind, LocalNode, RemoteNode, SyncedNode
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.ports.clock import Ids
from syncline.testing.faulty import Faulty
from syncline.testing.memory import MemoryTreeStore

ROOT = NamespaceId("0" * 26)
OLD_US = 1_600_000_000_000_000


class TestClock:
    """Real time, moved on by hand."""

    __test__ = False

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now_us(self) -> int:
        return time.time_ns() // 1000 + int(self.ahead_s * 1e6)

    def monotonic_s(self) -> float:
        return time.monotonic() + self.ahead_s


class Counter:
    """Chance that counts."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def token(self, size_bytes: int) -> bytes:
        return next(self._numbers).to_bytes(size_bytes, "big")

    def fraction(self) -> float:
        return 0.5


def digest(data: bytes) -> Digest:
    return Digest(sha256(data).hexdigest())


class Desk:
    """One device: its root, trees and applier, and short words for what tests set up and look at."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.disk = LinuxFiles(root)
        self.store = MemoryTreeStore()
        self.clock = TestClock()
        self.ids = Ids(self.clock, Counter())
        self._numbers = count(1)
        self.restart()
        self.applier.prepare_root(None)

    def restart(self) -> None:
        """A new process: trees from the store, nothing else remembered."""
        self.files = Faulty(self.disk)
        self.doubtful_store = Faulty(self.store)
        self.trees = Trees(ROOT)
        remembered = self.store.load()
        self.trees.load(remembered.remote, remembered.local, remembered.synced, remembered.conflicts)
        self.applier = Applier(self.files, self.doubtful_store, self.trees, self.ids, self.clock, "laptop")

    def recover(self) -> list[str]:
        self.restart()
        return self.applier.recover()

    # -- the world ---------------------------------------------------------------------------------------------------------------

    def user_writes(self, path: str, data: bytes, mtime_us: int | None = OLD_US) -> None:
        """As editors do: a new file renamed over the old one."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        swap = target.with_name(target.name + ".swap")
        swap.write_bytes(data)
        if mtime_us is not None:
            os.utime(swap, ns=(mtime_us * 1000, mtime_us * 1000))
        swap.rename(target)

    def fresh_id(self) -> NodeId:
        return NodeId(f"{next(self._numbers):026d}")

    def known(self, path: str, data: bytes | None = None, *, remote: bool = True, synced: bool = True) -> NodeId:
        """A file (or with `data` None a folder) on disk that the trees know; folders above it are made likewise."""
        above, _, name = path.rpartition("/")
        parent = NodeId(ROOT) if not above else self.node_at(above) or self.known(above)
        if data is None:
            (self.root / path).mkdir(exist_ok=True)
        else:
            self.user_writes(path, data)
        node = self.fresh_id()
        self.observe(node, parent, path)
        local = self.trees.local[node]
        if remote:
            self.remote_has(node, parent, name, data)
        if synced:
            self.trees.put_synced(
                SyncedNode(
                    id=node, namespace=ROOT, parent=parent, name=name, kind=local.kind, revision=1, content_hash=local.content_hash
                )
            )
        self.save()
        return node

    def observe(self, node: NodeId, parent: NodeId, path: str) -> None:
        """The scanner has seen and read what is at `path`."""
        stat = self.disk.stat(path)
        assert stat.kind is not None
        content = digest((self.root / path).read_bytes()) if stat.kind is Kind.FILE else None
        self.trees.put_local(
            LocalNode(
                id=node,
                parent=parent,
                name=stat.name,
                kind=stat.kind,
                signature=stat.signature,
                links=stat.links,
                content_hash=content,
                executable=stat.executable,
            )
        )

    def remote_has(
        self, node: NodeId, parent: NodeId, name: str, data: bytes | None, *, revision: int = 1, executable: bool = False
    ) -> None:
        self.trees.put_remote(
            RemoteNode(
                id=node,
                namespace=ROOT,
                parent=parent,
                name=name,
                kind=Kind.DIR if data is None else Kind.FILE,
                revision=revision,
                content_hash=None if data is None else digest(data),
                size=len(data or b""),
                executable=executable,
                mtime_us=OLD_US,
            )
        )

    def save(self) -> None:
        self.store.write(self.trees.drain())

    # -- steps -------------------------------------------------------------------------------------------------------------------

    def fetched(self, node: NodeId, data: bytes, **aside: Any) -> tuple[Fetch, Fetched]:
        """The remote has `data` for `node` in a new revision, and it was downloaded."""
        remote = self.trees.remote[node]
        self.remote_has(node, remote.parent, remote.name, data, revision=remote.revision + 1)
        self.save()
        temp = f".syncline/tmp/{self.ids.fresh()}"
        with self.disk.create(temp) as file:
            file.write(data)
            self.disk.set_attributes(file, executable=False, mtime_us=OLD_US)
        fetch = Fetch(node=node, why="", parent=remote.parent, name=remote.name, **aside)
        got = Fetched(node=node, revision=remote.revision + 1, content_hash=digest(data), size=len(data), temp_path=temp)
        return fetch, got

    # -- looking -----------------------------------------------------------------------------------------------------------------

    def node_at(self, path: str) -> NodeId | None:
        return self.trees.local.find(path, NodeId(ROOT))

    def tree(self) -> dict[str, bytes | None]:
        """What the user sees: paths to bytes, folders to None."""
        seen: dict[str, bytes | None] = {}
        for path in sorted(self.root.rglob("*")):
            relative = path.relative_to(self.root).as_posix()
            if relative.partition("/")[0] != ".syncline":
                seen[relative] = path.read_bytes() if path.is_file() else None
        return seen

    def hidden(self) -> dict[str, bytes]:
        """Everything below `.syncline` but the marker."""
        state = self.root / ".syncline"
        return {
            path.relative_to(state).as_posix(): path.read_bytes()
            for path in sorted(state.rglob("*"))
            if path.is_file() and path.name != "root-id"
        }

    def check_no_echo(self) -> None:
        """The next scan would see nothing that the local tree does not know, and the store remembers what memory holds."""
        expected: dict[str, NodeId] = {}
        for node in self.trees.local:
            path = self.trees.local_path(node.id)
            assert path is not None
            expected[path] = node.id
            now = self.disk.stat(path)
            if node.kind is Kind.FILE:
                assert now.signature == node.signature, path
                assert node.content_hash in (None, digest((self.root / path).read_bytes())), path
            else:
                assert (now.signature.device, now.signature.inode) == (node.signature.device, node.signature.inode), path
            assert now.executable == node.executable
        assert sorted(expected) == sorted(self.tree())
        self.check_stored()

    def check_stored(self) -> None:
        assert self.store.local == {node.id: node for node in self.trees.local}
        assert self.store.synced == {node.id: node for node in self.trees.synced}
        assert self.store.conflicts == self.trees.conflicts
        assert [row.kind for row in self.store.inflight.values() if row.kind != "trash"] == []

    def is_agreed(self, node: NodeId) -> bool:
        """Whether the trees hold the node as in sync."""
        synced, remote = self.trees.synced.get(node), self.trees.remote.get(node)
        return (
            synced is not None
            and remote is not None
            and (synced.parent, synced.name, synced.revision, synced.content_hash)
            == (remote.parent, remote.name, remote.revision, remote.content_hash)
        )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    root = tmp_path / "root"
    root.mkdir()
    made = Desk(root)
    yield made
    made.disk.close()


@pytest.fixture
def make_desk(tmp_path: Path) -> Iterator[Any]:
    """A fresh desk for each call."""
    numbers, made = count(1), []

    def make() -> Desk:
        root = tmp_path / f"root{next(numbers)}"
        root.mkdir()
        made.append(Desk(root))
        return made[-1]

    yield make
    for each in made:
        each.disk.close()
