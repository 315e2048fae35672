"""A case as it is written down: the base tree, what the devices are like, and every operation in order; and how one is drawn.

A case comes from a seed, but its script alone is enough to play it again, so that a failing one can be made shorter and kept.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tests.property.plan.chance import Chance
from tests.property.plan.server import MOUNT, ROOT

from syncline.model.entries import DIR, FILE, Kind, LocalNode, RemoteNode
from syncline.model.ids import NodeId
from syncline.model.paths import conflict_name

MODES = (
    "client and server",
    "two clients",
    "local only",
    "remote only",
    "case-sensitive disk",
    "bitless disk",
    "reset",
    "stale view",
    "live",
    "read mount",
    "write mount",
    "lost mount",
    "selective",
    "leftovers",
    "parked",
)
TURNS = (
    *("client and server", "case-sensitive disk") * 5,
    *("two clients", "reset", "read mount") * 3,
    *("local only", "remote only", "selective", "leftovers", "parked", "lost mount") * 2,
    *("bitless disk", "write mount", "stale view", "live"),
)
"""Whose turn it is, by seed: the dearer modes more seldom."""
MOUNTED = ("read mount", "write mount", "lost mount")
PLAIN_NAMES = ("a", "b", "c")
NAMES = ("a", "b", "c", "A", "\u00e9", "e\u0301")
KINDS = ("create", "edit", "delete", "move", "move", "mkdir", "chmod", "touch")
MOSTLY_MOVES = ("move", "move", "move", "delete", "delete", "mkdir", "create", "edit")
FOR_FILES = ("edit", "chmod", "touch")
IDS = tuple(NodeId(f"n{number:03d}") for number in range(200))
"""The ids of most cases, made once."""
Op = tuple
Row = tuple[NodeId, NodeId, str, Kind, str | None]
"""id, parent, name, kind, content."""


@dataclass
class Script:
    """What happened, concretely. `schedule` seeds what is left to chance while it runs: which transfers take long, and the like."""

    mode: str
    schedule: int = 0
    clients: int = 1
    sensitive: bool = False
    """The disks tell case and normalisation apart."""
    delays: bool = False
    known: bool = True
    """After a reset: the disk's identities are still known."""
    excluded: list[NodeId] = field(default_factory=list)
    """Kept off this disk."""
    absent: bool = False
    """What is excluded was excluded long ago, and is not on this disk."""
    untidy: list[NodeId] = field(default_factory=list)
    """Folders that hold something which is not synced."""
    base: list[Row] = field(default_factory=list)
    ops: list[tuple[int, str, Op]] = field(default_factory=list)
    """(round, who, operation); round 0 is before the first plan."""

    def told(self) -> str:
        """The case in words."""
        traits = [f"{self.clients} devices"] * (self.clients > 1) + ["telling case apart"] * self.sensitive + ["slow"] * self.delays
        traits += ["ids forgotten"] * (not self.known)
        lines = [", ".join([self.mode, *traits, f"schedule {self.schedule}"]), "base:"]
        lines += [f"  {node_id} = {parent}/{name} {content or '(folder)'}" for node_id, parent, name, _, content in self.base]
        if self.excluded:
            lines.append(f"excluded{', long ago' * self.absent}: {' '.join(self.excluded)}")
        if self.untidy:
            lines.append(f"with unsynced files: {' '.join(self.untidy)}")
        lines += [
            f"{'at once' if not at else f'round {at}'}: {who}.{op[0]} {' '.join(str(part) for part in op[1:])}"
            for at, who, op in self.ops
        ]
        return "\n".join(lines)


class Draw(Chance):
    """Draws operations that are likely to be possible on a tree."""

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

    def set_up(self, script: Script) -> None:
        """The base tree and the devices of a case, by its mode."""
        mode = script.mode
        script.base = self.base(mode in MOUNTED)
        if mode == "reset" and self.random() < 0.4:
            self._copy_of_one(script.base)
        busy = mode in ("stale view", "live")
        script.clients = 2 if mode == "two clients" or (busy and self.random() < 0.5) else 1
        script.sensitive = mode == "case-sensitive disk" or ((busy or mode == "two clients") and self.random() < 0.3)
        script.delays = busy or mode == "parked" or self.random() < 0.3
        script.known = mode != "reset" or self.random() < 0.5
        if mode == "selective":
            script.excluded = self.some_of([row[0] for row in script.base], 1)
            script.absent = self.random() < 0.5
        elif mode == "leftovers":
            script.untidy = [row[0] for row in script.base if row[3] is DIR and self.random() < 0.6]

    def _copy_of_one(self, base: list[Row]) -> None:
        """A conflict copy from before lies beside a file, with its bytes."""
        files = [row for row in base if row[3] is FILE]
        if files:
            _, parent, name, kind, content = self.one_of(files)
            base.append((self.id(), parent, conflict_name(name, "A", "2026-01-01"), kind, content))

    def content(self) -> str:
        if self.old and self.random() < 0.1:
            return self.one_of(self.old)
        self.count += 1
        content = f"c{self.count}"
        self.old.append(content)
        return content

    def id(self) -> NodeId:
        self.count += 1
        return IDS[self.count] if self.count < len(IDS) else NodeId(f"n{self.count:03d}")

    def base(self, mounted: bool) -> list[Row]:
        nodes: list[Row] = []
        spots = set()
        folders: list[tuple[NodeId, int]] = [(MOUNT, 0), (MOUNT, 0), (ROOT, 0)] if mounted else [(ROOT, 0)]
        for _ in range(2 + self.upto(4)):
            parent, depth = self.one_of(folders)
            name = self.one_of(PLAIN_NAMES)
            if (parent, name) in spots:
                continue
            spots.add((parent, name))
            node_id = self.id()
            if self.random() < 0.5 and depth < 3:
                nodes.append((node_id, parent, name, DIR, None))
                folders.append((node_id, depth + 1))
            else:
                nodes.append((node_id, parent, name, FILE, self.content()))
        return nodes

    def op(self, nodes: Collection[RemoteNode | LocalNode]) -> Op:
        kind = self.one_of(self.kinds)
        if kind in FOR_FILES:
            files = [node for node in nodes if node.kind is FILE]
            if files:
                file = self.one_of(files).id
                return (kind, file, self.content()) if kind == "edit" else (kind, file)
        elif kind == "delete" and nodes:
            return ("delete", self.one_of(list(nodes)).id)
        parent = ROOT
        if self.random() < 0.6:
            folders = [node for node in nodes if node.kind is DIR]
            if folders:
                parent = self.one_of(folders).id
        if kind == "move" and nodes:
            return ("move", self.one_of(list(nodes)).id, parent, self.one_of(self.names))
        if kind == "mkdir":
            return ("create", self.id(), parent, self.one_of(self.names), DIR, None)
        return ("create", self.id(), parent, self.one_of(self.names), FILE, self.content())
