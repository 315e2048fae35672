"""The nouns of a tree: what a file or folder is remotely, on this disk, and where both last agreed.

Structs are frozen and untracked by the garbage collector, since a device holds three for each file.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from syncline.model.ids import Digest, NamespaceId, NodeId


class Kind(StrEnum):
    """Immutable for a node: a type change is a new node."""

    FILE = "file"
    DIR = "dir"


FILE: Final = Kind.FILE
DIR: Final = Kind.DIR
"""By a name of their own, for rules that are asked of every node: an enum's member is looked up at the price of making a node."""


class Access(StrEnum):
    """What a member may do in a namespace."""

    READ = "read"
    WRITE = "write"
    OWNER = "owner"

    @property
    def may_write(self) -> bool:
        return self is not Access.READ


class Signature(Struct, frozen=True, gc=False):
    """What `lstat` says of a file: when all five are equal, and it was not racy, the bytes are the same."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class RemoteNode(Struct, frozen=True, gc=False, kw_only=True):
    """A node as the journal, applied so far, places it.

    A top-level node's parent is the namespace's id. A mount is a folder of the root namespace whose id is the mounted
    namespace's, so the mounted tree hangs below it without a join.
    """

    id: NodeId
    namespace: NamespaceId
    parent: NodeId
    name: str
    kind: Kind
    revision: int = 0
    content_hash: Digest | None = None
    size: int = 0
    executable: bool = False
    mtime_us: int = 0
    mount: bool = False


class LocalNode(Struct, frozen=True, gc=False, kw_only=True):
    """A node as last observed on disk.

    `id` is the synced node's id where the scanner recognised it, else a fresh one that a create will carry to the server.
    `content_hash` None means not yet known, never a guess. `executable` None means the file system cannot say.
    """

    id: NodeId
    parent: NodeId
    name: str
    kind: Kind
    signature: Signature
    links: int = 1
    content_hash: Digest | None = None
    executable: bool | None = None
    racy: bool = False


class SyncedNode(Struct, frozen=True, gc=False, kw_only=True):
    """The merge base: what both sides were known to agree on at one instant."""

    id: NodeId
    namespace: NamespaceId
    parent: NodeId
    name: str
    kind: Kind
    revision: int = 0
    content_hash: Digest | None = None
    executable: bool = False
