"""A case, running: a small tree, perturbed on each side, synced until nothing is left to do."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace
from tests.property.plan.chance import Chance
from tests.property.plan.client import SIGNATURE, Client
from tests.property.plan.script import MOUNTED, Op, Row, Script
from tests.property.plan.server import MOUNT, ROOT, Server

from syncline.model.entries import DIR, FILE, Access, LocalNode, RemoteNode, SyncedNode
from syncline.model.ids import NamespaceId, NodeId

ROUNDS_MAX = 200
HOME = NamespaceId("root")


class Spoiled(AssertionError):
    """A property does not hold."""


class World:
    def __init__(self, script: Script) -> None:
        self.mode = mode = script.mode
        self.script = script
        self.rng = rng = Chance(script.schedule, 1)
        nodes: dict[NodeId, RemoteNode] = {}
        access = {HOME: Access.OWNER}
        if mode in MOUNTED:
            access[NamespaceId(MOUNT)] = Access.READ if mode == "read mount" else Access.WRITE
            nodes[MOUNT] = RemoteNode(id=MOUNT, namespace=HOME, parent=ROOT, name="m", kind=DIR, mount=True, revision=1)
        for row in script.base:
            nodes[row[0]] = _remote(row, nodes)
        self.base = nodes
        self.destroyed: set[str] = set()
        """Contents that a person overwrote or deleted on a disk: nobody need have them."""
        self.server = Server(nodes, frozenset([MOUNT]) if mode == "read mount" else frozenset())
        self.clients = [
            Client(
                name,
                self.server,
                case_sensitive=script.sensitive,
                access=dict(access),
                rng=rng,
                delays=script.delays,
                has_bit=mode != "bitless disk",
                excluded=frozenset(script.excluded),
                untidy=set(script.untidy),
                parks=mode == "parked",
            )
            for name in "AB"[: script.clients]
        ]
        self.named = {client.name: client for client in self.clients}
        for client in self.clients:
            client.strict = script.clients == 1 and mode not in ("stale view", "live")
            self._seed(client)

    def _seed(self, client: Client) -> None:
        """Everything agrees; after a reset the base is gone, and perhaps the local identities with it."""
        synced = []
        local = []
        based, known = self.mode != "reset", self.script.known
        bit = client.bit(False)
        away = self.excluded_from(self.base) if self.script.absent else ()
        for node in self.base.values():
            if node.id in away:
                continue
            if based:
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
                    executable=bit if node.kind is FILE else None,
                )
            )
            if node.content_hash is not None:
                client.bytes[local_id] = node.content_hash
                client.written.add(node.content_hash)
        client.trees.load(self.base.values(), local, synced)

    def excluded_from(self, nodes: dict[NodeId, RemoteNode]) -> set[NodeId]:
        """What is excluded, or lies in what is."""
        away: set[NodeId] = set()
        if not self.script.excluded:
            return away
        for node_id in nodes:
            at = node_id
            while at in nodes:
                if at in self.script.excluded:
                    away.add(node_id)
                at = nodes[at].parent
        return away

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
            if self.script.schedule % 2 or not client.trees.synced.has_children(MOUNT):
                # An engine remembers the name of every namespace it held; by what it held alone an empty one cannot be told.
                client.context = replace(client.context, kept_names={NamespaceId(MOUNT): "m"})
            for node_id in gone:
                client.trees.remove_remote(node_id)

    def nodes_of(self, who: str) -> Collection[RemoteNode | LocalNode]:
        if who == "server":
            return self.server.nodes.values()
        return self.named[who].trees.local.nodes()

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
                alive |= not (made.is_idle if client.parked else made.is_empty)
                client.do(made)
            if len(client.busy) > len(client.parked):
                alive = True
                client.deliver(everything=number > 40)
        if not alive:
            for client in self.clients:
                if client.cursor < self.server.head:
                    return True
        return alive


def _remote(row: Row, nodes: dict[NodeId, RemoteNode]) -> RemoteNode:
    node_id, parent, name, kind, content = row
    above = nodes.get(parent)
    namespace = HOME if above is None else NamespaceId(MOUNT) if parent == MOUNT else above.namespace
    return RemoteNode(id=node_id, namespace=namespace, parent=parent, name=name, kind=kind, revision=1, content_hash=content)
