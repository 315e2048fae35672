"""Cases and how they run: a small random tree, perturbed on each side, synced until nothing is left to do, and judged.

A case is a seed. Its script (the base tree and every operation, in order) is recorded as it is drawn, so that a failing case can be
played again without parts of it until only what matters is left.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tests.property.plan.chance import Chance
from tests.property.plan.client import SIGNATURE, Client
from tests.property.plan.server import ROOT, Server

from syncline.model.entries import Access, Kind, LocalNode, RemoteNode, SyncedNode
from syncline.model.ids import NamespaceId, NodeId

MODES = (
    "client and server",
    "two clients",
    "local only",
    "remote only",
    "case-sensitive disk",
    "reset",
    "stale view",
    "live",
    "read mount",
    "write mount",
    "lost mount",
)
TURNS = (
    *("client and server",) * 5,
    *("case-sensitive disk",) * 3,
    *("local only", "remote only", "reset") * 2,
    *("two clients",) * 3,
    "stale view",
    "live",
    "read mount",
    "write mount",
    "lost mount",
)
"""Whose turn it is, by seed: the dearer modes more seldom."""
MOUNTED = ("read mount", "write mount", "lost mount")
ROUNDS_MAX = 200
PLAIN_NAMES = ("a", "b", "c")
NAMES = ("a", "b", "c", "A", "\u00e9", "e\u0301")
MOUNT = NodeId("m0")
KINDS = ("create", "edit", "delete", "move", "move", "mkdir", "chmod", "touch")
MOSTLY_MOVES = ("move", "move", "move", "delete", "delete", "mkdir", "create", "edit")
FOR_FILES = ("edit", "chmod", "touch")
Op = tuple


@dataclass
class Script:
    """What happened, concretely: enough to play it again."""

    mode: str
    base: list[tuple] = field(default_factory=list)
    ops: list[tuple[int, str, Op]] = field(default_factory=list)
    """(round, who, operation); round 0 is before the first plan."""


class Spoiled(AssertionError):
    """A property does not hold."""


class Draw(Chance):
    """Draws operations that are likely to be possible on a tree, and records them."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, 0)
        self.count = 0
        self.old: list[str] = []
        self.names = NAMES if self.random() < 0.4 else PLAIN_NAMES
        self.kinds: Sequence[str] = KINDS
        if self.random() < 0.3:
            self.kinds = self.some_of(KINDS, 4)
        elif self.random() < 0.4:
            self.kinds = MOSTLY_MOVES

    def content(self) -> str:
        if self.old and self.random() < 0.1:
            return self.one_of(self.old)
        self.count += 1
        content = f"c{self.count}"
        self.old.append(content)
        return content

    def id(self) -> NodeId:
        self.count += 1
        return NodeId(f"n{self.count:03d}")

    def base(self) -> list[tuple]:
        nodes, spots = [], set()
        folders: list[tuple[NodeId, int]] = [(ROOT, 0)]
        for _ in range(2 + self.upto(4)):
            parent, depth = self.one_of(folders)
            name = self.one_of(PLAIN_NAMES)
            if (parent, name) in spots:
                continue
            spots.add((parent, name))
            node_id = self.id()
            if self.random() < 0.5 and depth < 3:
                nodes.append((node_id, parent, name, Kind.DIR, None))
                folders.append((node_id, depth + 1))
            else:
                nodes.append((node_id, parent, name, Kind.FILE, self.content()))
        return nodes

    def op(self, nodes: Collection[RemoteNode | LocalNode]) -> Op:
        kind = self.one_of(self.kinds)
        if kind in FOR_FILES:
            files = [node.id for node in nodes if node.kind is Kind.FILE]
            if files:
                file = self.one_of(files)
                return (kind, file, self.content()) if kind == "edit" else (kind, file)
        elif kind == "delete" and nodes:
            return ("delete", self.one_of([node.id for node in nodes]))
        parent = ROOT
        if self.random() < 0.6:
            folders = [node.id for node in nodes if node.kind is Kind.DIR]
            if folders:
                parent = self.one_of(folders)
        if kind == "move" and nodes:
            return ("move", self.one_of([node.id for node in nodes]), parent, self.one_of(self.names))
        if kind == "mkdir":
            return ("create", self.id(), parent, self.one_of(self.names), Kind.DIR, None)
        return ("create", self.id(), parent, self.one_of(self.names), Kind.FILE, self.content())


