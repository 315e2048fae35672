"""Looking at this device's own folder: whether it is there, when to scan it and how much of it, and what the last scan said."""

from __future__ import annotations

import asyncio
from typing import Final

from syncline.client.barriers import Barriers
from syncline.client.moving import PATHS_SHOWN
from syncline.client.observe.scan import Observed
from syncline.client.parts import Parts, purge_trash
from syncline.client.status import Problem
from syncline.client.troubles import Troubles
from syncline.model.errors import NeedsDecision, Unavailable
from syncline.model.limits import FULL_SCAN_INTERVAL_S, QUIET_WINDOW_S

ROOT_RECHECK_S: Final = 2.0
PURGE_INTERVAL_S: Final = 3600.0
LOOK_CAP_S: Final = 2 * QUIET_WINDOW_S
LOOK_AGAIN_S: Final = QUIET_WINDOW_S / 4


class Lookout:
    """`root_is_here`, then `scan`: both the control task's."""

    def __init__(self, parts: Parts, troubles: Troubles, barriers: Barriers) -> None:
        self._parts = parts
        self._troubles = troubles
        self._barriers = barriers
        self.wants_full = True
        """The next scan looks at everything."""
        self.observed = Observed()
        self.scanned_us: int | None = None
        """When (wall clock) the last full scan that saw everything began."""
        self.without_root: NeedsDecision | None = None
        """Why nothing can be said of the folder."""
        self._scanning = False
        self._last_full_s = float("-inf")
        self._last_purge_s = parts.clock.monotonic_s()

    @property
    def is_scanning(self) -> bool:
        """Whether a scan runs, or a full one is wanted."""
        return self._scanning or self.wants_full

    @property
    def is_unread(self) -> bool:
        """Whether the last scan left something, or something is marked since."""
        return bool(self.observed.unquiet) or self._parts.observer.is_dirty or self.wants_full

    def next_full_s(self) -> float:
        """The monotonic instant of the next full scan if nothing else asks for one."""
        return self._last_full_s + FULL_SCAN_INTERVAL_S

    def unquiet(self) -> list[str]:
        """Some of the files that wait until nobody writes to them any more."""
        written = [] if self._scanning else self._parts.observer.being_written(PATHS_SHOWN)
        return written or self.observed.unquiet

    async def root_is_here(self) -> bool:
        """Whether the folder at the root's path is the one that was linked; what is wrong is told."""
        try:
            await asyncio.to_thread(self._parts.applier.check_root, self._parts.root_id)
        except NeedsDecision as decision:
            self.without_root = decision
            problem = Problem(code=decision.code, path="", message=str(decision), blocking=True)
            if self._troubles.set("root", problem):
                self._parts.activity.note("problem", "", str(decision))
            return False
        self.without_root = None
        if self._troubles.set("root", None):
            self.wants_full = True
        return True

    async def look_around(self) -> None:
        """A full scan for who asks while the loop does not run; what was just written, or is gone, gets the time to be sure of.
        Raises what keeps the folder from being looked at."""
        if not await self.root_is_here():
            raise self.without_root or Unavailable(what="The folder")
        clock = self._parts.clock
        until = clock.monotonic_s() + LOOK_CAP_S
        await self.scan()
        while (self.observed.unquiet or self._parts.observer.is_dirty) and clock.monotonic_s() < until:
            await asyncio.sleep(LOOK_AGAIN_S)
            await self.scan()

    async def scan(self) -> None:
        """Brings the local tree up to the disk where that is due."""
        parts = self._parts
        now = parts.clock.monotonic_s()
        full = self.wants_full or parts.observer.wants_full or now >= self.next_full_s()
        if not full and not parts.observer.due(now):
            return
        self.wants_full, self._scanning = False, True
        barriers = self._barriers.waiting() if full else []
        try:
            self.observed = await asyncio.to_thread(lambda: parts.observer.scan(full=full))
        finally:
            self._scanning = False
        if full and self.observed.complete:
            self._last_full_s = now
            self.scanned_us = parts.clock.now_us() - round((parts.clock.monotonic_s() - now) * 1e6)
            for barrier in barriers:
                barrier.scanned = True
        elif full:
            self._last_full_s = now - FULL_SCAN_INTERVAL_S + ROOT_RECHECK_S
        self._troubles.scanned(self.observed.problems)
        if full:
            # What kept these folders may be gone by now: the next plan tries once more.
            parts.executor.leftovers.clear()
        await parts.executor.save()
        if now - self._last_purge_s >= PURGE_INTERVAL_S:
            self._last_purge_s = now
            await asyncio.to_thread(purge_trash, parts)
