"""Questions about who may read what, as statements made once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, Select, and_, bindparam, select

from syncline.adapters.sql.rows import entry_of, fetch, placed
from syncline.adapters.sql.schema import PLACED_STATE, grants, members, namespaces, nodes
from syncline.model.entries import Access
from syncline.model.ids import NamespaceId, NodeId, UserId
from syncline.ports.share_store import Located

GRANTS_AT_ONCE: Final = 1000
_WIDTH: Final = len(PLACED_STATE)
_USER: Final[BindParameter[Any]] = bindparam("user")
_NODE: Final[BindParameter[Any]] = bindparam("node")
_SPACE: Final = (namespaces.c.namespace_id, namespaces.c.owner_id, namespaces.c.is_root)

_AS_MEMBER: Final = (
    select(*placed(nodes), *_SPACE, members.c.access)
    .join(members, and_(members.c.namespace_id == nodes.c.namespace_id, members.c.user_id == _USER))
    .join(namespaces, namespaces.c.namespace_id == nodes.c.namespace_id)
    .where(nodes.c.node_id == _NODE, nodes.c.namespace_id.in_(select(members.c.namespace_id).where(members.c.user_id == _USER)))
)
_BY_GRANT: Final = (
    select(*placed(nodes), *_SPACE, grants.c.access)
    .join(grants, and_(grants.c.namespace_id == nodes.c.namespace_id, grants.c.node_id == nodes.c.node_id))
    .join(namespaces, namespaces.c.namespace_id == nodes.c.namespace_id)
    .where(nodes.c.node_id == _NODE, grants.c.node_id == _NODE, grants.c.user_id == _USER, nodes.c.name_key.is_not(None))
)
_OWN_FOLDER: Final = (
    select(*_SPACE, members.c.access)
    .join(members, and_(members.c.namespace_id == namespaces.c.namespace_id, members.c.user_id == _USER))
    .where(namespaces.c.namespace_id == _NODE)
)
_GRANTED: Final = (
    select(grants.c.node_id)
    .join(nodes, and_(grants.c.namespace_id == nodes.c.namespace_id, grants.c.node_id == nodes.c.node_id))
    .where(grants.c.namespace_id == bindparam("namespace"), grants.c.user_id == _USER, nodes.c.name_key.is_not(None))
    .where(grants.c.node_id.in_(bindparam("nodes", expanding=True)))
)


def reach(connection: Connection, user: UserId, node: NodeId, namespace: NamespaceId | None) -> list[Located]:
    found: list[tuple[tuple[bool, bool, str], Located]] = []
    for member, statement in ((True, _AS_MEMBER), (False, _BY_GRANT)):
        rows = _rows(connection, statement, user, node)
        found += [_located(row[_WIDTH:], user, member=member, state=row) for row in rows]
    found += [_located(row, user, member=True, state=None) for row in _rows(connection, _OWN_FOLDER, user, node)]
    found.sort(key=lambda one: one[0])
    return [located for _, located in found if namespace in (None, located.namespace)]


def granted(connection: Connection, user: UserId, namespace: NamespaceId, asked: Sequence[NodeId]) -> list[NodeId]:
    found: list[NodeId] = []
    for start in range(0, len(asked), GRANTS_AT_ONCE):
        part = list(asked[start : start + GRANTS_AT_ONCE])
        found += [NodeId(row[0]) for row in fetch(connection, _GRANTED, namespace=namespace, user=user, nodes=part)]
    return found


def _rows(connection: Connection, statement: Select[Any], user: UserId, node: NodeId) -> Sequence[Any]:
    return fetch(connection, statement, user=user, node=node)


def _located(space: Sequence[Any], user: UserId, *, member: bool, state: Any) -> tuple[tuple[bool, bool, str], Located]:
    """A row as a place, and what it is sorted by."""
    namespace, owner, is_root, access = space[0], space[1], space[2] == 1, space[3]
    located = Located(
        namespace=NamespaceId(namespace),
        owner=UserId(owner),
        access=Access(access),
        member=member,
        entry=None if state is None else entry_of(state),
    )
    return (not member, not (is_root and owner == user), namespace), located
