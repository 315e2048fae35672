"""Blocks taken over from another namespace without their bytes: possession, and where an unverified copy of them may be read."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Connection, and_, bindparam, exists, func, insert, literal, or_, select, update

from syncline.adapters.sql.possession import revive
from syncline.adapters.sql.rows import as_json, listed, texts
from syncline.adapters.sql.schema import block_copies, block_sources, namespace_blocks, namespaces, packs, revision_blocks
from syncline.model.ids import NamespaceId, NodeId


def serves(namespace: Any) -> ColumnElement[bool]:
    """Whether a pack's unverified copy of a block may be read in `namespace`: sent there, or to where the block came from."""
    came = exists().where(
        block_sources.c.namespace_id == namespace,
        block_sources.c.hash == block_copies.c.hash,
        block_sources.c.source_id == packs.c.namespace_id,
    )
    return or_(packs.c.namespace_id == namespace, came)


_TO: Final[Any] = bindparam("target")
_FROM: Final[Any] = bindparam("source")


def take_over(connection: Connection, source: NamespaceId, target: NamespaceId, nodes: list[NodeId], now_us: int) -> None:
    """`target` possesses every block of these nodes of its own, none of which it has to be sent: what is new comes from `source`,
    and is counted."""
    wanted = _named(connection.dialect.name)
    parameters = {"target": target, "source": source, "ids": as_json(nodes), "now_us": now_us}
    held = exists().where(namespace_blocks.c.namespace_id == _TO, namespace_blocks.c.hash == wanted.c.hash)
    known = exists().where(
        block_sources.c.namespace_id == _TO,
        block_sources.c.hash == wanted.c.hash,
        block_sources.c.source_id == packs.c.namespace_id,
    )
    sources = (
        select(_TO, wanted.c.hash, packs.c.namespace_id)
        .select_from(wanted.join(block_copies, block_copies.c.hash == wanted.c.hash).join(packs, _IN_PACK))
        .where(block_copies.c.state == "claimed", packs.c.state == "done", packs.c.namespace_id != _TO)
        .where(serves(_FROM), ~held, ~known)
        .distinct()
    )
    connection.execute(insert(block_sources).from_select(["namespace_id", "hash", "source_id"], sources), parameters)
    size = select(func.coalesce(func.sum(wanted.c.size), 0)).where(~held)
    added = int(connection.execute(size, parameters).scalar_one())
    rows = select(_TO, wanted.c.hash, wanted.c.size, literal("held"), bindparam("now_us", type_=BigInteger)).where(~held)
    columns = ["namespace_id", "hash", "size", "state", "since_us"]
    connection.execute(insert(namespace_blocks).from_select(columns, rows), parameters)
    _revive(connection, target, nodes, now_us)
    _count(connection, target, added)


_IN_PACK: Final = packs.c.pack_id == block_copies.c.pack_id


def _named(dialect: str) -> Any:
    """The blocks of the target's nodes, once each."""
    named = select(revision_blocks.c.hash, func.max(revision_blocks.c.size).label("size"))
    mine = (revision_blocks.c.namespace_id == _TO, revision_blocks.c.node_id.in_(listed(texts(dialect, "ids"))))
    return named.where(*mine).group_by(revision_blocks.c.hash).subquery()


def _revive(connection: Connection, target: NamespaceId, nodes: list[NodeId], now_us: int) -> None:
    """What waited for removal is named again, and counts again."""
    table = revision_blocks.c
    ids = listed(texts(connection.dialect.name, "ids"))
    named = select(table.hash).where(table.namespace_id == target, table.node_id.in_(ids)).distinct()
    condemned = select(namespace_blocks.c.hash).where(
        namespace_blocks.c.namespace_id == target, namespace_blocks.c.state == "condemned", namespace_blocks.c.hash.in_(named)
    )
    revive(connection, target, list(connection.execute(condemned, {"ids": as_json(nodes)}).scalars()), now_us)


def give_up(connection: Connection, namespace: NamespaceId, taken_by: NamespaceId) -> None:
    """`namespace` lets go of the blocks that `taken_by` has taken over and none of its own revisions names any more."""
    table = namespace_blocks.c
    other = namespace_blocks.alias("other")
    gone = and_(
        table.namespace_id == bindparam("here"),
        exists().where(other.c.namespace_id == bindparam("there"), other.c.hash == table.hash),
        ~exists().where(revision_blocks.c.namespace_id == bindparam("here"), revision_blocks.c.hash == table.hash),
    )
    parameters = {"here": namespace, "there": taken_by}
    freed = int(
        connection.execute(
            select(func.coalesce(func.sum(table.size), 0)).where(gone, table.state == "held"), parameters
        ).scalar_one()
    )
    connection.execute(namespace_blocks.delete().where(gone), parameters)
    _count(connection, namespace, -freed)


def _count(connection: Connection, namespace: NamespaceId, added: int) -> None:
    table = namespaces.c
    connection.execute(update(namespaces).where(table.namespace_id == namespace).values(used_bytes=table.used_bytes + added))
