"""Reading where namespaces stand, and what their owners use: shared by commits and reads."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, func, select

from syncline.adapters.sql.rows import fetch
from syncline.adapters.sql.schema import block_copies, members, namespaces, packs, raw_contents, uploads, users
from syncline.model.entries import Access
from syncline.model.ids import Digest, NamespaceId, UserId
from syncline.ports.metadata_store import Head, Usage
from syncline.ports.upload_store import OPEN_STATES


@cache
def member_heads() -> Select[Any]:
    """`user` → the rows `head_of` reads, of every namespace the user is a member of."""
    joined = members.join(namespaces, namespaces.c.namespace_id == members.c.namespace_id)
    return (
        select(
            namespaces.c.namespace_id,
            namespaces.c.name,
            namespaces.c.owner_id,
            members.c.access,
            namespaces.c.is_root,
            namespaces.c.epoch,
            namespaces.c.head_sequence,
            namespaces.c.chain,
            namespaces.c.root,
            namespaces.c.pruned_sequence,
            namespaces.c.name_key_version,
        )
        .select_from(joined)
        .where(members.c.user_id == bindparam("user"))
    )


@cache
def head_query(*, locking: bool = False) -> Select[Any]:
    """`namespace`, `user` → the one row, or none; `locking` it until the transaction ends."""
    query = member_heads().where(members.c.namespace_id == bindparam("namespace"))
    return query.with_for_update(of=namespaces) if locking else query


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
