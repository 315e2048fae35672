"""How much lies where: sizes of folders by recursion over folders alone, files added up by their parents; and what a namespace's
held bytes are held for."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Text, and_, bindparam, case, func, literal, select

from syncline.adapters.sql.rows import fetch
from syncline.adapters.sql.schema import namespace_blocks, nodes, revision_blocks
from syncline.adapters.sql.trees import NAMESPACE
from syncline.model.ids import NamespaceId, NodeId
from syncline.ports.view_store import FolderSize, Shares

_LIVE: Final = nodes.c.name_key.is_not(None)
_level: Any = literal(0, BigInteger)
_top: Final = select(
    bindparam("folder", type_=Text).label("id"), bindparam("folder", type_=Text).label("bucket"), _level.label("level")
).cte("down", recursive=True)
_DOWN: Final = _top.union_all(
    select(
        nodes.c.node_id,
        case((_top.c.level < bindparam("depth", type_=BigInteger), nodes.c.node_id), else_=_top.c.bucket),
        _top.c.level + 1,
    ).where(nodes.c.namespace_id == NAMESPACE, nodes.c.parent_id == _top.c.id, nodes.c.kind == "dir", _LIVE)
)
_FILES: Final = (
    select(_DOWN.c.bucket, func.count(), func.coalesce(func.sum(nodes.c.size), 0))
    .select_from(_DOWN.join(nodes, and_(nodes.c.namespace_id == NAMESPACE, nodes.c.parent_id == _DOWN.c.id, _LIVE)))
    .where(nodes.c.kind == "file")
    .group_by(_DOWN.c.bucket)
)
_FOLDERS: Final = select(_DOWN.c.bucket, func.min(_DOWN.c.level), func.count()).group_by(_DOWN.c.bucket)
_NAMED: Final = (
    select(_DOWN.c.id, nodes.c.parent_id, nodes.c.name)
    .select_from(_DOWN.join(nodes, and_(nodes.c.namespace_id == NAMESPACE, nodes.c.node_id == _DOWN.c.id)))
    .where(_DOWN.c.id == _DOWN.c.bucket)
)
_need: Final = case((and_(_LIVE, nodes.c.revision == revision_blocks.c.revision), 0), (_LIVE, 1), else_=2)
_needed: Final = (
    select(revision_blocks.c.hash.label("hash"), func.min(_need).label("need"))
    .join(nodes, and_(nodes.c.namespace_id == NAMESPACE, nodes.c.node_id == revision_blocks.c.node_id))
    .where(revision_blocks.c.namespace_id == NAMESPACE)
    .group_by(revision_blocks.c.hash)
    .subquery("needed")
)
_SHARES: Final = (
    select(func.coalesce(_needed.c.need, 3), func.sum(namespace_blocks.c.size))
    .select_from(namespace_blocks.outerjoin(_needed, _needed.c.hash == namespace_blocks.c.hash))
    .where(namespace_blocks.c.namespace_id == NAMESPACE)
    .group_by(func.coalesce(_needed.c.need, 3))
)


def sizes(connection: Connection, namespace: NamespaceId, folder: NodeId, depth: int) -> list[FolderSize]:
    given = {"namespace": namespace, "folder": folder, "depth": depth}
    files = {row[0]: (row[1], row[2]) for row in fetch(connection, _FILES, **given)}
    names = {row[0]: (row[1], row[2]) for row in fetch(connection, _NAMED, **given)}
    found: list[FolderSize] = []
    for bucket, level, count in fetch(connection, _FOLDERS, **given):
        parent, name = names.get(bucket, (folder, ""))
        number, size = files.get(bucket, (0, 0))
        found.append(
            FolderSize(
                folder=NodeId(bucket),
                parent=NodeId(parent),
                name=name,
                level=level,
                size=int(size),
                files=number,
                folders=count - 1,
            )
        )
    return found


def shares(connection: Connection, namespace: NamespaceId) -> Shares:
    found = {row[0]: int(row[1]) for row in fetch(connection, _SHARES, namespace=namespace)}
    return Shares(*(found.get(need, 0) for need in range(4)))
