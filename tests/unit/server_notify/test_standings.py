"""Those who ask together whether they may still hear: one answer for all, and none drawn from what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from syncline.model.errors import NotFound, Unauthenticated, Unavailable
from syncline.model.ids import DeviceId, NamespaceId, UserId
from syncline.ports import freshness
from syncline.ports.audience import Ear
from syncline.server.caller import Caller
from syncline.server.notify.standings import Together

NAMESPACE = NamespaceId("N")


class Replicated:
    """An audience whose primary is away, and whose replica knows nobody yet."""

    async def may_hear(self, ears: Sequence[Ear]) -> dict[Ear, int | None]:
        if not freshness.may_be_behind():
            raise Unavailable(what="The metadata database")
        freshness.note(1)
        return {}


class Slow:
    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def may_hear(self, ears: Sequence[Ear]) -> dict[Ear, int | None]:
        self.task = asyncio.current_task()
        self.asked.set()
        return await asyncio.Future()


class Known:
    def __init__(self, heads: dict[Ear, int | None]) -> None:
        self.heads = heads

    async def may_hear(self, ears: Sequence[Ear]) -> dict[Ear, int | None]:
        return self.heads


def _caller(device: str) -> Caller:
    return Caller(UserId("U"), DeviceId(device))


async def _asks(together: Together, device: str, *, may_be_behind: bool = False) -> None:
    freshness.begin(may_be_behind=may_be_behind)
    await together.check(_caller(device), [NAMESPACE])


async def test_nobody_is_sent_away_by_an_old_state() -> None:
    """Also where the one who opened the batch would have been content with one."""
    together = Together(Replicated())
    asking = [asyncio.create_task(_asks(together, device, may_be_behind=device == "poll")) for device in ("poll", "socket")]
    for outcome in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(outcome, Unavailable)


async def test_a_question_that_was_cut_short_says_nothing_of_a_device() -> None:
    slow = Slow()
    asking = asyncio.create_task(_asks(Together(slow), "D"))
    await slow.asked.wait()
    assert slow.task is not None
    slow.task.cancel()
    with pytest.raises(Unavailable):
        await asking


async def test_each_hears_of_itself() -> None:
    together = Together(Known({(DeviceId("in"), NAMESPACE): 5, (DeviceId("out"), NAMESPACE): None}))
    tasks = [asyncio.create_task(_asks(together, device)) for device in ("in", "out", "gone")]
    inside, outside, gone = await asyncio.gather(*tasks, return_exceptions=True)
    assert inside is None
    assert isinstance(outside, NotFound)
    assert isinstance(gone, Unauthenticated)
