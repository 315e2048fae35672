"""The overlay a changeset is tried on: a draft for each node it touches, above the stored nodes it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct

from syncline.model.blocks import Block
from syncline.model.entries import Kind
from syncline.model.errors import SynclineError
from syncline.model.ids import Digest, NodeId
from syncline.model.journal import JournalEntry
from syncline.ports.metadata_store import RawObject
from syncline.protocol.commits import Change, Op, Present
from syncline.server.metadata.facts import Facts


class Refusal(SynclineError):
    """The change was refused ({code}): {detail}."""

    def __init__(
        self, code: str, detail: str, *, present: Present | None = None, by: Present | None = None, hashes: Sequence[Digest] = ()
    ) -> None:
        super().__init__(code=code, detail=detail)
        self.reason = code
        self.detail = detail
        self.present = present
        self.by = by
        self.hashes = list(hashes) or None


class ServerOp(StrEnum):
    """Rows that no changeset asks for by name: the server writes them."""

    MOUNT = "mount"
    UNMOUNT = "unmount"


class Content(Struct, frozen=True):
    """New bytes for a file, checked against the blocks the commit may name; or the bytes of an earlier revision, `based_on`; or a
    `raw` object, of which neither hash nor blocks are known yet."""

    content_hash: Digest | None
    size: int
    cut: str
    blocks: tuple[Block, ...]
    raw: RawObject | None = None
    based_on: int = 0


@dataclass(slots=True)
class Draft:
    """A node as the changeset leaves it.

    `before` is its stored state, None for a new one; `index` the change that placed or deleted it; `placed` says that it was
    created, moved or undeleted; `renewed` that it has a new revision, with new `content` or the old.
    """

    node_id: NodeId
    parent_id: NodeId
    name: str
    kind: Kind
    index: int
    before: JournalEntry | None = None
    op: str = Op.CREATE
    revision: int = 0
    content_hash: Digest | None = None
    size: int = 0
    executable: bool = False
    mtime_us: int = 0
    deleted: bool = False
    mount: bool = False
    placed: bool = False
    renewed: bool = False
    content: Content | None = None
    key: str = ""

    @property
    def base(self) -> int:
        """The revision that base revisions are compared with: the stored one, whatever this changeset did before."""
        return self.revision if self.before is None else self.before.revision

    @property
    def leaves(self) -> bool:
        """Whether it was live at a place that it is no longer at."""
        before = self.before
        return before is not None and not before.deleted and (self.deleted or self.parent_id != before.parent_id)


Node = Draft | JournalEntry


@dataclass(slots=True)
class Overlay:
    """One attempt at a changeset: `drafts` above `facts`, the ids it undeletes by name, and the texts it sets."""

    facts: Facts
    undeleted: frozenset[NodeId] = frozenset()
    drafts: dict[NodeId, Draft] = field(default_factory=dict)
    adopted: set[int] = field(default_factory=set)
    described: list[Change] = field(default_factory=list)

    def look(self, node_id: NodeId) -> Node | None:
        return self.drafts.get(node_id) or self.facts.nodes.get(node_id)

    def draft(self, node: Node, index: int, op: str) -> Draft:
        """The node's draft, made from its stored state if need be. The op that says more names the row."""
        if isinstance(node, Draft):
            if _WEIGHT[op] > _WEIGHT[node.op]:
                node.op = op
            return node
        draft = Draft(
            node_id=node.node_id,
            parent_id=node.parent_id,
            name=node.name,
            kind=node.kind,
            index=index,
            before=node,
            op=op,
            revision=node.revision,
            content_hash=node.content_hash,
            size=node.size,
            executable=node.executable,
            mtime_us=node.mtime_us,
            deleted=node.deleted,
            mount=node.mount,
            key=self.facts.key(node.name),
        )
        self.drafts[node.node_id] = draft
        return draft


_WEIGHT: dict[str, int] = {
    Op.MOVE: 0,
    Op.EDIT: 1,
    Op.UNDELETE: 2,
    ServerOp.MOUNT: 2,
    Op.CREATE: 3,
    Op.DELETE: 4,
    ServerOp.UNMOUNT: 4,
}


def present(node: Node) -> Present:
    """A node's state for a refusal: what is stored, never what the refused changeset would have made of it."""
    stored: Node = node.before or node if isinstance(node, Draft) else node
    return Present(
        node_id=stored.node_id,
        parent_id=stored.parent_id,
        name=stored.name,
        kind=stored.kind,
        revision=stored.revision,
        content_hash=stored.content_hash,
        deleted=stored.deleted,
    )
