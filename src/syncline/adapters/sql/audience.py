"""`ports.audience.Audience` on a SQL database: one statement however many ask."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Select, and_, select

from syncline.adapters.sql.database import Stored
from syncline.adapters.sql.rows import as_json, fetch, pairs
from syncline.adapters.sql.schema import devices, members, namespaces, users
from syncline.model.ids import DeviceId, NamespaceId
from syncline.ports.audience import Ear


class SqlAudience(Stored):
    async def may_hear(self, ears: Sequence[Ear]) -> dict[Ear, int | None]:
        if not ears:
            return {}
        statement, asked = _heard(self._database.dialect), as_json(ears)
        rows = await self._database.read(lambda connection: fetch(connection, statement, ears=asked))
        return {(DeviceId(device), NamespaceId(namespace)): head for device, namespace, head in rows}


@cache
def _heard(dialect: str) -> Select[Any]:
    """`ears` → device, namespace, and its head or NULL."""
    ears = pairs(dialect, "ears")
    joined = (
        ears.join(devices, devices.c.device_id == ears.c.a)
        .join(users, and_(users.c.user_id == devices.c.user_id, users.c.disabled.is_(False)))
        .outerjoin(members, and_(members.c.namespace_id == ears.c.b, members.c.user_id == devices.c.user_id))
        .outerjoin(namespaces, namespaces.c.namespace_id == members.c.namespace_id)
    )
    return select(ears.c.a, ears.c.b, namespaces.c.head_sequence).select_from(joined)
