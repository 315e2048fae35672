"""Delivery: spooled packs are granted, put and reported done, each round trip shared by all packs that wait for it.

    deliver → [to grant] → grant → record → put (parallel) → [to close] → done → settled
                   ▲────────── expired, or absent at the server ─────────────┘

Laws: a pack is recorded before its first byte leaves; it is settled exactly once, with None when the server has it or with the
error that ended it; whatever its end, it leaves the spool. While one request of a kind is under way the next one's packs gather:
that is all the batching there is, and no timer delays a lone pack.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from syncline.client.send.spool import Spool, Spooled
from syncline.model.errors import ChecksumMismatch, Forbidden, Refused, Retryable, SynclineError, Unavailable
from syncline.model.limits import BATCH_MAX, PACKS_IN_FLIGHT
from syncline.ports.remote import Remote
from syncline.protocol.blocks import SignedRequest

log = structlog.get_logger(__name__)

GRANTS_MAX: Final = 3
"""A pack whose grants expire, or which the store loses, so often is given up."""
ASK_AGAIN_MAX: Final = 5
ASK_AGAIN_S: Final = 0.5
RESUME_REST_S: Final = 30.0

Settled = Callable[[Spooled, SynclineError | None], Awaitable[None]]


class Delivery:
    """Brings packs to the store. `run` until cancelled; `deliver` hands one over; `settled` is called once for each."""

    def __init__(self, remote: Remote, spool: Spool, settled: Settled) -> None:
        self._remote = remote
        self._spool = spool
        self._settled = settled
        self._to_grant: deque[Spooled] = deque()
        self._to_close: deque[tuple[Spooled, int]] = deque()
        self._grant_wake = asyncio.Event()
        self._close_wake = asyncio.Event()
        self._puts: asyncio.TaskGroup | None = None

    def deliver(self, pack: Spooled) -> None:
        """Never waits: how many packs are on their way is bounded by the slots their maker takes."""
        self._to_grant.append(pack)
        self._grant_wake.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._puts = group
            group.create_task(self._grant_all())
            group.create_task(self._close_all())

    # -- granting --------------------------------------------------------------------------------------------------------------

    async def _grant_all(self) -> None:
        while True:
            await self._grant_wake.wait()
            self._grant_wake.clear()
            while self._to_grant:
                await self._grant(self._next_grants())

    def _next_grants(self) -> list[Spooled]:
        """Packs of one namespace, in order, as many as wait."""
        packs = [self._to_grant.popleft()]
        while self._to_grant and len(packs) < PACKS_IN_FLIGHT and self._to_grant[0].namespace == packs[0].namespace:
            packs.append(self._to_grant.popleft())
        return packs

    async def _grant(self, packs: Sequence[Spooled]) -> None:
        try:
            answer = await self._remote.grant(packs[0].namespace, [pack.offer for pack in packs])
            if len(answer.packs) != len(packs):
                raise Unavailable(what="the server", reason="it granted other packs than were offered")
            for pack, grant in zip(packs, answer.packs, strict=True):
                pack.pack_id = grant.pack_id
                pack.grants += 1
            await asyncio.to_thread(self._spool.record, packs)
        except SynclineError as error:
            if isinstance(error, Refused) and len(packs) > 1:
                # One pack too many for the quota must not take the others down.
                for pack in packs:
                    await self._grant([pack])
                return
            for pack in packs:
                await self._settle(pack, error)
            return
        assert self._puts is not None
        for pack, grant in zip(packs, answer.packs, strict=True):
            self._puts.create_task(self._put(pack, grant.put))

    # -- putting ---------------------------------------------------------------------------------------------------------------

    async def _put(self, pack: Spooled, put: SignedRequest) -> None:
        try:
            await self._remote.put_pack(put, pack.path, pack.offer.size)
        except Forbidden as error:
            await self._again(pack, error)
        except SynclineError as error:
            await self._settle(pack, error)
        else:
            self._to_close.append((pack, 0))
            self._close_wake.set()

    async def _again(self, pack: Spooled, error: SynclineError) -> None:
        """The grant ran out, or the store does not hold the pack: the same bytes under a new grant."""
        if pack.grants >= GRANTS_MAX:
            await self._settle(pack, error)
        else:
            self.deliver(pack)

    # -- closing ---------------------------------------------------------------------------------------------------------------

    async def _close_all(self) -> None:
        while True:
            await self._close_wake.wait()
            self._close_wake.clear()
            while self._to_close:
                batch = [self._to_close.popleft() for _ in range(min(len(self._to_close), BATCH_MAX))]
                await self._close(batch)

    async def _close(self, batch: Sequence[tuple[Spooled, int]]) -> None:
        try:
            states = await self._ask([pack for pack, _ in batch])
        except SynclineError as error:
            for pack, _ in batch:
                await self._settle(pack, error)
            return
        await self._discard([pack for pack, _ in batch if states[pack.file_name] == "done"])
        for pack, asked in batch:
            state = states[pack.file_name]
            if state == "done":
                await self._settled(pack, None)
            elif state == "absent":
                await self._again(pack, Unavailable(what="the object store", reason="it lost a pack"))
            elif asked < ASK_AGAIN_MAX:
                asyncio.get_running_loop().call_later(ASK_AGAIN_S * 2**asked, self._ask_again, pack, asked + 1)
            else:
                await self._settle(pack, Unavailable(what="the object store", reason="it does not say whether it has a pack"))

    def _ask_again(self, pack: Spooled, asked: int) -> None:
        self._to_close.append((pack, asked))
        self._close_wake.set()

    async def _ask(self, packs: Sequence[Spooled]) -> dict[str, str]:
        """File name → state at the server: done, absent or unknown."""
        answer = await self._remote.packs_done([pack.pack_id for pack in packs if pack.pack_id is not None])
        states = {done.pack_id: done.state for done in answer.packs}
        return {pack.file_name: states.get(pack.pack_id, "absent") if pack.pack_id else "absent" for pack in packs}

    async def _settle(self, pack: Spooled, error: SynclineError) -> None:
        if isinstance(error, ChecksumMismatch):
            log.warning("send.spool_damaged", pack=pack.pack_id)
        await self._discard([pack])
        await self._settled(pack, error)

    async def _discard(self, packs: Sequence[Spooled]) -> None:
        if packs:
            try:
                await asyncio.to_thread(self._spool.remove, packs)
            except (OSError, SynclineError) as error:
                # The next start clears the spool of what is done or unknown.
                log.warning("send.spool_kept", error=str(error))

    # -- after a restart -------------------------------------------------------------------------------------------------------

    async def resume(self, packs: Sequence[Spooled], wake: asyncio.Event) -> None:
        """Goes on with packs an earlier run had granted: done ones are settled, the others are granted again and sent as they are.

        Waits for the server as long as it takes; `wake` (work was submitted, so it may be back) ends a rest early.
        """
        while packs:
            try:
                states = await self._ask(packs)
            except Retryable:
                wake.clear()
                try:
                    await asyncio.wait_for(wake.wait(), RESUME_REST_S)
                except TimeoutError:
                    continue
            except SynclineError as error:
                for pack in packs:
                    await self._settle(pack, error)
                return
            else:
                break
        for pack in packs:
            if states[pack.file_name] == "done":
                await self._discard([pack])
                await self._settled(pack, None)
            else:
                self.deliver(pack)
