"""What a check of a server tells: findings with stable codes (`docs/status-and-problems.md`), and one line for each hop."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from syncline.model.ids import Digest, NamespaceId, NodeId, PackId
from syncline.ports.check_store import CheckedNamespace


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is not as it must be. What it does not concern is left out; `path` is that of the tree of `owner`."""

    code: str
    message: str
    namespace: NamespaceId | None = None
    owner: str = ""
    path: str = ""
    node: NodeId | None = None
    revision: int | None = None
    sequence: int | None = None
    pack: PackId | None = None
    object: str = ""
    block: Digest | None = None


class Hop(Struct, frozen=True, kw_only=True):
    """One of the places where two records of the same thing were compared: what was compared, and how many findings came of it."""

    hop: str
    compared: str
    findings: int


class Progress(Struct, frozen=True, gc=False):
    """How far the reading of bytes is: of files or packs, and of bytes."""

    what: str
    done: int
    total: int
    done_bytes: int
    total_bytes: int


Tell = Callable[[Finding], None]
Show = Callable[[Progress], None]


def counted(count: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


class About(Struct, frozen=True):
    """Makes findings about one namespace."""

    space: CheckedNamespace

    def finding(
        self,
        code: str,
        message: str,
        path: str = "",
        *,
        node: NodeId | None = None,
        revision: int | None = None,
        sequence: int | None = None,
        block: Digest | None = None,
    ) -> Finding:
        return Finding(
            code=code,
            message=message,
            namespace=self.space.id,
            owner=self.space.owner,
            path=path,
            node=node,
            revision=revision,
            sequence=sequence,
            block=block,
        )
