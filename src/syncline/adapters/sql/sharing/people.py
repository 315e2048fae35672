"""Who shares what with whom, as lists: each question is one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, Table, and_, func, or_, select

from syncline.adapters.sql import trees
from syncline.adapters.sql.rows import as_json, entry_of, fetch, placed
from syncline.adapters.sql.schema import PLACED_STATE, grants, invitations, members, namespaces, nodes, users
from syncline.model.entries import Access
from syncline.model.ids import NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.ports.share_store import Granted, Joined, Participant, Space

_WIDTH: Final = len(PLACED_STATE)
_OWNERS: Final = users.alias("owners")
_BY: Final = users.alias("granters")
_COUNT: Final = select(func.count()).where(members.alias("counted").c.namespace_id == namespaces.c.namespace_id).scalar_subquery()
_SPACE: Final = (
    namespaces.c.namespace_id,
    namespaces.c.name,
    namespaces.c.owner_id,
    _OWNERS.c.email,
    namespaces.c.is_root,
    namespaces.c.name_key_version,
    namespaces.c.used_bytes,
    _COUNT,
)


def space(connection: Connection, namespace: NamespaceId) -> Space | None:
    owned = namespaces.join(_OWNERS, _OWNERS.c.user_id == namespaces.c.owner_id)
    query = select(*_SPACE).select_from(owned).where(namespaces.c.namespace_id == namespace)
    row = connection.execute(query).first()
    return None if row is None else _space(row)


def participants(connection: Connection, table: Table, limit: int, **key: Any) -> list[Participant]:
    """Those of `members`, `invitations` or `grants`."""
    by = {"invitations": "invited_by", "grants": "granted_by"}.get(table.name)
    since = table.c.since_us if table is members else table.c.created_us
    columns = [table.c.user_id, users.c.email, users.c.name, table.c.access, since, *([] if by is None else [table.c[by]])]
    query = (
        select(*columns)
        .join(users, users.c.user_id == table.c.user_id)
        .where(*(table.c[name] == value for name, value in key.items()))
        .order_by(users.c.email)
        .limit(limit)
    )
    return [
        Participant(
            user=UserId(row[0]),
            email=row[1],
            name=row[2],
            access=Access(row[3]),
            since_us=row[4],
            by=None if by is None else UserId(row[5]),
        )
        for row in connection.execute(query)
    ]


def joined(connection: Connection, user: UserId, limit: int) -> list[Joined]:
    query = _spaces_of(members).where(members.c.user_id == user, namespaces.c.is_root.is_(False))
    query = query.add_columns(members.c.access, members.c.since_us).order_by(namespaces.c.name, namespaces.c.namespace_id)
    return [_joined(row, None) for row in connection.execute(query.limit(limit))]


def invited(connection: Connection, user: UserId, limit: int) -> list[Joined]:
    table = invitations.c
    query = _spaces_of(invitations).outerjoin(_BY, _BY.c.user_id == table.invited_by).where(table.user_id == user)
    query = query.add_columns(table.access, table.created_us, _BY.c.email).order_by(namespaces.c.name, namespaces.c.namespace_id)
    return [_joined(row, row[-1] or "") for row in connection.execute(query.limit(limit))]


def granted_to(connection: Connection, user: UserId, limit: int) -> list[Granted]:
    return _grants(connection, _granted().where(grants.c.user_id == user), limit)


def granted_by(connection: Connection, user: UserId, limit: int) -> list[Granted]:
    return _grants(connection, _granted().where(or_(grants.c.granted_by == user, namespaces.c.owner_id == user)), limit)


def mounted(connection: Connection, root: NamespaceId, wanted: Sequence[NamespaceId]) -> dict[NamespaceId, str]:
    dialect, ids = connection.dialect.name, as_json(wanted)
    rows = fetch(connection, trees.nodes_by_id(dialect), namespace=root, ids=ids)
    mounts = [entry for entry in map(entry_of, rows) if entry.mount and not entry.deleted]
    if not mounts:
        return {}
    above = {entry.node_id: entry for entry in map(entry_of, fetch(connection, trees.above(dialect), namespace=root, ids=ids))}
    return {NamespaceId(mount.node_id): _path(mount, above) for mount in mounts}


def _path(entry: JournalEntry, above: dict[NodeId, JournalEntry]) -> str:
    names = [entry.name]
    at = above.get(entry.parent_id)
    while at is not None:
        names.append(at.name)
        at = above.get(at.parent_id)
    return "/" + "/".join(reversed(names))


def _spaces_of(table: Table) -> Select[Any]:
    return (
        select(*_SPACE)
        .select_from(table)
        .join(namespaces, namespaces.c.namespace_id == table.c.namespace_id)
        .join(_OWNERS, _OWNERS.c.user_id == namespaces.c.owner_id)
    )


def _granted() -> Select[Any]:
    here = and_(nodes.c.namespace_id == grants.c.namespace_id, nodes.c.node_id == grants.c.node_id)
    return (
        select(
            *placed(nodes), grants.c.namespace_id, _OWNERS.c.email, users.c.email, _BY.c.email, grants.c.access, grants.c.created_us
        )
        .select_from(grants)
        .join(nodes, here)
        .join(namespaces, namespaces.c.namespace_id == grants.c.namespace_id)
        .join(_OWNERS, _OWNERS.c.user_id == namespaces.c.owner_id)
        .join(users, users.c.user_id == grants.c.user_id)
        .outerjoin(_BY, _BY.c.user_id == grants.c.granted_by)
        .where(nodes.c.name_key.is_not(None))
        .order_by(nodes.c.name, nodes.c.node_id, users.c.email)
    )


def _grants(connection: Connection, query: Select[Any], limit: int) -> list[Granted]:
    return [
        Granted(
            namespace=NamespaceId(row[_WIDTH]),
            owner_email=row[_WIDTH + 1],
            entry=_entry(row),
            email=row[_WIDTH + 2],
            by_email=row[_WIDTH + 3] or "",
            access=Access(row[_WIDTH + 4]),
            created_us=row[_WIDTH + 5],
        )
        for row in connection.execute(query.limit(limit))
    ]


def _entry(row: Sequence[Any]) -> JournalEntry:
    return entry_of(row)


def _joined(row: Any, invited_by: str | None) -> Joined:
    width = len(_SPACE)
    return Joined(space=_space(row), access=Access(row[width]), since_us=row[width + 1], invited_by=invited_by)


def _space(row: Any) -> Space:
    return Space(
        namespace=NamespaceId(row[0]),
        name=row[1],
        owner=UserId(row[2]),
        owner_email=row[3],
        is_root=bool(row[4]),
        name_key_version=row[5],
        used_bytes=row[6],
        members=row[7],
    )
