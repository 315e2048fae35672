"""The device's line to the server: when to read the journal, when to try again, and the long poll that says so early.

Losing the line is a state, not an error: local work goes on, and each next try waits longer, with jitter, up to a minute. Hints may
be lost, doubled or late; what counts is the journal, which is also read at every poll's end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from syncline.client.activity import Activity
from syncline.client.observe.pull import Puller
from syncline.client.status import Problem
from syncline.client.trees.trees import Trees
from syncline.model.errors import SynclineError, Unauthenticated, Unavailable
from syncline.model.limits import CLIENT_POLL_MAX_S, CLIENT_POLL_MIN_S
from syncline.ports.clock import Chance, Clock
from syncline.ports.remote import Remote

RECONNECT_FIRST_S: Final = 1.0
RECONNECT_CAP_S: Final = 60.0


class Contact:
    """`look` is the control task's; `poll` runs beside it and only asks for looks."""

    def __init__(
        self,
        *,
        remote: Remote,
        puller: Puller,
        trees: Trees,
        activity: Activity,
        clock: Clock,
        chance: Chance,
        wake: Callable[[], None],
    ) -> None:
        self._remote = remote
        self._puller = puller
        self._trees = trees
        self._activity = activity
        self._clock = clock
        self._chance = chance
        self._wake = wake
        self._greeted = False
        self._delay_s = RECONNECT_FIRST_S
        self._retry_at_s = float("-inf")
        self._current = asyncio.Event()
        """Set while the cursors are at the head the device last heard of."""
        self.wanted = True
        """The journal has moved, or may have."""
        self.offline: SynclineError | None = None

    @property
    def is_current(self) -> bool:
        return self.offline is None and not self.wanted

    def want(self) -> None:
        self.wanted = True
        self._wake()

    def try_now(self) -> None:
        self._retry_at_s = float("-inf")

    def next_try_s(self) -> float | None:
        """The monotonic instant of the next try to reach a server that was lost."""
        return self._retry_at_s if self.offline is not None else None

    def problem(self) -> Problem | None:
        if self.offline is None:
            return None
        if isinstance(self.offline, Unauthenticated):
            message = f"{self.offline} Run `syncline login` again; local changes are kept and sync then."
            return Problem(code=self.offline.code, path="", message=message, blocking=True)
        return Problem(code=self.offline.code, path="", message=str(self.offline))

    async def look(self) -> bool:
        """Brings every namespace to the server's head if that is wanted and its time has come; whether it was done. Losing the line
        on the way is noted, not raised."""
        if not self.wanted and self.offline is None:
            return False
        if self.offline is not None and self._clock.monotonic_s() < self._retry_at_s:
            return False
        self.wanted = False
        try:
            if not self._greeted or self.offline is not None:
                await self._puller.refresh_namespaces()
                self._greeted = True
            for namespace in list(self._trees.access):
                resets = self._puller.resets
                await self._puller.pull(namespace)
                if self._puller.resets != resets:
                    self._activity.note("reset", "", "the server's history changed: it was observed anew, and nothing was deleted")
        except (Unavailable, Unauthenticated) as error:
            self.lose(error)
            return False
        self._find()
        return True

    def lose(self, error: SynclineError) -> None:
        """The line is gone, or the session is."""
        if self.offline is None:
            self._activity.note("offline", "", str(error))
        self.offline = error
        self.wanted = True
        self._current.clear()
        self._retry_at_s = self._clock.monotonic_s() + self._delay_s * (0.5 + self._chance.fraction())
        self._delay_s = min(RECONNECT_CAP_S, self._delay_s * 2)

    def _find(self) -> None:
        self._delay_s = RECONNECT_FIRST_S
        if self.offline is not None:
            self.offline = None
            self._activity.note("online")
        self._current.set()

    async def poll(self) -> None:
        """Holds a long poll for ever; the next one begins when the control task has looked."""
        while True:
            await self._current.wait()
            cursors = [row.cursor for row in self._puller.cursors.values()]
            timeout_s = int(CLIENT_POLL_MIN_S + (CLIENT_POLL_MAX_S - CLIENT_POLL_MIN_S) * self._chance.fraction())
            try:
                answer = await self._remote.poll(cursors, timeout_s)
            except SynclineError as error:
                if isinstance(error, Unavailable | Unauthenticated):
                    self.lose(error)
                self._current.clear()
                self.want()
                continue
            rows = self._puller.cursors
            moved = any(sequence > rows[space].sequence for space, sequence in answer.namespaces.items() if space in rows)
            if moved or answer.sync:
                self._current.clear()
                self.want()
