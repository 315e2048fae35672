"""A clock the test moves, chance that never varies, and the observing half of a device over a server in memory."""

from __future__ import annotations

from msgspec.structs import replace

from syncline.client.activity import Activity
from syncline.client.contact import Contact
from syncline.client.observe.pull import Puller
from syncline.client.plan.planner import PlanContext, plan
from syncline.client.plan.steps import Push, Step
from syncline.client.trees.trees import Trees
from syncline.model.entries import Kind, LocalNode, RemoteNode, Signature, SyncedNode
from syncline.model.ids import Digest, NodeId, ulid
from syncline.protocol.commits import Op
from syncline.testing.journal_remote import HOME, JournalRemote
from syncline.testing.memory import MemoryTreeStore

ONE, TWO = Digest("1" * 64), Digest("2" * 64)


class HandClock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def now_us(self) -> int:
        return int(self.now * 1e6)

    def monotonic_s(self) -> float:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += seconds


class Steady:
    """Chance in the middle."""

    def __init__(self) -> None:
        self.number = 0

    def token(self, size_bytes: int) -> bytes:
        self.number += 1
        return self.number.to_bytes(size_bytes, "big")

    def fraction(self) -> float:
        return 0.5


class Watching:
    """A device's eyes on the server, and what it remembers."""

    def __init__(self, remote: JournalRemote, store: MemoryTreeStore | None = None) -> None:
        self.remote = remote
        self.store = store or MemoryTreeStore()
        self.clock = HandClock()
        self.trees = Trees(HOME)
        self.start_pulling()
        self.activity = Activity(self.clock)
        self.woken = 0
        self.contact = Contact(
            remote=remote,  # type: ignore[arg-type]
            puller=self.puller,
            trees=self.trees,
            activity=self.activity,
            clock=self.clock,
            chance=Steady(),
            wake=self._wake,
        )

    def start_pulling(self) -> None:
        """As at a start, over the trees as they are now."""
        fresh = (node_id(number) for number in range(800, 900))
        self.puller = Puller(
            self.remote,  # type: ignore[arg-type]
            self.trees,
            self.store,
            self.store.cursors.values(),
            fresh_id=lambda: next(fresh),
        )

    def _wake(self) -> None:
        self.woken += 1

    async def pull(self) -> bool:
        await self.puller.refresh_namespaces()
        return await self.puller.pull(HOME)

    def names(self) -> set[str]:
        return {node.name for node in self.trees.remote}

    def planned(self) -> tuple[Step, ...]:
        """What the device would do about what is open."""
        ids = (node_id(number) for number in range(900, 1000))
        kept_names = {row.namespace: row.name for row in self.puller.cursors.values() if not row.is_root}
        context = PlanContext(device="Me", today="2026-01-02", fresh_id=lambda: next(ids), kept_names=kept_names)
        return plan(self.trees, context=context).steps

    def agree(self) -> None:
        """Everything on the server is here and synced."""
        for node in list(self.trees.remote):
            here = local_of(node.id, node.name, content=node.content_hash, parent=node.parent)
            self.trees.put_local(replace(here, kind=node.kind))
            self.trees.put_synced(
                SyncedNode(
                    id=node.id,
                    namespace=node.namespace,
                    parent=node.parent,
                    name=node.name,
                    kind=node.kind,
                    revision=node.revision,
                    content_hash=node.content_hash,
                )
            )
        self.store.write(self.trees.drain())

    def is_proven(self) -> bool:
        """Tree, store and server hold the same, by the Merkle root computed anew."""
        self.store_is_the_tree()
        return self.puller.roots.text(HOME) == self.remote.heads[-1][1] == self.puller.cursors[HOME].root

    def store_is_the_tree(self) -> None:
        assert self.store.remote == {node.id: node for node in self.trees.remote}
        assert self.store.synced == {node.id: node for node in self.trees.synced}
        assert self.store.cursors == self.puller.cursors


def node_id(number: int) -> NodeId:
    return NodeId(ulid(1000 + number, bytes(10)))


def local_of(node: NodeId, name: str, *, content: Digest | None = None, inode: int = 1, parent: str = HOME) -> LocalNode:
    signature = Signature(1, inode, 1, 1, 1)
    return LocalNode(id=node, parent=NodeId(parent), name=name, kind=Kind.FILE, signature=signature, content_hash=content)


def remote_of(node: NodeId, name: str, *, content: Digest | None = ONE, parent: str = HOME) -> RemoteNode:
    return RemoteNode(id=node, namespace=HOME, parent=NodeId(parent), name=name, kind=Kind.FILE, revision=1, content_hash=content)


def push(op: Op, number: int, **options: object) -> Push:
    made = Push(node=node_id(number), why="test", op=op, namespace=HOME, kind=Kind.FILE)
    return Push(**{name: getattr(made, name) for name in made.__struct_fields__} | options)
