"""`ports.pack_store.PackStore` on a SQL database.

Packs and the copies in them are stored once for all namespaces; a namespace sees only what it possesses. Possession is recorded in
the transaction that finishes a pack, which locks the namespaces it touches and counts their bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import and_, bindparam, case, delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncline.adapters.sql.database import Stored, whole
from syncline.adapters.sql.rows import Row, blobs, execute_many, insert_rows
from syncline.adapters.sql.schema import block_copies, namespace_blocks, namespaces, packs
from syncline.model.blocks import Codec, PackEntry
from syncline.model.ids import Digest, NamespaceId, PackId, UserId
from syncline.ports.pack_store import Copy, PackRow

_AT_ONCE: Final = 10_000
_READABLE: Final = ("claimed", "verified")
_COLUMNS: Final = tuple(column.name for column in packs.c)
_COPY_COLUMNS: Final = tuple(column.name for column in block_copies.c)

_POSSESSED: Final = (
    select(namespace_blocks.c.hash)
    .where(namespace_blocks.c.namespace_id == bindparam("namespace"))
    .where(namespace_blocks.c.hash.in_(bindparam("hashes", expanding=True)))
    .where(
        exists()
        .where(block_copies.c.hash == namespace_blocks.c.hash, packs.c.pack_id == block_copies.c.pack_id, packs.c.state == "done")
        .where(
            or_(
                block_copies.c.state == "verified",
                and_(
                    block_copies.c.state == "claimed",
                    packs.c.user_id == bindparam("user"),
                    packs.c.namespace_id == bindparam("namespace"),
                ),
            )
        )
    )
)
_COPIES: Final = (
    select(
        block_copies.c.hash,
        block_copies.c.pack_id,
        block_copies.c.block_offset,
        block_copies.c.length,
        block_copies.c.plain_size,
        block_copies.c.codec,
    )
    .join(packs, packs.c.pack_id == block_copies.c.pack_id)
    .where(
        exists().where(namespace_blocks.c.namespace_id == bindparam("namespace"), namespace_blocks.c.hash == block_copies.c.hash)
    )
    .where(block_copies.c.hash.in_(bindparam("hashes", expanding=True)), packs.c.state == "done")
    .where(
        or_(
            block_copies.c.state == "verified",
            and_(block_copies.c.state == "claimed", packs.c.namespace_id == bindparam("namespace")),
        )
    )
    .order_by(case((block_copies.c.state == "verified", 0), else_=1), packs.c.created_us, packs.c.pack_id)
)


class SqlPacks(Stored):
    @whole
    async def missing(self, namespace: NamespaceId, user: UserId, hashes: Sequence[Digest]) -> list[Digest]:
        found: set[bytes] = set()
        wanted = blobs(hashes)
        for part in _parts(wanted):
            rows = await self._rows(_POSSESSED, namespace=namespace, user=user, hashes=part)
            found.update(row[0] for row in rows)
        return [text for text, blob in zip(hashes, wanted, strict=True) if blob not in found]

    @whole
    async def add_packs(self, offers: Sequence[tuple[PackRow, Sequence[PackEntry]]]) -> None:
        rows = [_values(row) for row, _ in offers]
        copies: list[Row] = []
        for row, entries in offers:
            for entry in {entry.hash: entry for entry in reversed(entries)}.values():
                place = (entry.offset, entry.length, entry.plain_size, entry.codec.value)
                copies.append((bytes.fromhex(entry.hash), row.id, *place, "claimed"))
        async with self._database.write() as connection:
            await insert_rows(connection, packs, _COLUMNS, rows)
            await insert_rows(connection, block_copies, _COPY_COLUMNS, copies)

    @whole
    async def packs(self, pack_ids: Sequence[PackId]) -> list[PackRow]:
        return await self._packs(packs.c.pack_id.in_(pack_ids))

    @whole
    async def pack_by_object(self, object_key: str) -> PackRow | None:
        found = await self._packs(packs.c.object_key == object_key)
        return found[0] if found else None

    @whole
    async def finish(self, pack_ids: Sequence[PackId], now_us: int) -> None:
        granted = select(packs.c.pack_id, packs.c.namespace_id).where(packs.c.pack_id.in_(pack_ids), packs.c.state == "granted")
        async with self._database.write() as connection:
            rows = (await connection.execute(granted.with_for_update())).all()
            if not rows:
                return
            by_namespace: dict[str, list[str]] = defaultdict(list)
            for pack, namespace in rows:
                by_namespace[namespace].append(pack)
            await connection.execute(update(packs).where(packs.c.pack_id.in_([row[0] for row in rows])).values(state="done"))
            for namespace in sorted(by_namespace):
                await _possess(connection, NamespaceId(namespace), by_namespace[namespace], now_us)

    @whole
    async def copies(self, namespace: NamespaceId, hashes: Sequence[Digest]) -> list[Copy]:
        best: dict[bytes, Copy] = {}
        for part in _parts(blobs(hashes)):
            for row in await self._rows(_COPIES, namespace=namespace, hashes=part):
                if row[0] not in best:
                    best[row[0]] = _copy(row)
        return list(best.values())

    @whole
    async def expired(self, now_us: int, limit: int) -> list[PackRow]:
        return await self._packs(packs.c.state == "granted", packs.c.expires_us < now_us, limit=limit)

    @whole
    async def forget(self, pack_ids: Sequence[PackId]) -> None:
        never_done = (packs.c.pack_id.in_(pack_ids), packs.c.state == "granted")
        async with self._database.write() as connection:
            await connection.execute(delete(packs).where(*never_done))

    async def _packs(self, *conditions: Any, limit: int | None = None) -> list[PackRow]:
        statement = select(*(packs.c[name] for name in _COLUMNS)).where(*conditions)
        if limit is not None:
            statement = statement.order_by(packs.c.expires_us).limit(limit)
        async with self._database.read() as connection:
            return [_pack(row) for row in (await connection.execute(statement)).all()]

    async def _rows(self, statement: Any, **parameters: Any) -> Sequence[Any]:
        async with self._database.read() as connection:
            return (await connection.execute(statement, parameters)).all()


async def _possess(connection: AsyncConnection, namespace: NamespaceId, pack_ids: list[str], now_us: int) -> None:
    """Records possession of the packs' blocks: new ones are counted, condemned ones revive."""
    here = namespaces.c.namespace_id == namespace
    await connection.execute(select(namespaces.c.namespace_id).where(here).with_for_update())
    declared = select(block_copies.c.hash, block_copies.c.plain_size).where(block_copies.c.pack_id.in_(pack_ids))
    sizes = {row[0]: row[1] for row in (await connection.execute(declared)).all()}
    table = namespace_blocks.c
    held: set[bytes] = set()
    condemned: list[Row] = []
    for part in _parts(list(sizes)):
        known = select(table.hash, table.state).where(table.namespace_id == namespace, table.hash.in_(part))
        for row in (await connection.execute(known)).all():
            held.add(row[0])
            if row[1] == "condemned":
                condemned.append(("held", now_us, namespace, row[0]))
    revive = (
        update(namespace_blocks)
        .where(table.namespace_id == bindparam("of_namespace"), table.hash == bindparam("of_hash"))
        .values(state=bindparam("state"), since_us=bindparam("since_us"))
    )
    await execute_many(connection, revive, ("state", "since_us", "of_namespace", "of_hash"), condemned)
    new = [(namespace, block, size, "held", now_us) for block, size in sizes.items() if block not in held]
    await insert_rows(connection, namespace_blocks, ("namespace_id", "hash", "size", "state", "since_us"), new)
    used = namespaces.c.used_bytes + sum(row[2] for row in new)
    await connection.execute(update(namespaces).where(here).values(used_bytes=used))


def _parts(hashes: list[bytes]) -> Iterator[list[bytes]]:
    return (hashes[start : start + _AT_ONCE] for start in range(0, len(hashes), _AT_ONCE))


def _values(row: PackRow) -> Row:
    return (
        row.id,
        row.namespace,
        row.user,
        row.object_key,
        row.size,
        bytes.fromhex(row.sha256),
        row.wrapped_key,
        row.state,
        "standard",
        row.expires_us,
        row.created_us,
    )


def _pack(row: Any) -> PackRow:
    return PackRow(
        id=PackId(row[0]),
        namespace=NamespaceId(row[1]),
        user=UserId(row[2]),
        object_key=row[3],
        size=row[4],
        sha256=Digest(row[5].hex()),
        wrapped_key=row[6],
        state=row[7],
        expires_us=row[9],
        created_us=row[10],
    )


def _copy(row: Any) -> Copy:
    return Copy(
        hash=Digest(row[0].hex()), pack=PackId(row[1]), offset=row[2], length=row[3], plain_size=row[4], codec=Codec(row[5])
    )
