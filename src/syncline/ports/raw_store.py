"""Raw contents, stored: whole objects that are a revision's bytes until they were read, cut and packed.

`waiting` → `settled` or `rejected`, in the transaction that says so in the journal; from then on the object waits to be removed,
since URLs for it may still hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from syncline.model.ids import Digest, NamespaceId, NodeId, UserId
from syncline.protocol.blocks import RevisionRef


class RawContent(Struct, frozen=True, kw_only=True):
    """`owner` is the namespace's, `user` whoever made the revision. `sha256` is what was declared. Of `size` bytes `packed_bytes`
    count against the quota as blocks already. `previous_cut` is how the revision before was cut, if there is one."""

    namespace: NamespaceId
    owner: UserId
    user: UserId
    node: NodeId
    revision: int
    name: str
    object_key: str
    size: int
    packed_bytes: int
    sha256: Digest | None
    state: str
    attempts: int
    previous_cut: str | None


class RawStore(Protocol):
    async def next_waiting(self, now_us: int) -> RawContent | None:
        """One that is due; of a file's several the oldest only."""
        ...

    async def of_revisions(self, namespace: NamespaceId, refs: Sequence[RevisionRef]) -> dict[tuple[NodeId, int], RawContent]:
        """Those of these revisions that are raw and still `waiting`: what to download them from."""
        ...

    async def claim(self, raw: RawContent, now_us: int, until_us: int) -> bool:
        """Takes it in hand, unless another process did since it was found due: nobody finds it due until then."""
        ...

    async def hold(self, raw: RawContent, until_us: int) -> None:
        """Keeps what is in hand for so long from now on, or lets it go; nothing once it is not `waiting` any more."""
        ...

    async def packed(self, raw: RawContent, packed_bytes: int) -> None:
        """So many of its bytes lie in packs now; never fewer than before."""
        ...

    async def put_off(self, raw: RawContent, due_us: int) -> None:
        """Counts an attempt that failed."""
        ...

    async def leftovers(self, now_us: int, limit: int) -> list[RawContent]:
        """Those settled or rejected whose objects may go."""
        ...

    async def forget(self, raw: RawContent) -> None: ...
