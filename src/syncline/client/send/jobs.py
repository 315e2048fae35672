"""The nouns of sending: a file to read and upload, and what came of it."""

from __future__ import annotations

from msgspec import Struct

from syncline.model.blocks import Manifest
from syncline.model.entries import Signature
from syncline.model.errors import SynclineError
from syncline.model.ids import Digest, NamespaceId, NodeId


class SendJob(Struct, frozen=True, kw_only=True):
    """A local file whose bytes the server should have. `certain` says: ask the server about every block, trust no knowledge."""

    node: NodeId
    namespace: NamespaceId
    path: str
    signature: Signature
    size: int
    previous_cut: str | None = None
    mtime_us: int = 0
    executable: bool = False
    certain: bool = False
    racy: bool = False
    """The signature was too young to tell a later write when the file was given to be read."""


class Prepared(Struct, frozen=True, kw_only=True):
    """Everything the commit needs: the file had `signature` before and after it was read, and its blocks are at the server."""

    node: NodeId
    namespace: NamespaceId
    signature: Signature
    content_hash: Digest
    size: int
    cut: str
    blocks: list[Digest]
    manifest: Manifest
    sent_bytes: int = 0
    racy: bool = False
    """Whether a write since may have left the signature as it is."""


class SendFailed(Struct, frozen=True, kw_only=True):
    node: NodeId
    error: SynclineError
