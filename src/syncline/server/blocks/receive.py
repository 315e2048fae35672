"""Receiving: a pack counts once the store itself says that it holds exactly the granted bytes (`protocol.md` §2, step 5).

The store is asked outside any transaction; then packs and possession are recorded in one. Clients' `done`, the disk store's own
PUT, an event of the store and the sweep of expired grants all end in the same `PackStore.finish`, which is idempotent.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Final

import structlog

from syncline.model.errors import LimitExceeded, NotFound, Retryable
from syncline.model.ids import PackId
from syncline.model.limits import BATCH_MAX, MIB
from syncline.ports.clock import Clock
from syncline.ports.object_store import ObjectStore
from syncline.ports.pack_store import PackRow, PackStore
from syncline.protocol.blocks import DoneAnswer, DoneRequest, PackDone
from syncline.server.caller import Caller

log = structlog.get_logger(__name__)

_QUESTIONS_AT_ONCE: Final = 16
_SWEEP_SLACK_US: Final = 3600 * 1_000_000
"""A PUT that began just before its grant ended may still be under way for so long."""


class Receiving:
    def __init__(self, packs: PackStore, objects: ObjectStore, clock: Clock) -> None:
        self._packs = packs
        self._objects = objects
        self._clock = clock

    async def done(self, caller: Caller, request: DoneRequest) -> DoneAnswer:
        """What became of each pack, in request order; others' packs are `unknown`. Raises `LimitExceeded`."""
        if len(request.pack_ids) > BATCH_MAX:
            raise LimitExceeded(what="The number of packs", limit=BATCH_MAX)
        rows = [row for row in await self._packs.packs(request.pack_ids) if row.user == caller.user_id]
        states: dict[PackId, str] = {row.id: "done" for row in rows if row.state == "done"}
        granted = [row for row in rows if row.state == "granted"]
        arrived = await self._arrived(granted)
        if arrived:
            await self._packs.finish([row.id for row in arrived], self._clock.now_us())
            arrived = await self._still_known(arrived)
        states |= {row.id: "absent" for row in granted} | {row.id: "done" for row in arrived}
        return DoneAnswer(packs=[PackDone(pack_id=pack, state=states.get(pack, "unknown")) for pack in request.pack_ids])

    async def stored(self, object_key: str, size: int, sha256: str) -> bool:
        """The store's own word that an object arrived. False when no grant asked for it: the store drops it then."""
        row = await self._packs.pack_by_object(object_key)
        if row is None or row.size != size or row.sha256 != sha256 or row.state == "deleting":
            return False
        await self._packs.finish([row.id], self._clock.now_us())
        return True

    async def arrived(self, object_key: str) -> bool:
        """The store's event: something lies at this key. Whether a grant asked for it. Idempotent. Raises `Unavailable`."""
        row = await self._packs.pack_by_object(object_key)
        if row is not None and row.state == "granted" and await self._is_whole(row):
            await self._packs.finish([row.id], self._clock.now_us())
        return row is not None

    async def sweep(self, limit: int) -> int:
        """Settles up to `limit` grants that ended long ago: done if the object is there, else forgotten. How many it settled."""
        rows = await self._packs.expired(self._clock.now_us() - _SWEEP_SLACK_US, limit)
        arrived = await self._arrived(rows)
        if arrived:
            await self._packs.finish([row.id for row in arrived], self._clock.now_us())
        there = {row.id for row in arrived}
        gone = [row.id for row in rows if row.id not in there]
        # A PUT may end just now after all: only of what was forgotten, and so can never be done, the object is nobody's.
        forgotten = set(await self._packs.forget(gone)) if gone else set()
        for row in rows:
            if row.id in forgotten:
                await self._remove(row.object_key)
        return len(rows)

    async def _remove(self, key: str) -> None:
        """What cannot be removed now costs its room; `syncline admin check` names it."""
        try:
            await self._objects.remove(key)
        except Retryable as error:
            log.warning("object.stray", object=key, error=str(error))

    async def _still_known(self, rows: list[PackRow]) -> list[PackRow]:
        """Those that were not swept away meanwhile, which only grants that ended can be."""
        now_us = self._clock.now_us()
        late = [row.id for row in rows if row.expires_us < now_us]
        swept = set(late) - {row.id for row in await self._packs.packs(late)} if late else set()
        return [row for row in rows if row.id not in swept]

    async def _arrived(self, rows: Sequence[PackRow]) -> list[PackRow]:
        """Those whose object is whole. Raises `Unavailable` when the store does not answer: unknown is not absent."""
        turns = asyncio.Semaphore(_QUESTIONS_AT_ONCE)

        async def ask(row: PackRow) -> bool:
            async with turns:
                return await self._is_whole(row)

        answers = await asyncio.gather(*map(ask, rows))
        return [row for row, whole in zip(rows, answers, strict=True) if whole]

    async def _is_whole(self, row: PackRow) -> bool:
        stat = await self._objects.head(row.object_key)
        if stat is None or stat.size != row.size:
            return False
        if stat.sha256 is not None:
            return stat.sha256 == row.sha256
        digest = hashlib.sha256()
        try:
            for offset in range(0, row.size, MIB):
                piece = await self._objects.read(row.object_key, offset, min(MIB, row.size - offset))
                await asyncio.to_thread(digest.update, piece)
        except NotFound:
            return False
        return digest.hexdigest() == row.sha256
