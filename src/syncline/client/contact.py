"""The device's line to the server: when to read the journal, when to try again, and the long poll that says so early.

Losing the line is a state, not an error: local work goes on, and each next try waits longer, with jitter, up to a minute. Hints may
be lost, doubled or late; what counts is the journal, which is also read at every poll's end. Whether the line is lost, only reading
the journal tells: a poll that fails asks for a look, and waits longer each time before the next poll.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from syncline.client.activity import Activity
from syncline.client.observe.pull import Puller
from syncline.client.status import Problem
from syncline.client.trees.trees import Trees
from syncline.model.errors import SynclineError, TooBusy, Unauthenticated, Unavailable
from syncline.model.ids import NamespaceId
from syncline.model.limits import CLIENT_POLL_MAX_S, CLIENT_POLL_MIN_S, HEAD_CHECK_MAX_S, POLL_CURSORS_MAX
from syncline.ports.clock import Chance, Clock
from syncline.ports.remote import Remote
from syncline.protocol.changes import to_text

RECONNECT_FIRST_S: Final = 1.0
RECONNECT_CAP_S: Final = 60.0
POLL_REST_FIRST_S: Final = 0.1
POLL_REST_CAP_S: Final = 60.0
DELAY_MAX_S: Final = 60.0
"""No server has a device wait longer before it looks."""
POLL_WORTH_S: Final = 1.0
"""A poll that ended at its timeout, but sooner than this, did not wait."""

MOUNT_ROUNDS_MAX: Final = 8
"""So often in one look a mount that came may bring another; what comes after that is seen at the next look."""


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
        """The namespaces this device may see are known as of the last while."""
        self._delay_s = RECONNECT_FIRST_S
        self._retry_at_s = float("-inf")
        self._current = asyncio.Event()
        """Set while the cursors are at the head the device last heard of."""
        self._idle_polls = 0
        """Polls in a row that failed, or came back at once with nothing that moved a cursor."""
        self.wanted = True
        """The journal has moved, or may have."""
        self.looking = False
        """The journal is being read right now."""
        self.looks = 0
        """How often it was tried to read it."""
        self.offline: SynclineError | None = None
        self.offline_since_us: int | None = None
        self._heard_s: float | None = None
        self.heard_us: int | None = None
        """When the server last said where its heads are (wall clock), be it only that nothing is new."""

    @property
    def is_current(self) -> bool:
        return self.offline is None and not self.wanted

    @property
    def is_stale(self) -> bool:
        """Whether the server has not been heard of for longer than a poll takes, though the line is thought to stand."""
        return self._heard_s is not None and self._clock.monotonic_s() - self._heard_s > HEAD_CHECK_MAX_S

    def want(self) -> None:
        self.wanted = True
        self._wake()

    def try_now(self) -> None:
        self._retry_at_s = float("-inf")

    def next_try_s(self) -> float | None:
        """The monotonic instant of the next try to reach a server that was lost."""
        return self._retry_at_s if self.offline is not None else None

    def next_due_s(self) -> float | None:
        """The monotonic instant at which to look, should the poll have said nothing until then."""
        if self.offline is not None:
            return self._retry_at_s
        return None if self._heard_s is None else self._heard_s + HEAD_CHECK_MAX_S

    def problem(self) -> Problem | None:
        if self.offline is None:
            if not self.is_stale:
                return None
            message = f"The server's last word is older than {HEAD_CHECK_MAX_S:.0f} s; it is asked again."
            return Problem(code="head.stale", path="", message=message)
        if isinstance(self.offline, Unauthenticated):
            message = f"{self.offline} Run `syncline login` again; local changes are kept and sync then."
            return Problem(code=self.offline.code, path="", message=message, blocking=True)
        since = "" if self.offline_since_us is None else f" (offline since {to_text(self.offline_since_us)})"
        return Problem(code=self.offline.code, path="", message=f"{self.offline}{since}")

    async def look(self) -> bool:
        """Brings every namespace to the server's head if that is wanted and its time has come; whether it was done. Losing the line
        on the way is noted, not raised."""
        if not self.wanted and self.offline is None and not self.is_stale:
            return False
        if self.offline is not None and self._clock.monotonic_s() < self._retry_at_s:
            return False
        self.wanted, self.looking = False, True
        self.looks += 1
        done = False
        try:
            if not self._greeted or self.offline is not None:
                await self._puller.refresh_namespaces()
                self._greeted = True
            for namespace in list(self._trees.access):
                await self._pull(namespace)
            for _ in range(MOUNT_ROUNDS_MAX):
                if not self._puller.wants_namespaces:
                    break
                await self._puller.refresh_namespaces()
                for namespace in [namespace for namespace in self._trees.access if not self._puller.follows(namespace)]:
                    await self._pull(namespace)
            done = True
        except (Unavailable, TooBusy, Unauthenticated) as error:
            self.lose(error)
            return False
        finally:
            self.looking = False
            if not done:
                # Whatever it was, the journal was not read; and what may be seen has perhaps changed.
                self.wanted, self._greeted = True, False
        self._find()
        return True

    async def _pull(self, namespace: NamespaceId) -> None:
        resets = self._puller.resets
        await self._puller.pull(namespace)
        if self._puller.resets != resets:
            self._activity.note("reset", "", self._puller.last_reset)

    def lose(self, error: SynclineError) -> None:
        """The line is gone, or the session is. Several who notice the same loss make it no longer."""
        now = self._clock.monotonic_s()
        known = self.offline is not None and now < self._retry_at_s
        if self.offline is None:
            self.offline_since_us = self._clock.now_us()
            self._activity.note("offline", "", str(error))
        self.wanted = True
        self._current.clear()
        if known and not isinstance(error, Unauthenticated):
            return
        self.offline = error
        if not known:
            asked_s = error.fields.get("retry_after")
            least_s = min(float(asked_s), RECONNECT_CAP_S) if isinstance(asked_s, int | float) else 0.0
            self._retry_at_s = now + max(least_s, self._delay_s * (0.5 + self._chance.fraction()))
            self._delay_s = min(RECONNECT_CAP_S, self._delay_s * 2)

    def _find(self) -> None:
        self._delay_s = RECONNECT_FIRST_S
        if self.offline is not None:
            self.offline = self.offline_since_us = None
            self._activity.note("online")
        self._hear()
        self._current.set()

    def _hear(self) -> None:
        self._heard_s, self.heard_us = self._clock.monotonic_s(), self._clock.now_us()

    # -- the long poll -----------------------------------------------------------------------------------------------------------

    async def poll(self) -> None:
        """Holds a long poll for ever; the next one begins when the control task has looked."""
        before: list[str] = []
        while True:
            await self._current.wait()
            cursors = self._cursors()
            began_s = self._clock.monotonic_s()
            moved = await self._poll_once(cursors)
            if moved is None:
                self._idle_polls += 1
            elif cursors == before and (moved or self._clock.monotonic_s() - began_s < POLL_WORTH_S):
                # The look after the last poll did not get past what that one announced: asking again at once would go round and
                # round as fast as the network does.
                self._idle_polls += 1
            else:
                self._idle_polls = 0
            before = cursors
            if self._idle_polls:
                await asyncio.sleep(self._poll_rest_s())

    def _cursors(self) -> list[str]:
        rows = self._puller.cursors
        return [rows[namespace].cursor for namespace in self._trees.access if self._puller.follows(namespace)][:POLL_CURSORS_MAX]

    async def _poll_once(self, cursors: list[str]) -> bool | None:
        """Whether something is said to have moved; None when the poll failed. Asks for a look unless nothing is new."""
        timeout_s = int(CLIENT_POLL_MIN_S + (CLIENT_POLL_MAX_S - CLIENT_POLL_MIN_S) * self._chance.fraction())
        try:
            answer = await self._remote.poll(cursors, timeout_s)
        except SynclineError:
            self._current.clear()
            self.want()
            return None
        if answer.delay:
            # Very many were told at once, and each asks next.
            await asyncio.sleep(min(answer.delay, DELAY_MAX_S))
        rows = self._puller.cursors
        moved = any(space not in rows or sequence > rows[space].sequence for space, sequence in answer.namespaces.items())
        if answer.sync or any(space not in rows for space in answer.namespaces):
            self._greeted = False
        if moved or answer.sync:
            self._current.clear()
            self.want()
        elif self.offline is None:
            self._hear()
        return bool(answer.namespaces)

    def _poll_rest_s(self) -> float:
        return min(POLL_REST_CAP_S, POLL_REST_FIRST_S * 2.0 ** min(self._idle_polls - 1, 20)) * (0.5 + self._chance.fraction() / 2)
