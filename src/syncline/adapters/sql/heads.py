"""Reading where namespaces stand, and what their owners use: shared by commits and reads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import Connection, Select, and_, bindparam, func, select

from syncline.adapters.sql.rows import fetch
from syncline.adapters.sql.schema import block_copies, grants, members, namespaces, nodes, packs, raw_contents, uploads, users
from syncline.model.entries import Access
from syncline.model.ids import Digest, NamespaceId, NodeId, UserId
from syncline.ports.metadata_store import Head, Usage
from syncline.ports.upload_store import OPEN_STATES

_HEAD_WIDTH: Final = 11


def _head_columns(access: Any) -> tuple[Any, ...]:
    table = namespaces.c
    return (
        table.namespace_id,
        table.name,
        table.owner_id,
        access,
        table.is_root,
        table.epoch,
        table.head_sequence,
        table.chain,
        table.root,
        table.pruned_sequence,
        table.name_key_version,
    )


@cache
def member_heads() -> Select[Any]:
    """`user` → the rows `head_of` reads, of every namespace the user is a member of."""
    joined = members.join(namespaces, namespaces.c.namespace_id == members.c.namespace_id)
    return select(*_head_columns(members.c.access)).select_from(joined).where(members.c.user_id == bindparam("user"))


@cache
def head_query(*, locking: bool = False) -> Select[Any]:
    """`namespace`, `user` → the one row, or none; `locking` it until the transaction ends, and the membership with it: what a
    statement that waited for a lock reads of other rows is as of when it began, and whoever it waited for may have ended that."""
    query = member_heads().where(members.c.namespace_id == bindparam("namespace"))
    return query.with_for_update(of=(namespaces, members)) if locking else query


@cache
def grants_query() -> Select[Any]:
    """`namespace`, `user` → for each live file granted to the user: the row `head_of` reads, and the file."""
    here = and_(nodes.c.namespace_id == grants.c.namespace_id, nodes.c.node_id == grants.c.node_id, nodes.c.name_key.is_not(None))
    joined = grants.join(namespaces, namespaces.c.namespace_id == grants.c.namespace_id).join(nodes, here)
    return (
        select(*_head_columns(grants.c.access), grants.c.node_id)
        .select_from(joined)
        .where(grants.c.user_id == bindparam("user"), grants.c.namespace_id == bindparam("namespace"))
    )


@cache
def lock_query() -> Select[Any]:
    """`namespace` → its id, the row locked until the transaction ends."""
    return (
        select(namespaces.c.namespace_id).where(namespaces.c.namespace_id == bindparam("namespace")).with_for_update(of=namespaces)
    )


def head_by_grants(rows: Sequence[Any]) -> Head | None:
    """The head as someone sees it who is no member; None without any grant."""
    if not rows:
        return None
    writable = [row for row in rows if Access(row[3]).may_write]
    only = frozenset(NodeId(row[_HEAD_WIDTH]) for row in writable)
    return replace(head_of((writable or rows)[0]), only=only)


def head_of(row: Any) -> Head:
    return Head(
        namespace=NamespaceId(row[0]),
        name=row[1],
        owner=UserId(row[2]),
        access=Access(row[3]),
        is_root=row[4] == 1,
        epoch=row[5],
        sequence=row[6],
        chain=Digest(row[7].hex()),
        root=row[8].hex(),
        pruned_sequence=row[9],
        name_key_version=row[10],
    )


@cache
def _usage() -> Select[Any]:
    """`user` → quota, then bytes: held, of packs granted but not yet there, of open uploads, of raw contents not yet in packs."""
    held = select(func.coalesce(func.sum(namespaces.c.used_bytes), 0)).where(namespaces.c.owner_id == bindparam("user"))
    owned = and_(namespaces.c.namespace_id == packs.c.namespace_id, namespaces.c.owner_id == bindparam("user"))
    reserved = (
        select(func.coalesce(func.sum(block_copies.c.plain_size), 0))
        .select_from(packs.join(namespaces, owned).join(block_copies, block_copies.c.pack_id == packs.c.pack_id))
        .where(packs.c.state == "granted")
    )
    here = namespaces.c.owner_id == bindparam("user")
    open_uploads = (
        select(func.coalesce(func.sum(uploads.c.size), 0))
        .select_from(uploads.join(namespaces, and_(namespaces.c.namespace_id == uploads.c.namespace_id, here)))
        .where(uploads.c.state.in_(OPEN_STATES))
    )
    raw = (
        select(func.coalesce(func.sum(raw_contents.c.size - raw_contents.c.packed_bytes), 0))
        .select_from(raw_contents.join(namespaces, and_(namespaces.c.namespace_id == raw_contents.c.namespace_id, here)))
        .where(raw_contents.c.state == "waiting")
    )
    parts = (held, reserved, open_uploads, raw)
    return select(users.c.quota_bytes, *(part.scalar_subquery() for part in parts)).where(users.c.user_id == bindparam("user"))


def usage_of(connection: Connection, user: UserId) -> Usage | None:
    """None for an unknown user."""
    rows = fetch(connection, _usage(), user=user)
    return Usage(used_bytes=sum(map(int, rows[0][1:])), quota_bytes=rows[0][0]) if rows else None
