"""What can be downloaded, as it is stored: one revision of a file, and its blocks a page at a time.

Contract: reads see committed state only; a list of blocks is never read whole, however long it is. Who may read is asked by user in
`find`; `content`, `locate` and `blocks` are for callers who have decided that already. A store that cannot be reached raises
`Unavailable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from syncline.model.blocks import Block
from syncline.model.ids import Digest, NamespaceId, NodeId, UserId


class ContentRef(Struct, frozen=True, kw_only=True):
    """A file's revision; `revision` None means its present one, `namespace` None whichever of the user's holds it."""

    node_id: NodeId
    revision: int | None = None
    namespace: NamespaceId | None = None


class Content(Struct, frozen=True, kw_only=True):
    """One revision of a file. `name` and `mime_type` are the node's of today, whatever the revision.

    `content_hash` is None and `raw_key` names the object of its bytes while it lies as it was uploaded; else it is stored in
    blocks and `raw_key` is None.
    """

    namespace: NamespaceId
    node_id: NodeId
    revision: int
    name: str
    size: int
    content_hash: Digest | None
    mime_type: str | None
    mtime_us: int
    raw_key: str | None = None


class ContentStore(Protocol):
    async def find(self, user: UserId, refs: Sequence[ContentRef]) -> list[Content | None]:
        """In request order; None where there is no such revision in a namespace the user is a member of. Without a revision a
        deleted file is not found, with one it is. The user's own root goes before other namespaces."""
        ...

    async def content(self, namespace: NamespaceId, node: NodeId, revision: int | None) -> Content | None:
        """The same for one file of one namespace, whoever asks."""
        ...

    async def locate(self, content: Content, position: int) -> tuple[int, int]:
        """(index, offset): which block of a block-stored revision holds its byte `position`, and where that block begins. Past the
        end: the count of blocks, and the size of them all."""
        ...

    async def blocks(self, content: Content, first: int, limit: int) -> list[Block]:
        """Its blocks from index `first` on, in order."""
        ...
