"""Work between rounds: each piece once, its error to whoever asked, and nobody waits for a loop that has ended."""

from __future__ import annotations

import asyncio

import pytest

from syncline.client.interludes import Interludes
from syncline.model.errors import Unavailable


async def test_each_is_played_once_and_answers_its_asker() -> None:
    interludes, played = Interludes(), list[int]()
    first, broken = interludes.add(lambda: played.append(1)), interludes.add(lambda: 1 // 0)
    given_up = interludes.add(lambda: played.append(2))
    given_up.cancel()
    interludes.play()
    interludes.play()
    assert played == [1]
    assert await first is None
    with pytest.raises(ZeroDivisionError):
        await broken


async def test_after_the_last_round_whoever_waits_is_told() -> None:
    interludes = Interludes()
    waiting = interludes.add(lambda: 1)
    interludes.refuse(Unavailable(what="The engine"))
    with pytest.raises(Unavailable):
        await asyncio.wait_for(waiting, 1)
