"""`ports.share_store.ShareStore` on a SQL database."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.adapters.sql.database import Stored
from syncline.adapters.sql.sharing import reads
from syncline.model.ids import NamespaceId, NodeId, UserId
from syncline.ports.share_store import Located


class SqlShares(Stored):
    async def reach(self, user: UserId, node: NodeId, namespace: NamespaceId | None) -> list[Located]:
        return await self._database.read(lambda connection: reads.reach(connection, user, node, namespace))

    async def granted(self, user: UserId, namespace: NamespaceId, nodes: Sequence[NodeId]) -> list[NodeId]:
        return await self._database.read(lambda connection: reads.granted(connection, user, namespace, nodes))
