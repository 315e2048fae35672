"""The tree by path: looking, making folders, moving, copying, deleting. No bytes travel in any of these."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from syncline.app.remote_files import Found
from syncline.model.errors import InvalidRequest
from syncline.model.paths import parent_of, split_path
from syncline.protocol import copies
from syncline.protocol.problems import from_problem
from syncline.sdk.session import AsyncSession
from syncline.sdk.values import Copied, Item

Items = list[Item]


class AsyncTree(AsyncSession):
    """Paths are remote ones and start with `/`. Every call may raise `Unavailable` (the server cannot be reached, after some
    tries), `Unauthenticated` (the session has ended), `Closed`; the others are named where they belong."""

    async def stat(self, path: str) -> Item:
        """What is at `path`. Raises `NotFound`."""
        return Item.found(await self._files.find(path))

    async def exists(self, path: str) -> bool:
        """Whether anything is at `path`."""
        return await self._files.find_or_none(path) is not None

    async def mkdir(self, path: str, *, parents: bool = False) -> Item:
        """A new folder; with `parents` also those missing above it, and it may exist. Raises `AlreadyExists`, `NotFound`,
        `Forbidden`."""
        return Item.found(await self._files.make_folder(path, parents=parents))

    async def move(self, source: str, target: str) -> Item:
        """`source` at `target`, or inside it where that is a folder; where it is then. Also into and out of shared folders. Nothing
        is ever replaced. Raises `NotFound`, `AlreadyExists`, `Forbidden`, `Overtaken`."""
        return Item.found(await self._files.move(source, target))

    async def copy(self, source: str, target: str, *, autorename: bool = False) -> Copied:
        """A copy of `source` with all in it at `target`, or inside it where that is a folder; its history stays with the original.
        Nothing is ever replaced: a taken name raises `NameTaken`, or with `autorename` the copy gets a number. Raises `NotFound`,
        `Forbidden`, `QuotaExceeded`, `LimitExceeded` (above a hundred thousand files)."""
        what = await self._files.find(source)
        if what.entry is None:
            raise InvalidRequest(message="/ cannot be copied; copy what is in it.")
        place = await self._files.find_or_none(target)
        exact = "/" + "/".join(split_path(target))
        if place is not None and place.is_folder:
            exact = f"{place.path.rstrip('/')}/{what.entry.name}"
        wanted = copies.Copy(path=what.path, to_path=exact, autorename=autorename)
        copied = (await self._remote.copies.copy([wanted], key=self._key())).files[0]
        if copied.error is not None or copied.entry is None or copied.namespace is None:
            numbers = [word for word in (copied.detail or "").split() if word.isdigit()]
            told = {"what": exact, "name": exact, "message": copied.detail, "limit": (numbers or ["?"])[0], "reason": copied.detail}
            raise from_problem({"code": copied.error, "detail": copied.detail} | told)
        item = Item.of(f"{parent_of(exact)}/{copied.entry.name}", copied.namespace, copied.entry)
        return Copied(item=item, nodes=copied.nodes, left_out=copied.left_out)

    async def delete(self, path: str, *, recursive: bool = False) -> Item:
        """Moves a file, or with `recursive` a folder and all in it, to the server's trash; what it was. A shared folder only goes
        from your tree: nothing in it is deleted. Raises `NotFound`, `FolderNotEmpty`, `Forbidden`, `Overtaken`."""
        return Item.found(await self._files.remove(path, recursive=recursive))

    async def walk(self, path: str = "/") -> AsyncGenerator[Item, None]:
        """Everything below a folder, shared folders in it too, parents first: a folder's listing at a time. Raises `NotFound`,
        `NotAFolder`."""
        folder = await self._files.folder(path)
        async for place, namespace, entry in self._files.walk(folder):
            yield Item.of(_below(folder, place), namespace, entry)

    async def list(self, path: str = "/", *, recursive: bool = False) -> Items:
        """What is in a folder, by path; with `recursive` everything below it. Of a file: the file itself. For trees that do not fit
        into memory there is `walk`. Raises `NotFound`."""
        found = await self._files.find(path)
        if not found.is_folder:
            return [Item.found(found)]
        if recursive:
            below = [Item.of(_below(found, place), namespace, entry) async for place, namespace, entry in self._files.walk(found)]
            return sorted(below, key=lambda item: item.path)
        return [Item.of(_below(found, entry.name), found.inside, entry) for entry in await self._files.children(found)]


def _below(folder: Found, place: str) -> str:
    return f"{folder.path.rstrip('/')}/{place}"
