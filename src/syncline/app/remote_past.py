"""The account's tree as it was, by path: versions, trash, rewind and undo for the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from syncline.app.remote_files import RemoteFiles
from syncline.model.errors import InvalidRequest, NotFound
from syncline.model.ids import ChangesetId, DeviceId, NamespaceId, NodeId, is_ulid
from syncline.model.limits import BATCH_MAX
from syncline.ports.past import PastDoors
from syncline.protocol.past import (
    PurgeAnswer,
    Restored,
    RestoreRequest,
    RetentionAnswer,
    RewindRequest,
    TrashEntry,
    TravelAnswer,
    Undelete,
    UndeleteRequest,
    UndeleteResult,
    UndoRequest,
    Version,
)
from syncline.protocol.sessions import Namespace

PAGES_MAX: Final = 10_000


class Thrown(Struct, frozen=True):
    """Something in the trash, its namespace, and its path as people name it: in a shared folder below that folder's name."""

    namespace: NamespaceId
    path: str
    entry: TrashEntry


class RemotePast:
    def __init__(self, files: RemoteFiles, doors: PastDoors) -> None:
        self.files = files
        self.doors = doors

    async def history(self, path: str, most: int) -> list[Version]:
        """A file's versions, newest first. Raises `NotFound`, `NotAFile`."""
        found = await self.files.file(path)
        versions: list[Version] = []
        page: str | None = None
        while len(versions) < most:
            answer = await self.doors.versions(found.namespace, found.id, page)
            versions += answer.entries
            page = answer.next
            if page is None:
                break
        return versions[:most]

    async def restore(self, path: str, revision: int, *, rename: bool) -> Restored:
        """An earlier version of the file at `path`, also of a deleted one that lay there."""
        found = await self.files.find_or_none(path)
        if found is not None:
            found = await self.files.file(path)
            namespace, node = found.namespace, found.id
        else:
            (thrown,) = await self.thrown([path])
            namespace, node = thrown.namespace, thrown.entry.node_id
        request = RestoreRequest(revision=revision, namespace=namespace, rename=rename)
        return await self.doors.restore(node, request, key=self.files.ids.fresh())

    # -- Trash ---------------------------------------------------------------------------------------------------------------------

    async def trash(self) -> AsyncIterator[Thrown]:
        """Everything in the trash of the account's own files, then of each shared folder; the newest first in each."""
        for space in (await self.files.remote.namespaces()).namespaces:
            page: str | None = None
            for _ in range(PAGES_MAX):
                answer = await self.doors.trash(space.id, page)
                for entry in answer.entries:
                    yield Thrown(space.id, entry.path if space.is_root else f"/{space.name}{entry.path}", entry)
                page = answer.next
                if page is None:
                    break

    async def thrown(self, wanted: Sequence[str]) -> list[Thrown]:
        """What was deleted at these paths (the newest there) or has these ids, in order. Raises `NotFound` for the first that is
        not in the trash."""
        found: dict[str, Thrown] = {}
        names = {one if is_ulid(one) else "/" + one.strip("/") for one in wanted}
        async for thrown in self.trash():
            for name in (thrown.path, thrown.entry.node_id):
                if name in names:
                    found.setdefault(name, thrown)
            if len(found) == len(names):
                break
        missing = [one for one in wanted if (one if is_ulid(one) else "/" + one.strip("/")) not in found]
        if missing:
            raise NotFound(what=f"{missing[0]} in the trash")
        return [found[one if is_ulid(one) else "/" + one.strip("/")] for one in wanted]

    async def undelete(self, thrown: Sequence[Thrown], *, into: str | None, rename: bool) -> list[UndeleteResult]:
        """Brings these back, to where they were or into a folder; in order."""
        folder = None if into is None else await self.files.folder(into)
        if folder is not None and any(one.namespace != folder.namespace for one in thrown):
            raise InvalidRequest(message=f"{into} belongs to another shared folder than what is to come back.")
        results: dict[NodeId, UndeleteResult] = {}
        for namespace, parts in _by_namespace(thrown):
            files = [Undelete(node_id=one.entry.node_id, parent_id=None if folder is None else folder.id) for one in parts]
            request = UndeleteRequest(files=files, namespace=namespace, rename=rename)
            answer = await self.doors.undelete(request, key=self.files.ids.fresh())
            results |= {result.node_id: result for result in answer.results}
        return [results[one.entry.node_id] for one in thrown]

    async def purge(self, thrown: Sequence[Thrown]) -> list[PurgeAnswer]:
        return [
            await self.doors.purge(namespace, [one.entry.node_id for one in parts]) for namespace, parts in _by_namespace(thrown)
        ]

    async def purge_all(self) -> list[PurgeAnswer]:
        """Empties the trash of every namespace that is the account's own."""
        answers: list[PurgeAnswer] = []
        for space in (await self.files.remote.namespaces()).namespaces:
            for _ in range(PAGES_MAX if space.access.value == "owner" else 0):
                answers.append(await self.doors.purge(space.id, None))
                if not answers[-1].more:
                    break
        return answers

    async def retention(self, path: str | None) -> RetentionAnswer:
        return await self.doors.retention(path)

    # -- Going back ----------------------------------------------------------------------------------------------------------------

    async def rewind(self, path: str, to: datetime, *, dry_run: bool) -> TravelAnswer:
        return await self.doors.rewind(RewindRequest(to=to, path=path, dry_run=dry_run), key=self.files.ids.fresh())

    async def device(self, named: str) -> DeviceId:
        """A device by id, or by the name of one of the account's own. Raises `NotFound`, `InvalidRequest` where two have it."""
        if is_ulid(named):
            return DeviceId(named)
        found = [device.id for device in (await self.files.remote.devices()).devices if device.name == named]
        if not found:
            raise NotFound(what=f"The device {named!r} (`syncline devices` lists yours)")
        if len(found) > 1:
            raise InvalidRequest(message=f"{len(found)} devices are named {named!r}; use an id from `syncline devices`.")
        return found[0]

    async def undo(
        self,
        *,
        device: DeviceId | None,
        since: datetime | None,
        until: datetime | None,
        changeset: ChangesetId | None,
        dry_run: bool,
    ) -> list[tuple[Namespace, TravelAnswer]]:
        """In every namespace one may write to, where there was something to take back; each for itself."""
        done: list[tuple[Namespace, TravelAnswer]] = []
        spaces = [space for space in (await self.files.remote.namespaces()).namespaces if space.access.may_write]
        for space in spaces:
            request = UndoRequest(device=device, since=since, until=until, changeset=changeset, namespace=space.id, dry_run=dry_run)
            try:
                answer = await self.doors.undo(request, key=self.files.ids.fresh())
            except NotFound:
                # A changeset is one namespace's.
                continue
            if changeset is not None or answer.items or answer.spared or space.is_root:
                done.append((space, answer))
        if not done:
            raise NotFound(what=f"The changeset {changeset}")
        return done


def _by_namespace(thrown: Sequence[Thrown]) -> list[tuple[NamespaceId, list[Thrown]]]:
    """By namespace, no more at once than a request takes."""
    by: dict[NamespaceId, list[Thrown]] = {}
    for one in thrown:
        by.setdefault(one.namespace, []).append(one)
    return [
        (namespace, parts[start : start + BATCH_MAX])
        for namespace, parts in by.items()
        for start in range(0, len(parts), BATCH_MAX)
    ]
