"""`ports.pack_store.PackStore` on a SQL database.

Packs and the copies in them are stored once for all namespaces; a namespace sees only what it possesses. Possession is recorded in
the transaction that finishes a pack, which locks the namespaces it touches and counts their bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, and_, bindparam, case, delete, exists, or_, select, update

from syncline.adapters.sql.database import Stored
from syncline.adapters.sql.possession import revive
from syncline.adapters.sql.rows import Row, blobs, execute, fetch, insert_rows
from syncline.adapters.sql.schema import block_copies, namespace_blocks, namespaces, packs
from syncline.adapters.sql.sharing.sources import serves
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
                    serves(bindparam("namespace")),
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
            and_(block_copies.c.state == "claimed", serves(bindparam("namespace"))),
        )
    )
    .order_by(case((block_copies.c.state == "verified", 0), else_=1), packs.c.created_us, packs.c.pack_id)
)


_THESE: Final = packs.c.pack_id.in_(bindparam("ids", expanding=True))
_PACK: Final = select(*(packs.c[name] for name in _COLUMNS))
_BY_ID: Final = _PACK.where(_THESE)
_BY_OBJECT: Final = _PACK.where(packs.c.object_key == bindparam("object_key"))
_EXPIRED: Final = (
    _PACK.where(packs.c.state == "granted", packs.c.expires_us < bindparam("now_us"))
    .order_by(packs.c.expires_us)
    .limit(bindparam("limit"))
)
_FORGET: Final = delete(packs).where(_THESE, packs.c.state == "granted").returning(packs.c.pack_id)
_GRANTED: Final = select(packs.c.pack_id, packs.c.namespace_id).where(_THESE, packs.c.state == "granted").with_for_update()
_DONE: Final = update(packs).where(_THESE).values(state="done")
_VERIFY: Final = (
    update(block_copies)
    .where(block_copies.c.pack_id.in_(bindparam("ids", expanding=True)), block_copies.c.state == "claimed")
    .values(state="verified")
)
_HERE: Final = namespaces.c.namespace_id == bindparam("of_namespace")
_LOCK: Final = select(namespaces.c.namespace_id).where(_HERE).with_for_update()
_DECLARED: Final = select(block_copies.c.hash, block_copies.c.plain_size).where(
    block_copies.c.pack_id.in_(bindparam("ids", expanding=True))
)
_KNOWN: Final = select(namespace_blocks.c.hash).where(
    namespace_blocks.c.namespace_id == bindparam("of_namespace"),
    namespace_blocks.c.hash.in_(bindparam("hashes", expanding=True)),
)
_USE: Final = update(namespaces).where(_HERE).values(used_bytes=namespaces.c.used_bytes + bindparam("added", type_=BigInteger))


class SqlPacks(Stored):
    async def missing(self, namespace: NamespaceId, user: UserId, hashes: Sequence[Digest]) -> list[Digest]:
        wanted = blobs(hashes)

        def possessed(connection: Connection) -> set[bytes]:
            asked = {"namespace": namespace, "user": user}
            return {row[0] for part in _parts(wanted) for row in fetch(connection, _POSSESSED, **asked, hashes=part)}

        found = await self._database.read(possessed)
        return [text for text, blob in zip(hashes, wanted, strict=True) if blob not in found]

    async def add_packs(self, offers: Sequence[tuple[PackRow, Sequence[PackEntry]]]) -> None:
        rows = [_values(row) for row, _ in offers]
        copies: list[Row] = []
        for row, entries in offers:
            for entry in {entry.hash: entry for entry in reversed(entries)}.values():
                place = (entry.offset, entry.length, entry.plain_size, entry.codec.value)
                copies.append((bytes.fromhex(entry.hash), row.id, *place, "claimed"))

        def write(connection: Connection) -> None:
            insert_rows(connection, packs, _COLUMNS, rows)
            insert_rows(connection, block_copies, _COPY_COLUMNS, copies)

        await self._database.write(write)

    async def packs(self, pack_ids: Sequence[PackId]) -> list[PackRow]:
        return await self._packs(_BY_ID, ids=list(pack_ids))

    async def pack_by_object(self, object_key: str) -> PackRow | None:
        found = await self._packs(_BY_OBJECT, object_key=object_key)
        return found[0] if found else None

    async def finish(self, pack_ids: Sequence[PackId], now_us: int, *, verified: bool = False) -> None:
        def work(connection: Connection) -> None:
            _finish(connection, list(pack_ids), now_us)
            if verified:
                execute(connection, _VERIFY, ids=list(pack_ids))

        await self._database.write(work)

    async def copies(self, namespace: NamespaceId, hashes: Sequence[Digest]) -> list[Copy]:
        def best(connection: Connection) -> dict[bytes, Any]:
            found: dict[bytes, Any] = {}
            for part in _parts(blobs(hashes)):
                for row in fetch(connection, _COPIES, namespace=namespace, hashes=part):
                    found.setdefault(row[0], row)
            return found

        return [_copy(row) for row in (await self._database.read(best)).values()]

    async def expired(self, now_us: int, limit: int) -> list[PackRow]:
        return await self._packs(_EXPIRED, now_us=now_us, limit=limit)

    async def forget(self, pack_ids: Sequence[PackId]) -> list[PackId]:
        rows = await self._database.write(lambda connection: fetch(connection, _FORGET, ids=list(pack_ids)))
        return [PackId(row[0]) for row in rows]

    async def _packs(self, statement: Any, **parameters: Any) -> list[PackRow]:
        rows = await self._database.read(lambda connection: fetch(connection, statement, **parameters))
        return [pack_of(row) for row in rows]


def _finish(connection: Connection, pack_ids: list[PackId], now_us: int) -> None:
    rows = fetch(connection, _GRANTED, ids=pack_ids)
    if not rows:
        return
    by_namespace: dict[str, list[str]] = defaultdict(list)
    for pack, namespace in rows:
        by_namespace[namespace].append(pack)
    execute(connection, _DONE, ids=[row[0] for row in rows])
    for namespace in sorted(by_namespace):
        _possess(connection, NamespaceId(namespace), by_namespace[namespace], now_us)


def _possess(connection: Connection, namespace: NamespaceId, pack_ids: list[str], now_us: int) -> None:
    """Records possession of the packs' blocks: new ones are counted, condemned ones revive."""
    fetch(connection, _LOCK, of_namespace=namespace)
    sizes: dict[bytes, int] = {row[0]: row[1] for row in fetch(connection, _DECLARED, ids=pack_ids)}
    known: set[bytes] = set()
    for part in _parts(list(sizes)):
        known.update(row[0] for row in fetch(connection, _KNOWN, of_namespace=namespace, hashes=part))
    revive(connection, namespace, list(known), now_us)
    new: list[Row] = [(namespace, block, size, "held", now_us) for block, size in sizes.items() if block not in known]
    insert_rows(connection, namespace_blocks, ("namespace_id", "hash", "size", "state", "since_us"), new)
    execute(connection, _USE, of_namespace=namespace, added=sum(row[2] for row in new))


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


def pack_of(row: Any) -> PackRow:
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
