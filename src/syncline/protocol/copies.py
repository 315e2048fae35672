"""Copies of files and folders, made by the server without moving a byte."""

from __future__ import annotations

from msgspec import Struct

from syncline.model.ids import NamespaceId, NodeId
from syncline.protocol.changes import Entry
from syncline.protocol.doors import NodeRef


class Copy(NodeRef, kw_only=True, omit_defaults=True):
    """One file or folder, with all in it, to its exact new place: `to_path`, or a folder (`to_parent_id`, in `to_namespace` where
    it is not to be looked for) and a name; without a name it keeps its own. Nothing is ever replaced: a taken name is an error, or
    with `autorename` the copy gets a number."""

    to_path: str | None = None
    to_parent_id: NodeId | None = None
    to_namespace: NamespaceId | None = None
    name: str | None = None
    autorename: bool = False


class CopyRequest(Struct, kw_only=True):
    """`POST /v1/files/copy`: at most `COPIES_MAX`, each by itself, in order."""

    files: list[Copy]


class Copied(Struct, kw_only=True, omit_defaults=True):
    """What became of one: the copy, whose journal tells of it, how many files and folders it has, and how many mounts of shared
    folders in it were left out; or `error`, a problem code, and why."""

    namespace: NamespaceId | None = None
    entry: Entry | None = None
    nodes: int = 0
    left_out: int = 0
    error: str | None = None
    detail: str | None = None


class CopyAnswer(Struct, kw_only=True):
    """In request order."""

    files: list[Copied]
