"""What is shared with somebody and by them, as lists; and what `/v1/namespaces` says of shared folders besides their heads."""

from __future__ import annotations

from syncline.model.ids import NamespaceId
from syncline.model.limits import BATCH_MAX
from syncline.ports.share_store import Granted, Joined, ShareStore
from syncline.protocol.changes import Entry, to_time
from syncline.protocol.sessions import Namespaces
from syncline.protocol.sharing import Shared, SharedFile, SharedFolder
from syncline.server.caller import Caller


class Lists:
    def __init__(self, shares: ShareStore) -> None:
        self._shares = shares

    async def shared(self, caller: Caller, root: NamespaceId) -> Shared:
        joined = await self._shares.joined(caller.user_id, BATCH_MAX + 1)
        invited = await self._shares.invited(caller.user_id, BATCH_MAX + 1)
        with_me = await self._shares.granted_to(caller.user_id, BATCH_MAX + 1)
        by_me = await self._shares.granted_by(caller.user_id, BATCH_MAX + 1)
        paths = await self._shares.mounted(root, [one.space.namespace for one in joined])
        return Shared(
            folders=[_folder(one, paths.get(one.space.namespace)) for one in joined[:BATCH_MAX]],
            invitations=[_folder(one, None) for one in invited[:BATCH_MAX]],
            files=[_file(one) for one in with_me[:BATCH_MAX]],
            by_me=[_file(one) for one in by_me[:BATCH_MAX]],
            more=any(len(found) > BATCH_MAX for found in (joined, invited, with_me, by_me)),
        )

    async def describe(self, caller: Caller, answer: Namespaces, root: NamespaceId) -> Namespaces:
        """Adds to each shared folder whose it is, how many share it, and where the caller mounted it."""
        shared = [space for space in answer.namespaces if not space.is_root]
        if not shared:
            return answer
        known = {one.space.namespace: one.space for one in await self._shares.joined(caller.user_id, len(shared) + 1)}
        paths = await self._shares.mounted(root, [space.id for space in shared])
        for space in shared:
            space.path = paths.get(space.id)
            space.mounted = space.path is not None
            if space.id in known:
                space.owner, space.members = known[space.id].owner_email, known[space.id].members
        return answer


def _folder(one: Joined, path: str | None) -> SharedFolder:
    return SharedFolder(
        namespace=one.space.namespace,
        name=one.space.name,
        owner=one.space.owner_email,
        access=one.access,
        members=one.space.members,
        since=to_time(one.since_us),
        path=path,
        invited_by=one.invited_by,
    )


def _file(one: Granted) -> SharedFile:
    return SharedFile(
        namespace=one.namespace,
        entry=Entry.of(one.entry),
        owner=one.owner_email,
        email=one.email,
        granted_by=one.by_email,
        access=one.access,
        since=to_time(one.created_us),
    )
