"""Packs against the object store: every pack that is done has its object, whole, and every object has its pack.

Both are read by key, side by side. A running server adds and forgets meanwhile, so whatever looks wrong is asked for once more
before it is told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, TypeVar

from syncline.model.ids import NamespaceId
from syncline.ports.check_store import CheckedRaw, CheckStore
from syncline.ports.object_listing import ListedObject, ObjectListing
from syncline.ports.pack_store import PackRow
from syncline.server.check.findings import Finding, Tell
from syncline.server.check.folders import Folders
from syncline.server.check.metadata import load_folders, paged
from syncline.server.check.packs import about_pack

OBJECTS_PAGE: Final = 2_000
CONCERNED_MAX: Final = 10
"""Files named with a pack that is lost."""
BLOCKS_ASKED_MAX: Final = 500
PACKS_ASKED_MAX: Final = 100
T = TypeVar("T")


class StoreCheck:
    def __init__(self, store: CheckStore, objects: ObjectListing, tell: Tell) -> None:
        self._store = store
        self._objects = objects
        self._tell = tell
        self.objects = 0
        self.packs = 0
        self.raws = 0
        self._lost = 0
        self._folders: dict[NamespaceId, Folders] = {}

    async def run(self) -> None:
        listed, rows = self._listed(), all_packs(self._store)
        found, row = await _next(listed), await _next(rows)
        while found is not None or row is not None:
            if row is None or (found is not None and found.key < row.object_key):
                assert found is not None
                await self._stray(found)
                found = await _next(listed)
            elif found is None or row.object_key < found.key:
                await self._absent(row)
                row = await _next(rows)
            else:
                await self._compare(row, found.size)
                found, row = await _next(listed), await _next(rows)
        await self._raw()

    async def _raw(self) -> None:
        """Objects that are a revision's only content until they were taken in."""

        async def page(after: str) -> Sequence[CheckedRaw]:
            return await self._store.raws(after, OBJECTS_PAGE)

        async for raw in paged(page, "", lambda raw: raw.object_key, OBJECTS_PAGE):
            if not raw.waiting:
                continue
            self.raws += 1
            size = await self._objects.size_of(raw.object_key)
            if size != raw.size and await self._store.awaits(raw.object_key):
                code = "check.object_missing" if size is None else "check.object_size"
                what = "is not in the store" if size is None else f"has {size} bytes of {raw.size}"
                self._tell(
                    Finding(
                        code=code,
                        message=f"the raw object of a file that is still to be taken in {what}",
                        namespace=raw.namespace,
                        node=raw.node,
                        revision=raw.revision,
                        object=raw.object_key,
                    )
                )

    async def _listed(self) -> AsyncIterator[ListedObject]:
        async def page(after: str) -> Sequence[ListedObject]:
            return await self._objects.listed(after, OBJECTS_PAGE)

        async for found in paged(page, "", lambda found: found.key, OBJECTS_PAGE):
            self.objects += 1
            yield found

    async def _stray(self, found: ListedObject) -> None:
        """Rows of grants and uploads are there before their objects, so an object without one was forgotten, or is not ours."""
        if await self._store.awaits(found.key):
            return
        if await self._store.pack_of_object(found.key) is None and await self._objects.size_of(found.key) is not None:
            message = f"an object of {found.size} bytes belongs to no pack and no upload"
            self._tell(Finding(code="check.object_stray", message=message, object=found.key))

    async def _absent(self, row: PackRow) -> None:
        if row.state != "done":
            return
        self.packs += 1
        size = await self._objects.size_of(row.object_key)
        now = await self._store.pack(row.id)
        if now is None or now.state != "done":
            return
        if size is None:
            message = f"the object of a pack that is done is not in the store{await self._concerned(row)}"
            self._tell(about_pack(row, "check.object_missing", message))
        else:
            await self._check_size(row, size)

    async def _compare(self, row: PackRow, size: int) -> None:
        """Of a pack that is only granted the object may be any part of what will come."""
        if row.state == "done":
            self.packs += 1
            await self._check_size(row, size)

    async def _check_size(self, row: PackRow, size: int) -> None:
        if size != row.size:
            message = f"the object has {size} bytes, and its pack {row.size}{await self._concerned(row)}"
            self._tell(about_pack(row, "check.object_size", message))

    async def _concerned(self, row: PackRow) -> str:
        """Some of the files that need the pack; whether another copy serves them, a deep check says. Of a store that lost all of
        them the first packs tell enough."""
        self._lost += 1
        hashes = [copy.hash for copy in await self._store.copies_in(row.id)][:BLOCKS_ASKED_MAX]
        if self._lost > PACKS_ASKED_MAX or not hashes:
            return ""
        entries = await self._store.made_of(row.namespace, hashes, CONCERNED_MAX + 1)
        if not entries:
            return ""
        folders = self._folders.get(row.namespace)
        if folders is None:
            self._folders.clear()  # Of one namespace at a time: they are many.
            folders = self._folders[row.namespace] = await load_folders(self._store, row.namespace)
        paths = sorted({folders.path(entry.parent_id, entry.name) for entry in entries[:CONCERNED_MAX]})
        return f"; it holds blocks of {', '.join(paths)}" + (" and more" if len(entries) > CONCERNED_MAX else "")


def all_packs(store: CheckStore) -> AsyncIterator[PackRow]:
    """By object key, in whatever state."""

    async def page(after: str) -> Sequence[PackRow]:
        return await store.packs(after, OBJECTS_PAGE)

    return paged(page, "", lambda row: row.object_key, OBJECTS_PAGE)


async def _next(items: AsyncIterator[T]) -> T | None:
    return await anext(items, None)
