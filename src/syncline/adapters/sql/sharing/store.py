"""`ports.share_store.ShareStore` on a SQL database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import Connection

from syncline.adapters.sql.database import Stored
from syncline.adapters.sql.schema import grants, invitations, members
from syncline.adapters.sql.sharing import people, reads
from syncline.adapters.sql.sharing.transaction import SqlShareTransaction
from syncline.model.ids import DeviceId, NamespaceId, NodeId, UserId
from syncline.ports.metadata_store import StoredAnswer
from syncline.ports.share_store import Granted, Joined, Located, Participant, ShareTransaction, Space

T = TypeVar("T")


class SqlShares(Stored):
    @asynccontextmanager
    async def transaction(
        self, seen_by: Mapping[NamespaceId, UserId], locked: Iterable[NamespaceId] = ()
    ) -> AsyncIterator[ShareTransaction]:
        async with self._database.transaction() as transaction:
            yield await SqlShareTransaction.begin(transaction, self._database.dialect, seen_by, locked)

    async def reach(self, user: UserId, node: NodeId, namespace: NamespaceId | None) -> list[Located]:
        return await self._read(lambda connection: reads.reach(connection, user, node, namespace))

    async def granted(self, user: UserId, namespace: NamespaceId, nodes: Sequence[NodeId]) -> list[NodeId]:
        return await self._read(lambda connection: reads.granted(connection, user, namespace, nodes))

    async def granted_to_write(self, user: UserId, namespace: NamespaceId) -> bool:
        return await self._read(lambda connection: reads.granted_to_write(connection, user, namespace))

    async def answered(self, user: UserId, device: DeviceId, key: str) -> StoredAnswer | None:
        return await self._read(lambda connection: reads.answered(connection, user, device, key))

    async def space(self, namespace: NamespaceId) -> Space | None:
        return await self._read(lambda connection: people.space(connection, namespace))

    async def members(self, namespace: NamespaceId, limit: int) -> list[Participant]:
        return await self._read(lambda connection: people.participants(connection, members, limit, namespace_id=namespace))

    async def invitations(self, namespace: NamespaceId, limit: int) -> list[Participant]:
        return await self._read(lambda connection: people.participants(connection, invitations, limit, namespace_id=namespace))

    async def grants(self, namespace: NamespaceId, node: NodeId, limit: int) -> list[Participant]:
        key = {"namespace_id": namespace, "node_id": node}
        return await self._read(lambda connection: people.participants(connection, grants, limit, **key))

    async def joined(self, user: UserId, limit: int) -> list[Joined]:
        return await self._read(lambda connection: people.joined(connection, user, limit))

    async def invited(self, user: UserId, limit: int) -> list[Joined]:
        return await self._read(lambda connection: people.invited(connection, user, limit))

    async def granted_to(self, user: UserId, limit: int) -> list[Granted]:
        return await self._read(lambda connection: people.granted_to(connection, user, limit))

    async def granted_by(self, user: UserId, limit: int) -> list[Granted]:
        return await self._read(lambda connection: people.granted_by(connection, user, limit))

    async def mounted(self, root: NamespaceId, namespaces: Sequence[NamespaceId]) -> dict[NamespaceId, str]:
        return await self._read(lambda connection: people.mounted(connection, root, namespaces)) if namespaces else {}

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self._database.read(work)
