"""The tree by path or id, for programs without a synced folder: making folders, moving, deleting."""

from __future__ import annotations

from msgspec import Struct

from syncline.model.ids import NamespaceId, NodeId
from syncline.protocol.changes import Entry


class NodeRef(Struct, kw_only=True, omit_defaults=True):
    """A live node: by its path in the caller's tree, or by its id (looked for wherever the caller may read it, unless a namespace
    is named)."""

    path: str | None = None
    node_id: NodeId | None = None
    namespace: NamespaceId | None = None


class NewFolder(Struct, kw_only=True, omit_defaults=True):
    """`POST /v1/folders`: by path (`parents` makes those missing above it, and lets it exist), or by the folder it lies in and a
    name."""

    path: str | None = None
    parents: bool = False
    parent_id: NodeId | None = None
    name: str | None = None
    namespace: NamespaceId | None = None


class Move(NodeRef, kw_only=True, omit_defaults=True):
    """One node to its exact new place: `to_path`, or a folder (`to_parent_id`, in `to_namespace` where that is another one) and a
    name; without a name it keeps its own. Nothing is ever replaced. With `base_revision` a file moves only if it is at that
    revision."""

    to_path: str | None = None
    to_parent_id: NodeId | None = None
    to_namespace: NamespaceId | None = None
    name: str | None = None
    base_revision: int | None = None


class MoveRequest(Struct, kw_only=True):
    """`POST /v1/files/move`: at most `BATCH_MAX`, each by itself, in order. Between namespaces a move is a copy and a delete in one
    transaction: ids are new, no byte moves."""

    files: list[Move]


class Delete(NodeRef, kw_only=True, omit_defaults=True):
    """One node to the trash; a folder that is not empty only if that is said (`recursive`). A shared folder's mount goes, and
    nothing in it is deleted."""

    recursive: bool = False
    base_revision: int | None = None


class DeleteRequest(Struct, kw_only=True):
    """`POST /v1/files/delete`: at most `BATCH_MAX`, each by itself, in order."""

    files: list[Delete]


class Placed(Struct, kw_only=True, omit_defaults=True):
    """What became of one: the node as it stands now and whose journal tells of it; or `error`, a problem code, and why."""

    namespace: NamespaceId | None = None
    entry: Entry | None = None
    error: str | None = None
    detail: str | None = None


class PlacedAnswer(Struct, kw_only=True):
    """In request order."""

    files: list[Placed]
