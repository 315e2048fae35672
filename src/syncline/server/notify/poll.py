"""The long poll: verify the cursors, answer at once when a head is ahead, else when one moves, else at the timeout.

While it waits, the device and what it may see are checked every few seconds: one that another process unlinked or disabled, or that
lost a shared folder, does not wait on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from syncline.model.errors import InvalidRequest, LimitExceeded
from syncline.model.ids import DeviceId
from syncline.model.limits import POLL_CURSORS_MAX, POLL_TIMEOUT_MAX_S
from syncline.ports.clock import Clock
from syncline.protocol.changes import PollAnswer, PollRequest
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata
from syncline.server.notify.hub import Hub
from syncline.server.notify.synced import LastSynced

RECHECK_S: Final = 4.0


class Polling:
    def __init__(
        self,
        metadata: Metadata,
        hub: Hub,
        clock: Clock,
        check_live: Callable[[DeviceId], Awaitable[object]],
        synced: LastSynced | None = None,
    ) -> None:
        """`synced` is told of devices that have nothing to catch up on."""
        self._metadata = metadata
        self._hub = hub
        self._clock = clock
        self._check_live = check_live
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
            while (left := end - self._clock.monotonic_s()) > 0:
                woken = await waiter.wait(min(left, RECHECK_S))
                if not woken:
                    await self._check_live(caller.device_id)
                # Whoever lost a namespace meanwhile hears nothing more of it.
                await self._metadata.heads(caller, list(positions))
                if woken:
                    break
            if moved := waiter.moved():
                return PollAnswer(changed=True, namespaces=moved)
            return PollAnswer(changed=False, sync=True)
