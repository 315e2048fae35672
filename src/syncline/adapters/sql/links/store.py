"""`ports.link_store.LinkStore` on a SQL database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Select, and_, delete, func, insert, or_, select, update

from syncline.adapters.sql.database import Stored
from syncline.adapters.sql.schema import links
from syncline.model.ids import Digest, LinkId, NamespaceId, NodeId, UserId
from syncline.ports.link_store import LinkRow
from syncline.protocol.links import LinkKind

_COLUMNS: Final = (
    links.c.link_id,
    links.c.namespace_id,
    links.c.token_hash,
    links.c.node_id,
    links.c.kind,
    links.c.created_by,
    links.c.created_us,
    links.c.password_hash,
    links.c.expires_us,
    links.c.downloads_max,
    links.c.downloads,
)


class SqlLinks(Stored):
    async def add(self, link: LinkRow) -> None:
        values = {
            "link_id": link.id,
            "namespace_id": link.namespace,
            "token_hash": bytes.fromhex(link.token_hash),
            "node_id": link.node,
            "kind": link.kind.value,
            "created_by": link.created_by,
            "created_us": link.created_us,
            "downloads": link.downloads,
            **_changeable(link),
        }
        await self._database.write(lambda connection: connection.execute(insert(links).values(**values)))

    async def by_token(self, namespace: NamespaceId, token_hash: Digest) -> LinkRow | None:
        wanted = and_(links.c.namespace_id == namespace, links.c.token_hash == bytes.fromhex(token_hash))
        return next(iter(await self._rows(select(*_COLUMNS).where(wanted))), None)

    async def link(self, link: LinkId) -> LinkRow | None:
        return next(iter(await self._rows(select(*_COLUMNS).where(links.c.link_id == link))), None)

    async def of_person(self, user: UserId, after: LinkId | None, limit: int) -> list[LinkRow]:
        return await self._rows(_page(links.c.created_by == user, after, limit))

    async def of_node(self, node: NodeId, after: LinkId | None, limit: int) -> list[LinkRow]:
        return await self._rows(_page(links.c.node_id == node, after, limit))

    async def count_of(self, user: UserId) -> int:
        counted = select(func.count()).select_from(links).where(links.c.created_by == user)
        return await self._database.read(lambda connection: int(connection.execute(counted).scalar_one()))

    async def change(self, link: LinkRow) -> bool:
        return await self._wrote(update(links).where(_one(link.namespace, link.id)).values(**_changeable(link)))

    async def remove(self, namespace: NamespaceId, link: LinkId) -> bool:
        return await self._wrote(delete(links).where(_one(namespace, link)))

    async def begin(self, namespace: NamespaceId, link: LinkId) -> bool:
        left = or_(links.c.downloads_max.is_(None), links.c.downloads < links.c.downloads_max)
        return await self._wrote(update(links).where(_one(namespace, link), left).values(downloads=links.c.downloads + 1))

    async def _rows(self, statement: Select[Any]) -> list[LinkRow]:
        return [_row(row) for row in await self._database.read(lambda connection: connection.execute(statement).all())]

    async def _wrote(self, statement: Any) -> bool:
        return await self._database.write(lambda connection: bool(connection.execute(statement).rowcount == 1))


def _one(namespace: NamespaceId, link: LinkId) -> Any:
    return and_(links.c.namespace_id == namespace, links.c.link_id == link)


def _page(condition: Any, after: LinkId | None, limit: int) -> Select[Any]:
    return select(*_COLUMNS).where(condition, links.c.link_id > (after or "")).order_by(links.c.link_id).limit(limit)


def _changeable(link: LinkRow) -> dict[str, Any]:
    return {"password_hash": link.password_hash, "expires_us": link.expires_us, "downloads_max": link.downloads_max}


def _row(row: Sequence[Any]) -> LinkRow:
    return LinkRow(
        id=LinkId(row[0]),
        namespace=NamespaceId(row[1]),
        token_hash=Digest(row[2].hex()),
        node=NodeId(row[3]),
        kind=LinkKind(row[4]),
        created_by=UserId(row[5]),
        created_us=row[6],
        password_hash=row[7],
        expires_us=row[8],
        downloads_max=row[9],
        downloads=row[10],
    )
