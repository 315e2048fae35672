"""Sharing: with people who have an account, and by links with those who have none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

from syncline.model.entries import Access
from syncline.model.errors import InvalidRequest, NotFound
from syncline.model.ids import LinkId, parse_ulid
from syncline.protocol.links import CreatedLink, Link, LinkKind, NewLink
from syncline.protocol.problems import from_problem
from syncline.protocol.sharing import (
    Mounted,
    MountRequest,
    ShareAnswer,
    Shared,
    SharedFolder,
    SharedWith,
    ShareResult,
    ShareUser,
    UnshareAnswer,
)
from syncline.sdk.session import AsyncSession

AccessName = Access | Literal["read", "write", "owner"]


class AsyncSharing(AsyncSession):
    """`folder` is a shared folder as `shared()` lists it, or its name there, its path, or its id."""

    async def share(self, path: str, email: str, *, access: AccessName = Access.READ) -> ShareResult:
        """Shares a folder or a single file with somebody who has an account; says it again with another `access` to change that.
        `owner` hands a shared folder over to a member who may write. Raises `NotFound`, `Forbidden`, `ShareNested`, `NotAMember`,
        `QuotaExceeded`."""
        result = (await self.share_all(path, {email: access})).users[0]
        if result.error is not None:
            told = {"what": email, "message": result.detail, "reason": result.detail}
            raise from_problem({"code": result.error, "detail": result.detail} | told)
        return result

    async def share_all(self, path: str, users: Mapping[str, AccessName]) -> ShareAnswer:
        """The same with many people (at most a thousand: e-mail address and access); what became of each, in order."""
        found = await self._files.find(path)
        wanted = [ShareUser(email=email, access=Access(access)) for email, access in users.items()]
        return await self._remote.people.share(found.id, wanted, namespace=found.namespace)

    async def unshare(self, path: str, email: str | None = None) -> UnshareAnswer:
        """Ends the sharing of a folder or file with somebody, or with everybody but the owner; at once. Raises `NotFound`,
        `Forbidden`."""
        found = await self._files.find(path)
        return await self._remote.people.unshare(found.id, email=email, namespace=found.namespace)

    async def shared(self) -> Shared:
        """What is shared with you and by you, and the invitations that wait."""
        return await self._remote.people.shared()

    async def shared_with(self, path: str) -> SharedWith:
        """With whom a folder or file is shared. Raises `NotFound`."""
        found = await self._files.find(path)
        return await self._remote.people.shared_with(found.id, namespace=found.namespace)

    async def shared_folder(self, folder: str, *, invited: bool = False) -> SharedFolder:
        """A shared folder of yours, or with `invited` an invitation, by name, path or id. Raises `NotFound`, `InvalidRequest` where
        several have the name."""
        return _chosen(await self.shared(), folder, invited=invited)

    async def accept(self, folder: str | SharedFolder, *, at: str | None = None) -> Mounted:
        """Accepts an invitation: the folder appears in your tree, at `at`, else at the top under a free name. Raises `NotFound`,
        `NameTaken`, `ShareNested`."""
        share = await self._share(folder, invited=True)
        return await self._remote.people.accept(share.namespace, MountRequest(path=at))

    async def decline(self, folder: str | SharedFolder) -> None:
        """Turns an invitation down. Raises `NotFound`."""
        await self._remote.people.decline((await self._share(folder, invited=True)).namespace)

    async def leave(self, folder: str | SharedFolder) -> None:
        """Leaves a shared folder for good; it stays with its other members. Raises `NotFound`, `OwnerStays`."""
        await self._remote.people.leave((await self._share(folder)).namespace)

    async def mount(self, folder: str | SharedFolder, *, at: str | None = None) -> Mounted:
        """Puts a shared folder into your tree again, or elsewhere. Raises `NotFound`, `NameTaken`, `ShareNested`."""
        return await self._remote.people.mount((await self._share(folder)).namespace, MountRequest(path=at))

    async def unmount(self, folder: str | SharedFolder) -> Mounted:
        """Takes a shared folder out of your tree. You stay a member, and nothing in it is deleted. Raises `NotFound`."""
        return await self._remote.people.unmount((await self._share(folder)).namespace)

    async def _share(self, folder: str | SharedFolder, *, invited: bool = False) -> SharedFolder:
        return folder if isinstance(folder, SharedFolder) else await self.shared_folder(folder, invited=invited)

    # -- Links -------------------------------------------------------------------------------------------------------------

    async def create_link(
        self,
        path: str,
        *,
        kind: LinkKind | Literal["download", "drop"] = LinkKind.DOWNLOAD,
        password: str | None = None,
        expires: datetime | timedelta | None = None,
        max_downloads: int | None = None,
    ) -> CreatedLink:
        """A link for people without an account: to read a file or folder, or (`drop`) to put files into a folder unseen. Its `url`
        is told this once. `expires` is a time, or a duration from now; `max_downloads` bounds downloads, or dropped files. Not
        tried again by itself: `Unavailable` may leave a link that `links` lists and `revoke_link` ends. Raises `NotFound`,
        `Forbidden`, `InvalidRequest`."""
        until = datetime.now(UTC) + expires if isinstance(expires, timedelta) else expires
        wanted = NewLink(path=path, kind=LinkKind(kind), password=password, expires=until, downloads_max=max_downloads)
        return await self._remote.links.make(wanted)

    async def links(self, path: str | None = None) -> list[Link]:
        """Your links, or those that lead to `path`, as far as you may see them. Raises `NotFound`."""
        if path is None:
            return await self._remote.links.all()
        found = await self._remote.metadata(path)
        return await self._remote.links.all(None if found.entry is None else found.entry.node_id)

    async def revoke_link(self, link: str | Link) -> None:
        """Ends a link at once, by its id. Raises `NotFound`."""
        text = link.link_id if isinstance(link, Link) else link
        await self._remote.links.revoke(LinkId(parse_ulid(LinkId, text)))

    async def revoke_links(self, path: str) -> list[LinkId]:
        """Ends every link of yours that leads to `path`; which. Raises `NotFound`."""
        me = (await self._remote.me()).user_id
        ended = [link.link_id for link in await self.links(path) if link.created_by == me]
        for link in ended:
            await self._remote.links.revoke(link)
        return ended


def _chosen(found: Shared, name: str, *, invited: bool) -> SharedFolder:
    folders = found.invitations if invited else found.folders
    named = [one for one in folders if name in (one.namespace, one.path)] or [one for one in folders if one.name == name]
    if not named:
        raise NotFound(what=f"An invitation to {name}" if invited else f"A shared folder {name}")
    if len(named) > 1:
        ids = ", ".join(f"{one.namespace} of {one.owner}" for one in named)
        raise InvalidRequest(message=f"{len(named)} are called {name}; name one by its id: {ids}.")
    return named[0]
