"""Looking about: who one is, which devices there are, names, sizes, and who did what."""

from __future__ import annotations

from typing import Final, Literal

from syncline.model.entries import Kind
from syncline.model.ids import DeviceId, parse_ulid
from syncline.protocol.sessions import Device, Me
from syncline.protocol.views import Activity, UsageAnswer
from syncline.sdk.session import AsyncSession
from syncline.sdk.values import Item

_ACTIVITY_PAGE: Final = 200


class AsyncViews(AsyncSession):
    """All are reads, except that `unlink_device` ends a session."""

    async def me(self) -> Me:
        """Whose session this is: account, device, bytes used of how many."""
        return await self._remote.me()

    async def devices(self) -> list[Device]:
        """The account's devices: when each was last seen and last up to date."""
        return (await self._remote.devices()).devices

    async def unlink_device(self, device: str) -> None:
        """Signs a device of yours out, by its id: its session ends at once. Raises `NotFound`."""
        await self._remote.unlink_device(DeviceId(parse_ulid(DeviceId, device)))

    async def search(
        self, query: str, *, path: str = "/", kind: Kind | Literal["file", "dir"] | None = None, limit: int = 50
    ) -> list[Item]:
        """Files and folders below `path` by name, the best first, at most `limit`: every word occurs, whatever its case; a word
        with `*` is the whole name. Raises `NotFound`, `InvalidRequest`."""
        found: list[Item] = []
        page: str | None = None
        wanted = None if kind is None else Kind(kind)
        while len(found) < limit:
            answer = await self._remote.views.search(query, path=path, kind=wanted, page=page)
            found += [Item.of(one.path, one.namespace, one.entry) for one in answer.entries]
            page = answer.next
            if page is None:
                break
        return found[:limit]

    async def usage(self, path: str = "/", *, depth: int = 1) -> UsageAnswer:
        """How many bytes lie in a folder and in those down to `depth` below it, the largest first; of / also what older versions
        and the trash take up (`held`). Raises `NotFound`."""
        return await self._remote.views.usage(path, depth=depth, held=not path.strip("/"))

    async def activity(self, path: str = "/", *, limit: int = 50) -> list[Activity]:
        """Who did what, on which device and when, the latest first, at most `limit`: of everything, or below a path. Raises
        `NotFound`."""
        found: list[Activity] = []
        before: str | None = None
        while len(found) < limit:
            answer = await self._remote.views.activity(path, before=before, limit=min(_ACTIVITY_PAGE, limit - len(found)))
            found += answer.entries
            before = answer.next
            if before is None:
                break
        return found[:limit]
