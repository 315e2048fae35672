"""Sharing: everything a gateway may ask about who shares what with whom.

Laws: what somebody may do is asked anew in the transaction that does it; an act that was begun goes on to its end even if the one
who asked goes away; ids that are not the caller's to see answer `NotFound`.
"""

from __future__ import annotations

from collections.abc import Sequence

from syncline.model.entries import Access, Kind
from syncline.model.errors import InvalidRequest, LimitExceeded, NotFound, SynclineError
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX
from syncline.model.paths import name_of, parent_of, split_path
from syncline.ports.account_store import User
from syncline.ports.clock import Clock, Ids
from syncline.ports.share_store import Participant
from syncline.protocol import sharing as wire
from syncline.protocol.changes import to_time
from syncline.protocol.sessions import Namespaces
from syncline.server.caller import Caller
from syncline.server.finishing import Finishing
from syncline.server.metadata.service import Metadata
from syncline.server.sharing.access import NodeAccess, Reach
from syncline.server.sharing.files import Grants
from syncline.server.sharing.folders import Folders, Publish, Stores
from syncline.server.sharing.lists import Lists
from syncline.server.sharing.mounts import Place
from syncline.server.sharing.rules import Act


class Sharing:
    def __init__(self, stores: Stores, metadata: Metadata, access: NodeAccess, clock: Clock, ids: Ids, publish: Publish) -> None:
        self._access = access
        self._shares = stores.shares
        self._accounts = stores.accounts
        self._metadata = metadata
        self._folders = Folders(stores, clock, ids, publish)
        self._grants = Grants(stores.shares, self._access, clock)
        self._lists = Lists(stores.shares)
        self._finishing = Finishing()

    # -- What is shared with whom --------------------------------------------------------------------------------------------------

    async def share(self, caller: Caller, node: NodeId, request: wire.ShareRequest) -> wire.ShareAnswer:
        """Shares a folder or a file; each person is answered by themselves. Raises `NotFound`, `Forbidden`, `LimitExceeded`,
        `InvalidRequest`, and what turning a folder into a shared one raises (`ShareNested`)."""
        if len(request.users) > BATCH_MAX:
            raise LimitExceeded(what="The number of people", limit=BATCH_MAX)
        return await self._finishing.finish(self._share(caller, node, request))

    async def _share(self, caller: Caller, node: NodeId, request: wire.ShareRequest) -> wire.ShareAnswer:
        reach = await self._find(caller, node, request.namespace)
        namespace, kind = reach.namespace, _kind(reach)
        known = [await self._user(one.email) for one in request.users]
        if kind is Kind.DIR:
            if reach.entry is not None:
                reach.check(Act.INVITE)
                if known and not any(known):
                    raise NotFound(what="None of these accounts")
                namespace = await self._folders.convert(caller, namespace, node)
            else:
                reach.check(Act.SEE_MEMBERS)
        else:
            reach.check(Act.GRANT)
        results = [
            await self._share_with(caller, namespace, node, kind, asked, user)
            for asked, user in zip(request.users, known, strict=True)
        ]
        return wire.ShareAnswer(namespace=namespace, node_id=node, kind=kind, users=results)

    async def _share_with(
        self, caller: Caller, namespace: NamespaceId, node: NodeId, kind: Kind, asked: wire.ShareUser, user: User | None
    ) -> wire.ShareResult:
        try:
            if user is None:
                raise NotFound(what=f"An account of {asked.email}")
            if kind is Kind.DIR:
                status = await self._folders.invite(caller, namespace, user, asked.access)
            else:
                status = await self._grants.grant(caller, namespace, node, user, asked.access)
        except SynclineError as error:
            return wire.ShareResult(email=asked.email, access=asked.access, error=error.code, detail=str(error))
        return wire.ShareResult(email=asked.email, access=asked.access, status=status)

    async def shared_with(self, caller: Caller, node: NodeId, namespace: NamespaceId | None) -> wire.SharedWith:
        """Members and invitations of a shared folder, grants of a file. Raises `NotFound`, `Forbidden`."""
        reach = await self._find(caller, node, namespace)
        reach.check(Act.SEE_MEMBERS)
        kind = _kind(reach)
        answer = wire.SharedWith(
            namespace=reach.namespace, node_id=node, kind=kind, owner=await self._email(reach), access=reach.standing.access
        )
        if kind is Kind.FILE:
            answer.grants = [_person(one, granted=True) for one in await self._shares.grants(reach.namespace, node, BATCH_MAX)]
        elif reach.entry is None:
            answer.members = [_person(one) for one in await self._shares.members(reach.namespace, BATCH_MAX)]
            answer.invitations = [_person(one) for one in await self._shares.invitations(reach.namespace, BATCH_MAX)]
        return answer

    async def unshare(self, caller: Caller, node: NodeId, namespace: NamespaceId | None, email: str | None) -> wire.UnshareAnswer:
        """Ends it for one person, or for all but the owner. Raises `NotFound`, `Forbidden`, `OwnerStays`."""
        return await self._finishing.finish(self._unshare(caller, node, namespace, email))

    async def _unshare(self, caller: Caller, node: NodeId, namespace: NamespaceId | None, email: str | None) -> wire.UnshareAnswer:
        reach = await self._find(caller, node, namespace)
        if _kind(reach) is Kind.DIR and reach.entry is not None:
            raise NotFound(what="A shared folder")
        users = await self._to_be_ended(caller, reach, node, email)
        ended: list[str] = []
        for user in users:
            if reach.entry is None:
                over = await self._folders.remove(caller, reach.namespace, user)
            else:
                over = await self._grants.end(caller, reach.namespace, node, user)
            if over:
                ended.append(user.email)
        if email is not None and not ended:
            raise NotFound(what=f"A share with {email}")
        return wire.UnshareAnswer(namespace=reach.namespace, node_id=node, ended=ended)

    async def _to_be_ended(self, caller: Caller, reach: Reach, node: NodeId, email: str | None) -> Sequence[User]:
        if email is not None:
            user = await self._accounts.user_by_email(email)
            return [] if user is None else [user]
        reach.check(Act.INVITE if reach.entry is None else Act.GRANT)
        if reach.entry is None:
            people = await self._shares.members(reach.namespace, BATCH_MAX)
            people = [one for one in people if one.user != reach.owner]
            people += await self._shares.invitations(reach.namespace, BATCH_MAX)
        else:
            people = await self._shares.grants(reach.namespace, node, BATCH_MAX)
        found = [await self._accounts.user(one.user) for one in people]
        return [user for user in found if user is not None]

    async def shared(self, caller: Caller) -> wire.Shared:
        """What is shared with the caller and by them."""
        return await self._lists.shared(caller, await self._folders.root(caller))

    async def namespaces(self, caller: Caller) -> Namespaces:
        """Every namespace the caller may see, with its head; shared ones with what sharing knows of them."""
        answer = await self._metadata.namespaces(caller)
        return await self._lists.describe(caller, answer, await self._folders.root(caller))

    # -- What those do who are invited, or members ---------------------------------------------------------------------------------

    async def accept(self, caller: Caller, namespace: NamespaceId, request: wire.MountRequest) -> wire.Mounted:
        place = await self._place(caller, request)
        access = await self._finishing.finish(self._folders.accept(caller, namespace, place))
        return await self._mounted(caller, namespace, access)

    async def decline(self, caller: Caller, namespace: NamespaceId) -> None:
        await self._finishing.finish(self._folders.decline(caller, namespace))

    async def leave(self, caller: Caller, namespace: NamespaceId) -> None:
        await self._finishing.finish(self._folders.leave(caller, namespace))

    async def mount(self, caller: Caller, namespace: NamespaceId, request: wire.MountRequest) -> wire.Mounted:
        place = await self._place(caller, request)
        access = await self._finishing.finish(self._folders.mount(caller, namespace, place))
        return await self._mounted(caller, namespace, access)

    async def unmount(self, caller: Caller, namespace: NamespaceId) -> wire.Mounted:
        access = await self._finishing.finish(self._folders.unmount(caller, namespace))
        return await self._mounted(caller, namespace, access)

    async def drain(self) -> None:
        """Waits for the acts under way."""
        await self._finishing.drain()

    # -- Finding ------------------------------------------------------------------------------------------------------------------

    async def _find(self, caller: Caller, node: NodeId, namespace: NamespaceId | None) -> Reach:
        """The node; of a shared folder the namespace itself, whichever of its two sides was named."""
        reach = await self._access.may_read(caller, namespace, node)
        if reach.entry is not None and reach.entry.mount:
            reach = await self._access.may_read(caller, NamespaceId(node), node)
        elif reach.entry is None and NamespaceId(node) == await self._folders.root(caller):
            raise InvalidRequest(message="Your whole tree cannot be shared; share a folder in it")
        elif reach.entry is not None and reach.entry.deleted:
            raise NotFound(what="The node")
        return reach

    async def _place(self, caller: Caller, request: wire.MountRequest) -> Place:
        if request.path is None:
            return Place(request.parent_id, request.name)
        if request.parent_id is not None or request.name is not None:
            raise InvalidRequest(message="Say where to mount by `path`, or by `parent_id` and `name`")
        path = "/" + "/".join(split_path(request.path))
        if path == "/":
            raise InvalidRequest(message="Name the place to mount at, such as /Team")
        folder = await self._metadata.metadata_by_path(caller, parent_of(path))
        if folder.entry is None:
            return Place(NodeId(folder.namespace), name_of(path))
        return Place(folder.entry.node_id, name_of(path))

    async def _mounted(self, caller: Caller, namespace: NamespaceId, access: Access) -> wire.Mounted:
        paths = await self._shares.mounted(await self._folders.root(caller), [namespace])
        return wire.Mounted(namespace=namespace, access=access, path=paths.get(namespace))

    async def _user(self, email: str) -> User | None:
        user = await self._accounts.user_by_email(email.strip())
        return None if user is None or user.disabled else user

    async def _email(self, reach: Reach) -> str:
        owner = await self._accounts.user(reach.owner)
        return "" if owner is None else owner.email


def _kind(reach: Reach) -> Kind:
    return Kind.DIR if reach.entry is None else reach.entry.kind


def _person(one: Participant, *, granted: bool = False) -> wire.Person:
    return wire.Person(
        email=one.email,
        name=one.name,
        access=one.access,
        since=to_time(one.since_us),
        user_id=one.user,
        invited_by=None if granted else one.by,
        granted_by=one.by if granted else None,
    )
