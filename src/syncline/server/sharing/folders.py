"""Shared folders: inviting, joining, leaving, handing over. Each act is one transaction over all namespaces it touches.

Losing access is a row in that member's root journal and the end of the membership at once: no device sees one without the other,
and the commit that makes it wakes theirs.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from syncline.model.entries import Access
from syncline.model.errors import Forbidden, InvalidRequest, LimitExceeded, NotAMember, NotFound, OwnerStays, QuotaExceeded
from syncline.model.ids import ChangesetId, NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX
from syncline.ports.account_store import AccountStore, User
from syncline.ports.clock import Clock, Ids
from syncline.ports.metadata_store import MetadataStore
from syncline.ports.share_store import ShareStore, ShareTransaction
from syncline.server.caller import Caller
from syncline.server.metadata.record import Stamp
from syncline.server.sharing import convert, mounts
from syncline.server.sharing.mounts import Place
from syncline.server.sharing.rules import Act, Standing, may

Publish = Callable[[NamespaceId, int], None]


class Stores(Struct, frozen=True):
    """What sharing keeps and asks."""

    shares: ShareStore
    accounts: AccountStore
    metadata: MetadataStore


class Folders:
    """`publish(namespace, head)` is called after each transaction, once for every journal that grew."""

    def __init__(self, stores: Stores, clock: Clock, ids: Ids, publish: Publish) -> None:
        self._shares = stores.shares
        self._accounts = stores.accounts
        self._metadata = stores.metadata
        self._clock = clock
        self._ids = ids
        self._publish = publish

    def stamp(self, caller: Caller) -> Stamp:
        return Stamp(caller, ChangesetId(self._ids.fresh()), self._clock.now_us())

    async def root(self, user: User | Caller) -> NamespaceId:
        if isinstance(user, User):
            return user.root_namespace
        found = await self._accounts.user(user.user_id)
        if found is None:
            raise NotFound(what="The user")
        return found.root_namespace

    async def convert(self, caller: Caller, namespace: NamespaceId, folder: NodeId) -> NamespaceId:
        """Makes a folder of the caller's own tree a shared one. Raises as `convert.convert` does."""
        async with self._shares.transaction({namespace: caller.user_id}) as transaction:
            head = await convert.convert(transaction, namespace, folder, self.stamp(caller), self._ids)
        self._publish(namespace, head)
        return NamespaceId(folder)

    # -- What the owner does -------------------------------------------------------------------------------------------------------

    async def invite(self, caller: Caller, namespace: NamespaceId, user: User, access: Access) -> str:
        """What became of it: invited, changed, unchanged, or owner. Raises `NotFound`, `Forbidden`, `InvalidRequest`,
        `NotAMember`, `QuotaExceeded`, `LimitExceeded`."""
        if access is Access.OWNER:
            return await self._hand_over(caller, namespace, user)
        root = await self.root(user)
        async with self._shares.transaction({root: user.id}, [namespace]) as transaction:
            await self._check(transaction, caller, namespace, Act.INVITE)
            now_us = self._clock.now_us()
            member = await transaction.member(namespace, user.id)
            if member is Access.OWNER:
                raise InvalidRequest(message="This is the owner's own folder")
            if member is None:
                invited = await transaction.invited(namespace, user.id)
                await self._check_room(transaction, namespace)
                await transaction.set_invitation(namespace, user.id, access, caller.user_id, now_us)
                return "invited" if invited is None else "unchanged" if invited is access else "changed"
            if member is access:
                return "unchanged"
            await transaction.set_member(namespace, user.id, access, now_us)
            head = await mounts.touch(transaction.of(root), namespace, self.stamp(caller))
        self._tell(root, head)
        return "changed"

    async def remove(self, caller: Caller, namespace: NamespaceId, user: User) -> bool:
        """Ends a membership or an invitation; whether there was one. Raises `NotFound`, `Forbidden`, `OwnerStays`."""
        act = Act.LEAVE if user.id == caller.user_id else Act.INVITE
        root = await self.root(user)
        async with self._shares.transaction({root: user.id}, [namespace]) as transaction:
            await self._check(transaction, caller, namespace, act)
            member = await transaction.member(namespace, user.id)
            if member is Access.OWNER:
                raise OwnerStays
            if member is None:
                invited = await transaction.invited(namespace, user.id)
                await transaction.drop_invitation(namespace, user.id)
                return invited is not None
            await transaction.drop_member(namespace, user.id)
            head = await mounts.unmount(transaction.of(root), namespace, self.stamp(caller))
        self._tell(root, head)
        return True

    async def _hand_over(self, caller: Caller, namespace: NamespaceId, user: User) -> str:
        """The folder and what it takes of the quota become another member's; who had it may write there still."""
        if user.id == caller.user_id:
            async with self._shares.transaction({}, [namespace]) as transaction:
                await self._check(transaction, caller, namespace, Act.HAND_OVER)
            return "unchanged"
        usage = await self._metadata.usage(user.id)
        theirs, mine = await self.root(user), await self.root(caller)
        async with self._shares.transaction({theirs: user.id, mine: caller.user_id}, [namespace]) as transaction:
            await self._check(transaction, caller, namespace, Act.HAND_OVER)
            member = await transaction.member(namespace, user.id)
            if member is None or not member.may_write:
                raise NotAMember(what=user.email)
            space = await transaction.space(namespace)
            assert space is not None
            if usage.quota_bytes is not None and usage.used_bytes + space.used_bytes > usage.quota_bytes:
                raise QuotaExceeded(limit=usage.quota_bytes, used=usage.used_bytes + space.used_bytes)
            now_us = self._clock.now_us()
            await transaction.set_owner(namespace, user.id)
            await transaction.set_member(namespace, user.id, Access.OWNER, now_us)
            await transaction.set_member(namespace, caller.user_id, Access.WRITE, now_us)
            heads = {
                root: await mounts.touch(transaction.of(root), namespace, self.stamp(caller)) for root in sorted((theirs, mine))
            }
        for root, head in heads.items():
            self._tell(root, head)
        return "owner"

    # -- What members and those invited do -----------------------------------------------------------------------------------------

    async def accept(self, caller: Caller, namespace: NamespaceId, place: Place) -> Access:
        """Takes an invitation up and puts the folder into the caller's tree. Done twice it is done once. Raises `NotFound` without
        an invitation, and as `mounts.mount` does."""
        root = await self.root(caller)
        async with self._shares.transaction({root: caller.user_id}, [namespace]) as transaction:
            space, member = await transaction.space(namespace), await transaction.member(namespace, caller.user_id)
            access = member or await transaction.invited(namespace, caller.user_id)
            # Everybody is a member of their own root, which must not come to lie in itself.
            if access is None or space is None or space.is_root:
                raise NotFound(what="The invitation")
            await transaction.drop_invitation(namespace, caller.user_id)
            if member is None:
                await transaction.set_member(namespace, caller.user_id, access, self._clock.now_us())
            head = await self._mount(transaction, caller, namespace, root, place, again=member is None)
        self._tell(root, head)
        return access

    async def decline(self, caller: Caller, namespace: NamespaceId) -> None:
        """Raises `NotFound` without an invitation."""
        async with self._shares.transaction({}, [namespace]) as transaction:
            if await transaction.invited(namespace, caller.user_id) is None:
                raise NotFound(what="The invitation")
            await transaction.drop_invitation(namespace, caller.user_id)

    async def leave(self, caller: Caller, namespace: NamespaceId) -> None:
        """Raises `NotFound`, `OwnerStays`."""
        user = await self._accounts.user(caller.user_id)
        if user is None:
            raise NotFound(what="The user")
        await self.remove(caller, namespace, user)

    async def mount(self, caller: Caller, namespace: NamespaceId, place: Place) -> Access:
        """Puts a folder the caller is a member of into their tree, or elsewhere in it. Raises `NotFound`, and as `mounts.mount`."""
        root = await self.root(caller)
        async with self._shares.transaction({root: caller.user_id}, [namespace]) as transaction:
            access = await self._member(transaction, caller, namespace)
            moved = place.parent is not None or place.name is not None
            head = await self._mount(transaction, caller, namespace, root, place, again=moved)
        self._tell(root, head)
        return access

    async def unmount(self, caller: Caller, namespace: NamespaceId) -> Access:
        """Takes the folder out of the caller's tree; they stay a member. Raises `NotFound`."""
        root = await self.root(caller)
        async with self._shares.transaction({root: caller.user_id}, [namespace]) as transaction:
            access = await self._member(transaction, caller, namespace)
            head = await mounts.unmount(transaction.of(root), namespace, self.stamp(caller))
        self._tell(root, head)
        return access

    async def _mount(
        self,
        transaction: ShareTransaction,
        caller: Caller,
        namespace: NamespaceId,
        root: NamespaceId,
        place: Place,
        *,
        again: bool,
    ) -> int | None:
        """What is mounted already stays where it is, unless it is asked for `again`."""
        commit = transaction.of(root)
        if not again and await mounts.mounted(commit, namespace) is not None:
            return None
        space = await transaction.space(namespace)
        assert space is not None
        return await mounts.mount(commit, namespace, place, space.name, self.stamp(caller))

    async def _member(self, transaction: ShareTransaction, caller: Caller, namespace: NamespaceId) -> Access:
        space, access = await transaction.space(namespace), await transaction.member(namespace, caller.user_id)
        if access is None or space is None or space.is_root:
            raise NotFound(what="The shared folder")
        return access

    async def _check(self, transaction: ShareTransaction, caller: Caller, namespace: NamespaceId, act: Act) -> None:
        """Raises `NotFound` for someone who is no member, `OwnerStays`, `Forbidden`."""
        access = await self._member(transaction, caller, namespace)
        if not may(act, Standing.of_member(access)):
            if act is Act.LEAVE:
                raise OwnerStays
            raise Forbidden(what=act.value)

    async def _check_room(self, transaction: ShareTransaction, namespace: NamespaceId) -> None:
        space = await transaction.space(namespace)
        if space is not None and space.members >= BATCH_MAX:
            raise LimitExceeded(what="The number of members", limit=BATCH_MAX)

    def _tell(self, root: NamespaceId, head: int | None) -> None:
        if head is not None:
            self._publish(root, head)
