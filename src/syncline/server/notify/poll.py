"""The long poll: verify the cursors, answer at once when a head is ahead, else when one moves, else at the timeout.

Whoever is woken is told nothing before it is known that they may still hear it. One that another process unlinked or disabled, or
that lost a shared folder, does not wait on: that is looked into every few seconds.
"""

from __future__ import annotations

from syncline.model.errors import InvalidRequest, LimitExceeded
from syncline.model.limits import POLL_CURSORS_MAX, POLL_TIMEOUT_MAX_S
from syncline.ports.clock import Clock
from syncline.protocol.changes import PollAnswer, PollRequest
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata
from syncline.server.notify.hub import Hub
from syncline.server.notify.standings import Standings
from syncline.server.notify.synced import LastSynced


class Polling:
    def __init__(self, metadata: Metadata, hub: Hub, clock: Clock, standings: Standings, synced: LastSynced | None = None) -> None:
        """`synced` is told of devices that have nothing to catch up on."""
        self._metadata = metadata
        self._hub = hub
        self._clock = clock
        self._standings = standings
        self._synced = synced

    async def poll(self, caller: Caller, request: PollRequest) -> PollAnswer:
        """Raises `CursorReset`, `CorruptCursor`, `NotFound`, `TooBusy`; `Unauthenticated` once the device is unlinked."""
        if not request.cursors:
            raise InvalidRequest(message="A poll needs at least one cursor")
        if len(request.cursors) > POLL_CURSORS_MAX:
            raise LimitExceeded(what="The number of cursors", limit=POLL_CURSORS_MAX)
        positions = await self._metadata.positions(caller, request.cursors)
        with self._hub.listen(caller, positions) as waiter:
            heads = await self._metadata.heads(caller, list(positions))
            ahead = {namespace: head for namespace, head in heads.items() if head > positions[namespace]}
            if ahead:
                return PollAnswer(changed=True, namespaces=ahead)
            if self._synced is not None:
                await self._synced.stands_at(caller, positions, polled=True)
            end = self._clock.monotonic_s() + min(max(request.timeout, 1), POLL_TIMEOUT_MAX_S)
            woken = False
            while not woken and (left := end - self._clock.monotonic_s()) > 0:
                woken = await waiter.wait(min(left, self._standings.recheck_s))
                if not woken:
                    await self._standings.check(caller, list(positions))
            moved = waiter.moved()
            if not moved:
                return PollAnswer(changed=False, sync=True, delay=waiter.delay_s or None)
            # Whoever lost a namespace meanwhile hears nothing more of it.
            await self._standings.check(caller, list(positions))
            return PollAnswer(changed=True, namespaces=moved, delay=waiter.delay_s or None)
