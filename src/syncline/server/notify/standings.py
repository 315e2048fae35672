"""Whether those who wait may still hear: their device linked, their user enabled, the namespace theirs to see.

Asked after somebody is stirred and before anything is told, so a revoked device hears nothing. A commit may stir ten thousand at
once, so questions are gathered: what is asked in one turn of the event loop goes to the database together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from math import inf
from typing import Final, Protocol

from syncline.model.errors import NotFound, Unauthenticated, Unavailable
from syncline.model.ids import DeviceId, NamespaceId
from syncline.ports.audience import EARS_MAX, Audience, Ear
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata

RECHECK_S: Final = 4.0


class Standings(Protocol):
    recheck_s: float
    """So often one who waits asks for itself; never, where somebody else sees to it (`sweep`)."""

    async def check(self, caller: Caller, namespaces: Sequence[NamespaceId]) -> None:
        """Raises `Unauthenticated` for a device that is not linked any more, `NotFound` when one of these namespaces is not the
        caller's to see, `Unavailable`."""
        ...


class OneByOne:
    """Each asks for itself."""

    def __init__(self, metadata: Metadata, check_live: Callable[[DeviceId], Awaitable[object]]) -> None:
        self._metadata = metadata
        self._check_live = check_live
        self.recheck_s = RECHECK_S

    async def check(self, caller: Caller, namespaces: Sequence[NamespaceId]) -> None:
        await self._check_live(caller.device_id)
        await self._metadata.heads(caller, namespaces)


class Together:
    """Those who ask at the same time ask together."""

    def __init__(self, audience: Audience) -> None:
        self._audience = audience
        self._batch: _Batch | None = None
        self.recheck_s = inf

    async def check(self, caller: Caller, namespaces: Sequence[NamespaceId]) -> None:
        for first in range(0, len(namespaces), EARS_MAX):
            part = namespaces[first : first + EARS_MAX]
            batch = self._open(len(part))
            batch.ears += ((caller.device_id, namespace) for namespace in part)
            await batch.answered.wait()
            if batch.failed is not None:
                raise batch.failed.with_traceback(None)
            judge(caller.device_id, part, batch.heads)

    def _open(self, room: int) -> _Batch:
        """The batch that the next turn of the loop sends, or a new one where it has no room."""
        batch = self._batch
        if batch is None or len(batch.ears) + room > EARS_MAX:
            batch = self._batch = _Batch()
            # In nobody's context: a request that may be answered from behind asks this for others, too.
            batch.task = asyncio.create_task(self._send(batch), context=Context())
        return batch

    async def _send(self, batch: _Batch) -> None:
        if self._batch is batch:
            self._batch = None
        try:
            batch.heads = await self._audience.may_hear(batch.ears)
            batch.failed = None
        except Exception as error:  # noqa: BLE001 - it is everybody's who asked, and raised there
            batch.failed = error
        finally:
            batch.answered.set()


class _Batch:
    def __init__(self) -> None:
        self.ears: list[Ear] = []
        self.heads: dict[Ear, int | None] = {}
        self.failed: Exception | None = Unavailable(what="The metadata database")
        """Until there is an answer: what was cut short says nothing about anybody."""
        self.answered = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


def judge(device: DeviceId, namespaces: Sequence[NamespaceId], heads: dict[Ear, int | None]) -> None:
    """Raises as `Standings.check` does."""
    for namespace in namespaces:
        if (device, namespace) not in heads:
            raise Unauthenticated(reason="this device is not linked any more")
        if heads[device, namespace] is None:
            raise NotFound(what="The namespace")
