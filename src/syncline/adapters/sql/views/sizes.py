"""How much lies where: sizes of folders by recursion over folders alone, files added up by their parents; and what a namespace's
held bytes are held for."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Text, and_, bindparam, case, func, literal, literal_column, select

from syncline.adapters.sql.rows import fetch
from syncline.adapters.sql.schema import namespace_blocks, nodes, revision_blocks
from syncline.adapters.sql.trees import NAMESPACE
from syncline.adapters.sql.views.names import DIR
from syncline.model.ids import NamespaceId, NodeId
from syncline.ports.view_store import FolderSize, Shares

_LIVE: Final = nodes.c.name_key.is_not(None)
_level: Any = literal(0, BigInteger)
_top: Final = select(bindparam("folder", type_=Text).label("id"), _level.label("level")).cte("down", recursive=True)
_DOWN: Final = _top.union_all(
    select(nodes.c.node_id, _top.c.level + 1).where(
        nodes.c.namespace_id == NAMESPACE, nodes.c.parent_id == _top.c.id, nodes.c.kind == DIR, _LIVE
    )
)
_FOLDERS: Final = (
    select(_DOWN.c.id, _DOWN.c.level, nodes.c.parent_id, nodes.c.name)
    .select_from(_DOWN.outerjoin(nodes, and_(nodes.c.namespace_id == NAMESPACE, nodes.c.node_id == _DOWN.c.id)))
    .order_by(_DOWN.c.level)
)
_sizes: Final = (func.count(), func.coalesce(func.sum(nodes.c.size), 0))
_FILES: Final = (
    select(_DOWN.c.id, *_sizes)
    .select_from(_DOWN.join(nodes, and_(nodes.c.namespace_id == NAMESPACE, nodes.c.parent_id == _DOWN.c.id, _LIVE)))
    .where(nodes.c.kind == "file")
    .group_by(_DOWN.c.id)
)
_parent: Final[Any] = nodes.c.parent_id + literal_column("''")
"""As a term, so that no index by parent is taken: it would look up each row by itself."""
_ALL_FILES: Final = (
    select(_parent, *_sizes).where(nodes.c.namespace_id == NAMESPACE, _LIVE, nodes.c.kind == "file").group_by(_parent)
)
"""The same for a whole namespace, whose rows are read once, in their order."""
_need: Final = case((and_(_LIVE, nodes.c.revision == revision_blocks.c.revision), 0), (_LIVE, 1), else_=2)
_needed: Final = (
    select(revision_blocks.c.hash.label("hash"), func.min(_need).label("need"))
    .join(nodes, and_(nodes.c.namespace_id == NAMESPACE, nodes.c.node_id == revision_blocks.c.node_id))
    .where(revision_blocks.c.namespace_id == NAMESPACE)
    .group_by(revision_blocks.c.hash)
    .subquery("needed")
)
_for: Final = func.coalesce(_needed.c.need, literal_column("3", BigInteger))
_SHARES: Final = (
    select(_for, func.sum(namespace_blocks.c.size))
    .select_from(namespace_blocks.outerjoin(_needed, _needed.c.hash == namespace_blocks.c.hash))
    .where(namespace_blocks.c.namespace_id == NAMESPACE)
    .group_by(_for)
)


def sizes(connection: Connection, namespace: NamespaceId, folder: NodeId, depth: int) -> list[FolderSize]:
    given = {"namespace": namespace, "folder": folder}
    statement = _ALL_FILES if folder == NodeId(namespace) else _FILES
    files = {row[0]: (int(row[1]), int(row[2])) for row in fetch(connection, statement, **given)}
    found: dict[str, FolderSize] = {}
    bucket_of: dict[str, FolderSize] = {}
    for node, level, parent, name in fetch(connection, _FOLDERS, **given):
        bucket = bucket_of[parent] if level > depth else None
        if bucket is None:
            at = NodeId(parent or folder)
            bucket = found[node] = FolderSize(folder=NodeId(node), parent=at, name=name or "", level=level)
        else:
            bucket.folders += 1
        bucket_of[node] = bucket
        number, size = files.get(node, (0, 0))
        bucket.files += number
        bucket.size += size
    return list(found.values())


def shares(connection: Connection, namespace: NamespaceId) -> Shares:
    found = {row[0]: int(row[1]) for row in fetch(connection, _SHARES, namespace=namespace)}
    return Shares(*(found.get(need, 0) for need in range(4)))
