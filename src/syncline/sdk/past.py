"""What was: versions, trash, and going back. Nothing here is lost by going back: every step is a new change."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Final

from syncline.app.remote_past import Thrown
from syncline.model.ids import ChangesetId, parse_ulid
from syncline.protocol.past import PurgeAnswer, Restored, RetentionAnswer, TravelAnswer, UndeleteResult, Version
from syncline.sdk.session import AsyncSession
from syncline.sdk.values import Purged, Undone

VERSIONS_SHOWN: Final = 1000


class AsyncPast(AsyncSession):
    """Times are aware ones. What is in the trash is named by the path it had, or by its id."""

    async def history(self, path: str, *, limit: int = VERSIONS_SHOWN) -> list[Version]:
        """The kept versions of a file, the newest first, at most `limit`. Raises `NotFound`, `NotAFile`."""
        return await self._past.history(path, limit)

    async def restore(self, path: str, revision: int, *, rename: bool = False) -> Restored:
        """That version again, as a new one; also of a deleted file that lay there, which comes back (where its name is taken: with
        `rename` as `name (restored)`). Raises `NotFound`, `RevisionNotKept`, `NameTaken`, `Forbidden`, `QuotaExceeded`."""
        return await self._past.restore(path, revision, rename=rename)

    async def trash(self) -> AsyncGenerator[Thrown, None]:
        """What was deleted, page by page: of the account's own files, then of each shared folder; the latest first in each."""
        async for thrown in self._past.trash():
            yield thrown

    async def undelete(self, entries: Sequence[str], *, into: str | None = None, rename: bool = False) -> list[UndeleteResult]:
        """Brings these back with all that was deleted with them, to where they were or into the folder `into`; what became of each,
        in order: `restored`, or `code` and `detail` of what stood in the way. Raises `NotFound` for what is not in the trash."""
        return await self._past.undelete(await self._past.thrown(entries), into=into, rename=rename)

    async def purge(self, entries: Sequence[str]) -> Purged:
        """Removes these for good, with all that was deleted with them and all their versions. Nobody can bring them back. Raises
        `NotFound` for what is not in the trash."""
        return _purged(await self._past.purge(await self._past.thrown(entries)))

    async def purge_all(self) -> Purged:
        """The same for the whole trash of everything that is the account's own."""
        return _purged(await self._past.purge_all())

    async def retention(self, path: str | None = None) -> RetentionAnswer:
        """How long deleted files and old versions are kept: the policy, and what it means for one path, version by version. Raises
        `NotFound`."""
        return await self._past.retention(path)

    async def rewind(self, path: str, to: datetime, *, dry_run: bool = False) -> TravelAnswer:
        """A folder with everything in it (or one file's content) as it was at a time, whoever changed it since; with `dry_run` only
        what would happen. Raises `NotFound`, `HistoryExpired`, `NotThereThen`, `LimitExceeded`, `Forbidden`."""
        return await self._past.rewind(path, to, dry_run=dry_run)

    async def undo(
        self,
        *,
        device: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        changeset: str | None = None,
        dry_run: bool = False,
    ) -> list[Undone]:
        """Takes back what one device (an id, or a name of yours) did since a time, or one changeset; what others did later stands.
        One answer for each tree in which there was something. Raises `NotFound`, `HistoryExpired`, `LimitExceeded`,
        `InvalidRequest` where a device or a time is missing."""
        whose = None if device is None else await self._past.device(device)
        one = None if changeset is None else ChangesetId(parse_ulid(ChangesetId, changeset))
        done = await self._past.undo(device=whose, since=since, until=until, changeset=one, dry_run=dry_run)
        return [Undone(name=space.name, is_root=space.is_root, answer=answer) for space, answer in done]


def _purged(answers: Sequence[PurgeAnswer]) -> Purged:
    refused = [result for answer in answers for result in answer.results if result.code is not None]
    freed_bytes = sum(answer.freed_bytes for answer in answers)
    return Purged(purged=sum(answer.purged for answer in answers), freed_bytes=freed_bytes, refused=refused)
