"""Copies without bytes: new files take the blocks, the cut and the texts of others, set by set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, literal, select, update

from syncline.adapters.sql.schema import nodes, revision_blocks, revisions
from syncline.adapters.sql.sharing.sources import take_over
from syncline.model.ids import NamespaceId
from syncline.ports.share_store import Copying

_SOURCE: Final[Any] = bindparam("of_source")
_NODE: Final[Any] = bindparam("of_node")
_REVISION: Final[Any] = bindparam("of_revision")
_BLOCKS: Final = revision_blocks.c
_TAKE_BLOCKS: Final = insert(revision_blocks).from_select(
    [column.name for column in _BLOCKS],
    select(bindparam("of_target"), bindparam("of_new"), literal(1), _BLOCKS.block_index, _BLOCKS.hash, _BLOCKS.size).where(
        _BLOCKS.namespace_id == _SOURCE, _BLOCKS.node_id == _NODE, _BLOCKS.revision == _REVISION
    ),
)
_BASE: Final = revisions.alias("base")
_TAKE_CUT: Final = (
    update(revisions)
    .where(
        revisions.c.namespace_id == bindparam("of_target"), revisions.c.node_id == bindparam("of_new"), revisions.c.revision == 1
    )
    .values(
        cut=select(_BASE.c.cut)
        .where(_BASE.c.namespace_id == _SOURCE, _BASE.c.node_id == _NODE, _BASE.c.revision == _REVISION)
        .scalar_subquery()
    )
)
_TEXTS: Final = nodes.alias("texts")
_ITS: Final = (_TEXTS.c.namespace_id == _SOURCE, _TEXTS.c.node_id == _NODE)
_TAKE_TEXTS: Final = (
    update(nodes)
    .where(nodes.c.namespace_id == bindparam("of_target"), nodes.c.node_id == bindparam("of_new"))
    .values(
        mime_type=select(_TEXTS.c.mime_type).where(*_ITS).scalar_subquery(),
        description=select(_TEXTS.c.description).where(*_ITS).scalar_subquery(),
    )
)


def copy(connection: Connection, source: NamespaceId, target: NamespaceId, copies: Sequence[Copying], now_us: int) -> None:
    if not copies:
        return
    both = {"of_source": source, "of_target": target}
    rows = [both | {"of_node": one.node, "of_revision": one.revision, "of_new": one.new} for one in copies]
    for statement in (_TAKE_BLOCKS, _TAKE_CUT, _TAKE_TEXTS):
        connection.execute(statement, rows)
    take_over(connection, source, target, [one.new for one in copies], now_us)
