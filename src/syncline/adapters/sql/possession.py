"""Which blocks a namespace possesses, and what of that counts as used: held ones do, condemned ones wait for removal and do not.

Every function runs in a transaction that has the namespace's row lock, and keeps `used_bytes` in step with the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, select, update

from syncline.adapters.sql.rows import as_json, pairs
from syncline.adapters.sql.schema import block_sources, namespace_blocks, namespaces, revision_blocks
from syncline.model.ids import NamespaceId, NodeId

_AT_ONCE: Final = 10_000
_BLOCKS: Final = namespace_blocks.c
_NAMED: Final = exists().where(revision_blocks.c.namespace_id == _BLOCKS.namespace_id, revision_blocks.c.hash == _BLOCKS.hash)


def lock(connection: Connection, namespace: NamespaceId) -> None:
    """Takes the namespace's row lock until the transaction ends."""
    connection.execute(select(namespaces.c.namespace_id).where(namespaces.c.namespace_id == namespace).with_for_update())


def revive(connection: Connection, namespace: NamespaceId, hashes: Sequence[bytes], now_us: int) -> None:
    """Condemned ones of these are held again."""
    for part in _parts(hashes):
        _hold(connection, namespace, _BLOCKS.hash.in_(part), now_us)


def revive_named(connection: Connection, namespace: NamespaceId, refs: Sequence[tuple[NodeId, int]], now_us: int) -> None:
    """Condemned blocks of these revisions are held again."""
    if not refs:
        return
    wanted = pairs(connection.dialect.name, "refs", numbers=True)
    table = revision_blocks.c
    joined = and_(table.namespace_id == namespace, table.node_id == wanted.c.a, table.revision == wanted.c.b)
    hashes = select(table.hash).select_from(wanted.outerjoin(revision_blocks, joined))
    _hold(connection, namespace, _BLOCKS.hash.in_(hashes), now_us, refs=as_json(refs))


def condemn(connection: Connection, namespace: NamespaceId, hashes: Sequence[bytes], now_us: int) -> int:
    """Held ones of these that no retained revision names are condemned, and no longer count; how many bytes that frees."""
    freed = 0
    for part in _parts(hashes):
        freed += _condemn(connection, namespace, and_(_BLOCKS.hash.in_(part), ~_NAMED), now_us)
    return freed


def sweep_page(
    connection: Connection, namespace: NamespaceId, after: bytes, limit: int, *, abandoned_us: int, removed_us: int, now_us: int
) -> tuple[bytes | None, int]:
    """Looks at the next `limit` blocks after a hash: those that nobody named since `abandoned_us` are condemned; those condemned
    since `removed_us` are marked once more, and go unless a revision names them. The last hash seen (None at the end), and how
    many went."""
    page = select(_BLOCKS.hash).where(_BLOCKS.namespace_id == namespace, _BLOCKS.hash > after).order_by(_BLOCKS.hash).limit(limit)
    seen = connection.execute(page).scalars().all()
    if not seen:
        return None, 0
    here = and_(_BLOCKS.namespace_id == namespace, _BLOCKS.hash > after, _BLOCKS.hash <= seen[-1])
    _hold(connection, namespace, and_(here, _NAMED), now_us)
    _condemn(connection, namespace, and_(here, _BLOCKS.since_us < abandoned_us, ~_NAMED), now_us)
    old = and_(here, _BLOCKS.state == "condemned", _BLOCKS.since_us < removed_us, ~_NAMED)
    removed = connection.execute(delete(namespace_blocks).where(old)).rowcount
    # Where unverified copies were taken over from ends with possession.
    came = block_sources.c
    range_ = and_(came.namespace_id == namespace, came.hash > after, came.hash <= seen[-1])
    left = exists().where(_BLOCKS.namespace_id == namespace, _BLOCKS.hash == came.hash)
    connection.execute(delete(block_sources).where(range_, ~left))
    return (seen[-1] if len(seen) == limit else None), removed


def _hold(connection: Connection, namespace: NamespaceId, which: ColumnElement[bool], now_us: int, **parameters: Any) -> None:
    condemned = and_(_BLOCKS.namespace_id == namespace, _BLOCKS.state == "condemned", which)
    size = _size(connection, condemned, **parameters)
    if size is not None:
        held = update(namespace_blocks).where(condemned).values(state="held", since_us=now_us)
        connection.execute(held, parameters)
        _count(connection, namespace, size)


def _condemn(connection: Connection, namespace: NamespaceId, which: ColumnElement[bool], now_us: int) -> int:
    held = and_(_BLOCKS.namespace_id == namespace, _BLOCKS.state == "held", which)
    size = _size(connection, held)
    if size is None:
        return 0
    connection.execute(update(namespace_blocks).where(held).values(state="condemned", since_us=now_us))
    _count(connection, namespace, -size)
    return size


def _size(connection: Connection, which: ColumnElement[bool], **parameters: Any) -> int | None:
    """The bytes of these blocks; None where there are none."""
    found = connection.execute(select(func.sum(_BLOCKS.size)).where(which), parameters).scalar()
    return None if found is None else int(found)


def _count(connection: Connection, namespace: NamespaceId, added: int) -> None:
    row = update(namespaces).where(namespaces.c.namespace_id == namespace)
    connection.execute(row.values(used_bytes=namespaces.c.used_bytes + added))


def _parts(hashes: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (hashes[start : start + _AT_ONCE] for start in range(0, len(hashes), _AT_ONCE))
