"""Where links are stored.

Contract: a link stays in the namespace it was made in, which its token names, wherever its node goes; counting a start is atomic,
so that no more begin than the limit allows. A store that cannot be reached raises `Unavailable`.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from syncline.model.ids import Digest, LinkId, NamespaceId, NodeId, UserId
from syncline.protocol.links import LinkKind


class LinkRow(Struct, frozen=True, kw_only=True):
    """`token_hash` is the SHA-256 of the token; `namespace` is where the link was made."""

    id: LinkId
    namespace: NamespaceId
    token_hash: Digest
    node: NodeId
    kind: LinkKind
    created_by: UserId
    created_us: int
    password_hash: str | None = None
    expires_us: int | None = None
    downloads_max: int | None = None
    downloads: int = 0

    @property
    def is_exhausted(self) -> bool:
        return self.downloads_max is not None and self.downloads >= self.downloads_max


class LinkStore(Protocol):
    async def add(self, link: LinkRow) -> None: ...

    async def by_token(self, namespace: NamespaceId, token_hash: Digest) -> LinkRow | None: ...

    async def link(self, link: LinkId) -> LinkRow | None: ...

    async def of_person(self, user: UserId, after: LinkId | None, limit: int) -> list[LinkRow]:
        """Those the user made, by id, above `after`."""
        ...

    async def of_node(self, node: NodeId, after: LinkId | None, limit: int) -> list[LinkRow]:
        """Those that lead to this node, whoever made them, by id, above `after`."""
        ...

    async def count_of(self, user: UserId) -> int: ...

    async def change(self, link: LinkRow) -> bool:
        """Stores the password, expiry and limit of `link` as they are given. False when it is gone."""
        ...

    async def remove(self, namespace: NamespaceId, link: LinkId) -> bool:
        """False when it was gone already."""
        ...

    async def begin(self, namespace: NamespaceId, link: LinkId) -> bool:
        """Counts one more start, unless the limit is reached or the link gone: then False."""
        ...
