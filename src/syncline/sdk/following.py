"""What changed: by path, folded, for programs that think in paths; and by cursor, row by row, as devices read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Final

from syncline.model.errors import LimitExceeded, Retryable
from syncline.model.ids import NamespaceId
from syncline.protocol.changes import ChangesPage
from syncline.protocol.views import Update
from syncline.sdk.session import AsyncSession
from syncline.sdk.values import Changed

UPDATES_MAX: Final = 1_000_000
POLL_S: Final = 60
"""How long one long poll is held."""
PAUSE_FIRST_S: Final = 0.5
PAUSE_MAX_S: Final = 15.0
PATIENCE_S: Final = 3600.0


class AsyncFollowing(AsyncSession):
    """Both ways are resumable: keep the position you were given, and go on from there, in this process or another."""

    async def updates(self, path: str = "/", since: str | datetime | None = None) -> Changed:
        """What became of each file and folder below `path` since a time, or since the `since` of the answer before; without one
        everything is `created`. The path is followed by its id, should it be moved. Raises `NotFound`, `HistoryExpired` (older than
        what is kept: ask without `since`), `LimitExceeded` above a million entries."""
        asked = since.astimezone(UTC).isoformat() if isinstance(since, datetime) else since
        entries: list[Update] = []
        page: str | None = None
        while True:
            answer = await self._remote.views.updates(path, since=asked, page=page)
            entries += answer.entries
            page = answer.next
            if page is None:
                return Changed(path=answer.path, entries=entries, since=answer.next_since or "")
            if len(entries) > UPDATES_MAX:
                raise LimitExceeded(what=f"What changed below {path}", limit=UPDATES_MAX)

    async def cursor(self, path: str = "/") -> str:
        """Where the journal stands now that tells of `path`: the account's own, or the one of the shared folder it lies in. Raises
        `NotFound`."""
        return (await self._remote.latest(await self._journal(path))).cursor

    async def changes(self, cursor: str, *, path: str = "/") -> ChangesPage:
        """What the journal of `path` has behind `cursor`, whole changesets in order; at once, and perhaps nothing. Go on from its
        `cursor` while it says `has_more`. Raises `NotFound`, `CursorReset` (look at the whole tree again, and begin at a fresh
        cursor)."""
        return await self._remote.changes(await self._journal(path), cursor)

    async def follow(
        self, cursor: str | None = None, *, path: str = "/", patience_s: float = PATIENCE_S
    ) -> AsyncGenerator[ChangesPage, None]:
        """The same, for ever: each page as it comes, from `cursor` on, or from now. Between them one request is held that the
        server answers when something happens. When you are done with a page, its `cursor` is where to go on another time.

        A server that cannot be reached is tried again, less and less often, and nothing is missed; only when that lasts for
        `patience_s` seconds it raises `Unavailable`. Raises `NotFound`, `CursorReset`, `Unauthenticated`."""
        journal: NamespaceId | None = None
        failing_since_s: float | None = None
        pause_s = PAUSE_FIRST_S
        while True:
            try:
                journal = journal or await self._journal(path)
                cursor = cursor or (await self._remote.latest(journal)).cursor
                page = await self._remote.changes(journal, cursor)
                if not page.entries and not page.has_more:
                    answer = await self._remote.poll([cursor], POLL_S)
                    await asyncio.sleep(min(answer.delay or 0.0, PAUSE_MAX_S))
            except Retryable as error:
                now_s = self._clock.monotonic_s()
                failing_since_s = now_s if failing_since_s is None else failing_since_s
                if now_s - failing_since_s >= patience_s:
                    raise
                await asyncio.sleep(_pause_s(error, pause_s))
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
                continue
            failing_since_s, pause_s = None, PAUSE_FIRST_S
            cursor = page.cursor
            if page.entries:
                yield page

    async def _journal(self, path: str) -> NamespaceId:
        return (await self._files.find(path)).inside


def _pause_s(error: Retryable, pause_s: float) -> float:
    """No sooner than the server asked for, as far as that is reasonable."""
    asked = error.fields.get("retry_after")
    return max(pause_s, min(float(asked), POLL_S)) if isinstance(asked, int | float) else pause_s
