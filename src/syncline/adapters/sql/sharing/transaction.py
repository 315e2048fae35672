"""`ports.share_store.ShareTransaction` on a SQL database: several namespaces' commits, and who may do what in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Table, delete, insert, select, update

from syncline.adapters.sql.commits import SqlCommit
from syncline.adapters.sql.database import Transaction
from syncline.adapters.sql.heads import lock_query
from syncline.adapters.sql.rows import fetch
from syncline.adapters.sql.schema import grants, invitations, members, namespaces
from syncline.adapters.sql.sharing import convert, copies, people
from syncline.model.entries import Access
from syncline.model.errors import NotFound
from syncline.model.ids import NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.ports.metadata_store import CommitTransaction
from syncline.ports.share_store import Conversion, Copying, Space

T = TypeVar("T")
_INVITED: Final = invitations.c


class SqlShareTransaction:
    def __init__(self, transaction: Transaction, commits: dict[NamespaceId, SqlCommit]) -> None:
        self._transaction = transaction
        self._commits = commits

    @classmethod
    async def begin(
        cls, transaction: Transaction, dialect: str, seen_by: Mapping[NamespaceId, UserId], locked: Iterable[NamespaceId]
    ) -> SqlShareTransaction:
        commits: dict[NamespaceId, SqlCommit] = {}
        for namespace in sorted({*seen_by, *locked}):
            user = seen_by.get(namespace)
            if user is not None:
                commits[namespace] = await SqlCommit.begin(transaction, dialect, namespace, user)
            elif not await transaction.run(_locking(namespace)):
                raise NotFound(what="The namespace")
        return cls(transaction, commits)

    def of(self, namespace: NamespaceId) -> CommitTransaction:
        return self._commits[namespace]

    async def space(self, namespace: NamespaceId) -> Space | None:
        return await self._run(lambda connection: people.space(connection, namespace))

    async def member(self, namespace: NamespaceId, user: UserId) -> Access | None:
        return await self._run(lambda connection: _access(connection, members, namespace, user))

    async def invited(self, namespace: NamespaceId, user: UserId) -> Access | None:
        return await self._run(lambda connection: _access(connection, invitations, namespace, user))

    async def tree(self, namespace: NamespaceId, folder: NodeId, limit: int) -> list[JournalEntry]:
        return await self._run(lambda connection: convert.tree(connection, namespace, folder, limit))

    async def convert(self, conversion: Conversion) -> None:
        await self._run(lambda connection: convert.convert(connection, conversion))

    async def copy(self, source: NamespaceId, target: NamespaceId, files: Sequence[Copying], now_us: int) -> None:
        await self._run(lambda connection: copies.copy(connection, source, target, files, now_us))

    async def set_member(self, namespace: NamespaceId, user: UserId, access: Access, now_us: int) -> None:
        await self._set(members, {"namespace_id": namespace, "user_id": user}, {"access": access.value}, {"since_us": now_us})

    async def drop_member(self, namespace: NamespaceId, user: UserId) -> None:
        await self._drop(members, namespace_id=namespace, user_id=user)
        await self._drop(grants, namespace_id=namespace, granted_by=user)
        await self._drop(grants, namespace_id=namespace, user_id=user)

    async def set_owner(self, namespace: NamespaceId, user: UserId) -> None:
        owned = update(namespaces).where(namespaces.c.namespace_id == namespace).values(owner_id=user)
        await self._run(lambda connection: connection.execute(owned))

    async def set_invitation(self, namespace: NamespaceId, user: UserId, access: Access, by: UserId, now_us: int) -> None:
        changed = {"access": access.value, "invited_by": by}
        await self._set(invitations, {"namespace_id": namespace, "user_id": user}, changed, {"created_us": now_us})

    async def drop_invitation(self, namespace: NamespaceId, user: UserId) -> None:
        await self._drop(invitations, namespace_id=namespace, user_id=user)

    async def set_grant(self, namespace: NamespaceId, node: NodeId, user: UserId, access: Access, by: UserId, now_us: int) -> None:
        key = {"namespace_id": namespace, "node_id": node, "user_id": user}
        await self._set(grants, key, {"access": access.value, "granted_by": by}, {"created_us": now_us})

    async def drop_grant(self, namespace: NamespaceId, node: NodeId, user: UserId) -> None:
        await self._drop(grants, namespace_id=namespace, node_id=node, user_id=user)

    async def _set(self, table: Table, key: dict[str, Any], changed: dict[str, Any], first: dict[str, Any]) -> None:
        """One row, changed where it is there, else made."""

        def put(connection: Connection) -> None:
            mine = [table.c[name] == value for name, value in key.items()]
            if not connection.execute(update(table).where(*mine).values(**changed)).rowcount:
                connection.execute(insert(table).values(**key, **changed, **first))

        await self._run(put)

    async def _drop(self, table: Table, **key: Any) -> None:
        dropped = delete(table).where(*(table.c[name] == value for name, value in key.items()))
        await self._run(lambda connection: connection.execute(dropped))

    async def _run(self, work: Callable[[Connection], T]) -> T:
        return await self._transaction.run(work)


def _locking(namespace: NamespaceId) -> Callable[[Connection], bool]:
    return lambda connection: bool(fetch(connection, lock_query(), namespace=namespace))


def _access(connection: Connection, table: Table, namespace: NamespaceId, user: UserId) -> Access | None:
    mine = (table.c.namespace_id == namespace, table.c.user_id == user)
    found = connection.execute(select(table.c.access).where(*mine)).scalar()
    return None if found is None else Access(found)
