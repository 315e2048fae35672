"""Single files shared by grant: someone else may read exactly that file, or give it new versions too."""

from __future__ import annotations

from syncline.model.entries import Access
from syncline.model.errors import InvalidRequest, LimitExceeded, NotFound
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX
from syncline.ports.account_store import User
from syncline.ports.clock import Clock
from syncline.ports.share_store import ShareStore, ShareTransaction
from syncline.server.caller import Caller
from syncline.server.sharing.access import NodeAccess
from syncline.server.sharing.rules import Act


class Grants:
    def __init__(self, shares: ShareStore, access: NodeAccess, clock: Clock) -> None:
        self._shares = shares
        self._access = access
        self._clock = clock

    async def grant(self, caller: Caller, namespace: NamespaceId, node: NodeId, user: User, access: Access) -> str:
        """What became of it: granted, changed, unchanged. Raises `NotFound`, `Forbidden`, `InvalidRequest`, `LimitExceeded`."""
        if access is Access.OWNER:
            raise InvalidRequest(message="A single file can be shared to read or to write; its owner is the folder's")
        if user.id == caller.user_id:
            raise InvalidRequest(message="You can read and write this file already")
        known = await self._shares.grants(namespace, node, BATCH_MAX + 1)
        present = next((one.access for one in known if one.user == user.id), None)
        if present is None and len(known) >= BATCH_MAX:
            raise LimitExceeded(what="The number of people one file is shared with", limit=BATCH_MAX)
        async with self._shares.transaction({}, [namespace]) as transaction:
            await self._check(transaction, caller, namespace, node)
            await transaction.set_grant(namespace, node, user.id, access, caller.user_id, self._clock.now_us())
        return "granted" if present is None else "unchanged" if present is access else "changed"

    async def end(self, caller: Caller, namespace: NamespaceId, node: NodeId, user: User) -> bool:
        """Ends a grant; whether there was one. Anyone may end what was granted to themselves. Raises `NotFound`, `Forbidden`."""
        known = await self._shares.grants(namespace, node, BATCH_MAX)
        async with self._shares.transaction({}, [namespace]) as transaction:
            if user.id != caller.user_id:
                await self._check(transaction, caller, namespace, node)
            await transaction.drop_grant(namespace, node, user.id)
        return any(one.user == user.id for one in known)

    async def _check(self, transaction: ShareTransaction, caller: Caller, namespace: NamespaceId, node: NodeId) -> None:
        """The caller may share this file now, with the namespace locked."""
        reach = await self._access.may(Act.GRANT, caller, namespace, node)
        if await transaction.member(namespace, caller.user_id) is None or reach.entry is None or reach.entry.deleted:
            raise NotFound(what="The file")