class World:
    """One case, running."""

    def __init__(self, mode: str, base: list[tuple], seed: int) -> None:
        self.mode = mode
        self.rng = rng = Chance(seed, 1)
        mounted = mode in MOUNTED
        nodes = [self._remote(row, mounted) for row in base]
        access = {NamespaceId("root"): Access.OWNER}
        if mounted:
            access[NamespaceId(MOUNT)] = Access.READ if mode == "read mount" else Access.WRITE
            nodes.insert(
                0, RemoteNode(id=MOUNT, namespace=NamespaceId("root"), parent=ROOT, name="m", kind=Kind.DIR, mount=True, revision=1)
            )
        self.base = {node.id: node for node in nodes}
        self.destroyed: set[str] = set()
        """Contents that a person overwrote or deleted on a disk: nobody need have them."""
        self.server = Server(nodes, frozenset([MOUNT]) if mode == "read mount" else frozenset())
        count = 2 if mode == "two clients" or (mode in ("stale view", "live") and rng.random() < 0.5) else 1
        sensitive = mode == "case-sensitive disk" or (mode in ("two clients", "stale view", "live") and rng.random() < 0.3)
        delays = mode in ("stale view", "live") or rng.random() < 0.3
        self.clients = [
            Client(name, self.server, case_sensitive=sensitive, access=access, rng=rng, delays=delays) for name in "AB"[:count]
        ]
        self.named = {client.name: client for client in self.clients}
        for client in self.clients:
            client.strict = count == 1 and mode not in ("stale view", "live")
            self._seed(client, nodes)

    @staticmethod
    def _remote(row: tuple, mounted: bool) -> RemoteNode:
        node_id, parent, name, kind, content = row
        namespace, parent = (MOUNT, MOUNT if parent == ROOT else parent) if mounted else ("root", parent)
        return RemoteNode(
            id=node_id, namespace=NamespaceId(namespace), parent=parent, name=name, kind=kind, revision=1, content_hash=content
        )

    def _seed(self, client: Client, nodes: list[RemoteNode]) -> None:
        """Everything agrees; after a reset the base is gone, and half the time the local identities with it."""
        synced = []
        local = []
        known = self.mode != "reset" or self.rng.random() < 0.5
        for node in nodes:
            if self.mode != "reset":
                synced.append(
                    SyncedNode(
                        id=node.id,
                        namespace=node.namespace,
                        parent=node.parent,
                        name=node.name,
                        kind=node.kind,
                        revision=1,
                        content_hash=node.content_hash,
                    )
                )
            local_id = node.id if known else NodeId("x" + node.id)
            local.append(
                LocalNode(
                    id=local_id,
                    parent=node.parent if known or node.parent == ROOT else NodeId("x" + node.parent),
                    name=node.name,
                    kind=node.kind,
                    signature=SIGNATURE,
                    content_hash=node.content_hash,
                    executable=False if node.kind is Kind.FILE else None,
                )
            )
            if node.content_hash is not None:
                client.bytes[local_id] = node.content_hash
                client.written.add(node.content_hash)
        client.trees.load(nodes, local, synced)

    def act(self, who: str, op: Op) -> bool:
        if who == "server":
            return op[0] != "touch" and self.server.user(op)
        client = self.named.get(who)
        if client is None or op[1] == MOUNT:
            return False
        if op[0] == "delete":
            local = client.trees.local
            if self.mode in MOUNTED and local.is_below(MOUNT, op[1]):
                return False
            below = local.descendants(op[1])
            self.destroyed.update(client.bytes[node] for node in (op[1], *(node.id for node in below)) if node in client.bytes)
        elif op[0] == "edit" and op[1] in client.bytes:
            self.destroyed.add(client.bytes[op[1]])
        return client.user(op)

    def lose_mount(self) -> None:
        """The membership ends: the device hears of an unmount, and never of the namespace again."""
        gone = [node.id for node in self.server.nodes.values() if node.id == MOUNT or node.namespace == MOUNT]
        for node_id in gone:
            del self.server.nodes[node_id]
        for client in self.clients:
            client.pull()
            del client.trees.access[NamespaceId(MOUNT)]
            for node_id in gone:
                client.trees.remove_remote(node_id)

    def nodes_of(self, who: str) -> Collection[RemoteNode | LocalNode]:
        if who == "server":
            return self.server.nodes.values()
        return list(self.named[who].trees.local)

    def actors(self) -> list[str]:
        if self.mode == "local only":
            return ["A"]
        if self.mode == "remote only":
            return ["server"]
        if self.mode == "two clients":
            return ["A", "B"]
        return [*self.named, "server"]

    def round(self, number: int, twice: bool) -> bool:
        """One round of every client; whether anything is still going on."""
        alive = False
        for client in self.clients:
            client.pull(self.rng.upto(1) if self.mode == "stale view" and number < 12 else None)
            made = client.plan_twice() if twice else client.plan()
            if made.steps or made.waiting:
                alive |= not made.is_empty
                client.do(made)
            if client.busy:
                alive = True
                client.deliver(everything=number > 40)
        return alive or any(client.cursor < self.server.head for client in self.clients)
