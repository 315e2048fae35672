"""Questions about one namespace's tree, as statements: built once a dialect, each scoped by `:namespace`.

Recursion goes by `parent_id` and ends because every step deduplicates. Lists of any length arrive as one JSON parameter; pairs are
joined from the left, which makes the list the outer loop on every planner (unmatched pairs come back as NULLs and are dropped by
the caller).
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, BindParameter, Select, and_, bindparam, exists, func, literal, select

from syncline.adapters.sql.rows import listed, pairs, placed, texts
from syncline.adapters.sql.schema import journal, members, nodes, revision_blocks, revisions, tombstones

NAMESPACE: Final[BindParameter[Any]] = bindparam("namespace")
_HERE: Final = nodes.c.namespace_id == NAMESPACE
_LIVE: Final = nodes.c.name_key.is_not(None)
_GONE: Final = nodes.c.name_key.is_(None)


@cache
def nodes_by_id(dialect: str) -> Select[Any]:
    """`ids` → placed states, deleted ones too."""
    return select(*placed(nodes)).where(_HERE, nodes.c.node_id.in_(listed(texts(dialect, "ids"))))


@cache
def above(dialect: str) -> Select[Any]:
    """`ids` → placed states of every node above them."""
    up = (
        select(nodes.c.parent_id.label("id"))
        .where(_HERE, nodes.c.node_id.in_(listed(texts(dialect, "ids"))))
        .cte("up", recursive=True)
    )
    up = up.union(select(nodes.c.parent_id).where(_HERE, nodes.c.node_id == up.c.id))
    return select(*placed(nodes)).where(_HERE, nodes.c.node_id.in_(select(up.c.id)))


@cache
def at_places(dialect: str) -> Select[Any]:
    """`places` (parent, name key) → placed states of the live nodes there, NULLs where there is none."""
    wanted = pairs(dialect, "places")
    here = and_(_HERE, nodes.c.parent_id == wanted.c.a, nodes.c.name_key == wanted.c.b, _LIVE)
    return select(*placed(nodes)).select_from(wanted.outerjoin(nodes, here))


@cache
def below(dialect: str) -> Select[Any]:
    """`ids` → placed states of themselves and of every node below them, the live ones, at most `limit`."""
    down = (
        select(nodes.c.node_id.label("id"))
        .where(_HERE, nodes.c.node_id.in_(listed(texts(dialect, "ids"))))
        .cte("down", recursive=True)
    )
    down = down.union(select(nodes.c.node_id).where(_HERE, nodes.c.parent_id == down.c.id, _LIVE))
    return select(*placed(nodes)).where(_HERE, _LIVE, nodes.c.node_id.in_(select(down.c.id))).limit(bindparam("limit"))


@cache
def deleted_with(dialect: str) -> Select[Any]:
    """`ids` → placed states of the deleted ones and of what the same changeset deleted below them, at most `limit`."""
    seeds = listed(texts(dialect, "ids"))
    down = select(nodes.c.node_id.label("id"), nodes.c.changeset.label("changeset"))
    down_cte = down.where(_HERE, nodes.c.node_id.in_(seeds), _GONE).cte("down", recursive=True)
    child = and_(_HERE, nodes.c.parent_id == down_cte.c.id, nodes.c.changeset == down_cte.c.changeset, _GONE)
    down_cte = down_cte.union(select(nodes.c.node_id, nodes.c.changeset).where(child))
    found = select(down_cte.c.id)
    return select(*placed(nodes)).where(_HERE, _GONE, nodes.c.node_id.in_(found)).limit(bindparam("limit"))


@cache
def child_counts(dialect: str) -> Select[Any]:
    """`ids` → (parent, number of live children)."""
    wanted = listed(texts(dialect, "ids"))
    return select(nodes.c.parent_id, func.count()).where(_HERE, _LIVE, nodes.c.parent_id.in_(wanted)).group_by(nodes.c.parent_id)


@cache
def heights(dialect: str) -> Select[Any]:
    """`ids` → (id, levels of live folders below it)."""
    level: Any = literal(0, BigInteger)
    start = select(nodes.c.node_id.label("top"), nodes.c.node_id.label("id"), level.label("level"))
    down = start.where(_HERE, nodes.c.node_id.in_(listed(texts(dialect, "ids")))).cte("down", recursive=True)
    step = select(down.c.top, nodes.c.node_id, down.c.level + 1)
    down = down.union(step.where(_HERE, nodes.c.parent_id == down.c.id, _LIVE, nodes.c.kind == "dir"))
    return select(down.c.top, func.max(down.c.level)).group_by(down.c.top)


@cache
def chains(dialect: str) -> Select[Any]:
    """`positions` (namespace, sequence), `user` → those and the chain there; NULLs where there is no row the user may see."""
    wanted = pairs(dialect, "positions", numbers=True)
    member = exists().where(members.c.namespace_id == wanted.c.a, members.c.user_id == bindparam("user"))
    here = and_(journal.c.namespace_id == wanted.c.a, journal.c.sequence == wanted.c.b, member)
    return select(wanted.c.a, wanted.c.b, journal.c.chain).select_from(wanted.outerjoin(journal, here))


@cache
def revisions_by_ref(dialect: str) -> Select[Any]:
    """`refs` (node, revision) → each revision's content hash, size and cut; NULLs where there is none."""
    wanted = pairs(dialect, "refs", numbers=True)
    here = and_(revisions.c.namespace_id == NAMESPACE, revisions.c.node_id == wanted.c.a, revisions.c.revision == wanted.c.b)
    columns = (revisions.c.content_hash, revisions.c.size, revisions.c.cut)
    return select(wanted.c.a, wanted.c.b, *columns).select_from(wanted.outerjoin(revisions, here))


@cache
def rows_by_ref(dialect: str) -> Select[Any]:
    """`refs` (node, revision) → the rows that made them; NULLs where there is none."""
    wanted = pairs(dialect, "refs", numbers=True)
    here = and_(revisions.c.namespace_id == NAMESPACE, revisions.c.node_id == wanted.c.a, revisions.c.revision == wanted.c.b)
    return select(*placed(revisions)).select_from(wanted.outerjoin(revisions, here))


@cache
def tombstones_by_id(dialect: str) -> Select[Any]:
    """`ids` → (id, last revision) of those that were purged."""
    wanted = tombstones.c.node_id.in_(listed(texts(dialect, "ids")))
    return select(tombstones.c.node_id, tombstones.c.revision).where(tombstones.c.namespace_id == NAMESPACE, wanted)


@cache
def blocks_by_ref(dialect: str) -> Select[Any]:
    """`refs` (node, revision) → (node, revision, hash, size) of their blocks, in block order within each revision."""
    wanted = pairs(dialect, "refs", numbers=True)
    table = revision_blocks.c
    here = and_(table.namespace_id == NAMESPACE, table.node_id == wanted.c.a, table.revision == wanted.c.b)
    rows = select(wanted.c.a, wanted.c.b, table.hash, table.size).select_from(wanted.outerjoin(revision_blocks, here))
    return rows.order_by(wanted.c.a, wanted.c.b, table.block_index)
