"""Searching by name: a scan of the index of folded names, which holds nothing else and so is read at memory's speed.

`docs/performance.md` has the figures, and why there is no table of trigrams. What matches is looked up, ranked and sorted; the
names that do not are never more than compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, case, func, literal, literal_column, or_, select

from syncline.adapters.sql.rows import entry_of, placed
from syncline.adapters.sql.schema import devices, nodes, users
from syncline.model.ids import DeviceId, NamespaceId, NodeId, UserId
from syncline.ports.view_store import Hit, Wanted

DIR: Final[Any] = literal_column("'dir'")
"""Written out, where an index of folders alone is to be found."""
BETWEEN_WORDS: Final = " .-_(["
"""What a word of a name begins after."""
_ESCAPE: Final = "\\"


def search(
    connection: Connection, namespace: NamespaceId, wanted: Wanted, after: tuple[int, int, NodeId] | None, limit: int
) -> list[Hit]:
    """Statements differ by the number of words, so they are made each time; the text is short."""
    names, places = nodes.alias("names"), nodes.alias("places")
    key = names.c.search_key
    matching = [_contains(connection.dialect.name, key, word) for word in wanted.words]
    matching += [key.like(_pattern(glob), escape=_ESCAPE) for glob in wanted.globs]
    rank = _rank(connection.dialect.name, key, wanted)
    # Up to the page's end the index alone is asked, but for what it does not know; whole rows are looked up for the page.
    query = select(names.c.node_id.label("node_id"), names.c.time_us.label("time_us"), rank.label("rank"))
    query = query.where(names.c.namespace_id == namespace, key.is_not(None), *matching)
    if wanted.kind is not None or wanted.below is not None:
        query = query.join(places, and_(places.c.namespace_id == namespace, places.c.node_id == names.c.node_id))
    if wanted.kind is not None:
        query = query.where(places.c.kind == wanted.kind.value)
    if wanted.below is not None:
        query = query.where(places.c.parent_id.in_(_folders(namespace, wanted.below)))
    if after is not None:
        query = query.where(_beyond(rank, names.c.time_us, names.c.node_id, after))
    page = query.order_by(rank, names.c.time_us.desc(), names.c.node_id).limit(limit).subquery("page")
    here = and_(nodes.c.namespace_id == namespace, nodes.c.node_id == page.c.node_id)
    query = select(page.c.rank, *placed(nodes)).select_from(page.join(nodes, here))
    query = query.order_by(page.c.rank, page.c.time_us.desc(), page.c.node_id)
    return [Hit(row[0], entry_of(row[1:])) for row in connection.execute(query).all()]


def _beyond(rank: Any, time: Any, node: Any, after: tuple[int, int, NodeId]) -> ColumnElement[bool]:
    rank_at, time_at, node_at = after
    same = rank == rank_at
    return or_(rank > rank_at, and_(same, time < time_at), and_(same, time == time_at, node > node_at))


def _contains(dialect: str, key: Any, word: str) -> ColumnElement[bool]:
    """Both databases find a text in a text faster than they match a pattern, under a name of their own."""
    place: Any = func.instr(key, word) if dialect == "sqlite" else func.strpos(key, word)
    return place > 0  # type: ignore[no-any-return]


def _pattern(glob: str) -> str:
    for char in (_ESCAPE, "%", "_"):
        glob = glob.replace(char, _ESCAPE + char)
    return glob.replace("*", "%")


def _rank(dialect: str, key: Any, wanted: Wanted) -> ColumnElement[int]:
    if not wanted.words:
        return literal(0, BigInteger)
    whole = wanted.whole
    begins = func.substr(key, 1, len(whole)) == whole
    words = [or_(*(_contains(dialect, " " + key, mark + word) for mark in BETWEEN_WORDS)) for word in wanted.words]
    return case((key == whole, 0), (begins, 1), (and_(*words), 2), else_=3)


def _folders(namespace: NamespaceId, top: NodeId) -> Select[Any]:
    """The ids of a folder and of all live folders below it."""
    inner = nodes.alias("inner_folders")
    down = select(literal(top).label("id")).cte("down", recursive=True)
    down = down.union(
        select(inner.c.node_id).where(
            inner.c.namespace_id == namespace, inner.c.parent_id == down.c.id, inner.c.kind == DIR, inner.c.name_key.is_not(None)
        )
    )
    return select(down.c.id)


def people(
    connection: Connection, who: Sequence[UserId], which: Sequence[DeviceId]
) -> tuple[dict[UserId, str], dict[DeviceId, str]]:
    named = connection.execute(select(users.c.user_id, users.c.name).where(users.c.user_id.in_(who))).all() if who else []
    known = connection.execute(select(devices.c.device_id, devices.c.name).where(devices.c.device_id.in_(which))).all()
    return {UserId(row[0]): row[1] for row in named}, {DeviceId(row[0]): row[1] for row in known}
