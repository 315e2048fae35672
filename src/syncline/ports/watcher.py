"""Hints that something changed below a synced root. They only mark folders dirty; the scanner decides."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Hint(Struct, frozen=True, gc=False):
    """One thing seen. `folder` is where to look (relative to the root); `name` the entry, "" for the folder itself.

    `closed` marks a file closed by a writer (its quiet window is short), `written` one being written to, `moved_in` an entry that
    came whole by rename, `folder_gone` that the watched folder itself went away.
    """

    folder: str
    name: str
    closed: bool = False
    written: bool = False
    moved_in: bool = False
    folder_gone: bool = False


class Hints(Struct, frozen=True):
    """`lost` says that events were dropped or could not be watched (with the reason): only a full scan restores certainty."""

    seen: list[Hint]
    lost: str | None = None


class Watcher(Protocol):
    def watch(self, folder: str) -> None:
        """Watches a folder (not what is below it). Idempotent. Call it, then list the folder. Never raises for a folder that is
        gone; a failure to watch comes back as `Hints.lost`."""
        ...

    def unwatch(self, folder: str) -> None:
        """Forgets a folder and everything watched below it."""
        ...

    def moved(self, old: str, new: str) -> None:
        """Renames watched paths after a folder moved: kernels watch the folder, not its name."""
        ...

    async def next(self) -> Hints:
        """Waits for hints; a batch of bounded size."""
        ...

    def is_unread(self) -> bool:
        """Whether anything was seen that `next` has not given yet. What a program did before this call, in a folder that is
        watched, is either given or counted here: without that no status could be believed. Any thread may ask."""
        ...

    def deaf(self) -> str | None:
        """Why some folder that was to be watched is not (the folder and the reason), so that changes in it are found by full scans
        alone; None while everything is watched. Any thread may ask."""
        ...

    def close(self) -> None: ...
