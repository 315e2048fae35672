"""A promise's methods as messages, whatever carries them."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec
import pytest

from syncline.model.errors import InvalidRequest, NotFound, QuotaExceeded, Refused, SynclineError, TooBusy, Unavailable
from syncline.ports import freshness
from syncline.server.rooms.between.answering import Answering, answering
from syncline.server.rooms.between.methods import methods_of, promises_of
from syncline.server.rooms.between.problems import tell, told
from syncline.server.rooms.between.remote import remote_side
from syncline.server.rooms.marks import keyed, lasting, safe
from syncline.server.rooms.sides import BlocksSide, MetadataSide, NotifySide


class EchoRoom(Protocol):
    async def once(self, text: str, *, number: int = 3) -> list[str]: ...

    @safe
    async def often(self, text: str) -> str: ...

    @keyed("key")
    async def under(self, text: str, key: str | None) -> str | None: ...

    @lasting
    @safe
    async def long(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class EchoSide:
    echo: EchoRoom


class Echo:
    def __init__(self, error: Exception | None = None, as_of_us: int = 0) -> None:
        self.error = error
        self.as_of_us = as_of_us
        self.may_be_behind: list[bool] = []

    async def once(self, text: str, *, number: int = 3) -> list[str]:
        self.may_be_behind.append(freshness.may_be_behind())
        if self.as_of_us:
            freshness.note(self.as_of_us)
        if self.error is not None:
            raise self.error
        return [text] * number

    async def often(self, text: str) -> str:
        return text

    async def under(self, text: str, key: str | None) -> str | None:
        return key and text

    async def long(self) -> None:
        return None


class Here:
    """A carrier without a wire: each question is answered in a task of its own, which knows nothing of who asks."""

    def __init__(self, room: Echo) -> None:
        self._keepers: Mapping[str, Answering] = answering(EchoSide, EchoSide(echo=room))
        self.asked: list[tuple[str, bool, float]] = []

    async def call(self, address: str, question: bytes, *, again: bool, within_s: float) -> bytes:
        self.asked.append((address, again, within_s))
        answer = asyncio.ensure_future(self._keepers[address](question))
        return await answer


def apart(room: Echo) -> tuple[EchoRoom, Here]:
    carrier = Here(room)
    return remote_side(EchoSide, carrier).echo, carrier


async def test_arguments_and_answers_pass_as_they_are() -> None:
    echo, carrier = apart(Echo())
    assert await echo.once("ü") == ["ü"] * 3
    assert await echo.once("a", number=1) == ["a"]
    assert await echo.under("a", None) is None
    assert await echo.under("a", "key") == "a"
    assert await echo.long() is None  # type: ignore[func-returns-value]
    assert await echo.often("a") == "a"
    assert [again for _, again, _ in carrier.asked] == [False, False, False, True, True, True]
    assert [address for address, _, within_s in carrier.asked if within_s > 400] == ["echo/long"]


class Unheard(Refused):
    """{what} is of another release."""

    code = "another.release"
    status = 418


@pytest.mark.parametrize(
    "error",
    [
        NotFound(what="Ärger"),
        TooBusy(retry_after=7),
        QuotaExceeded(limit=1 << 40, used=3),
        InvalidRequest(message="{braces} stay"),
        Unheard(what="This"),
    ],
)
async def test_errors_come_back_as_what_they_are(error: SynclineError) -> None:
    echo, _ = apart(Echo(error))
    with pytest.raises(type(error)) as raised:
        await echo.once("a")
    assert raised.value.fields == error.fields
    assert str(raised.value) == str(error)


def test_an_error_that_is_not_known_here_keeps_what_machines_read() -> None:
    document = msgspec.msgpack.decode(tell(Unheard(what="This")))
    strange = told(msgspec.msgpack.encode(["newer.module.Unheard", *document[1:]]))
    assert (strange.code, strange.status, strange.retryable, str(strange)) == (
        "another.release",
        418,
        False,
        "This is of another release.",
    )
    assert isinstance(strange, Refused)
    assert type(strange) is not Unheard


async def test_a_defect_is_told_as_one_and_says_nothing_of_itself() -> None:
    echo, _ = apart(Echo(ValueError("secret")))
    with pytest.raises(SynclineError) as raised:
        await echo.once("a")
    assert (raised.value.code, raised.value.fields, raised.value.status) == ("server.error", {}, 500)


async def test_what_is_no_question_is_refused_and_what_is_no_answer_is_not_believed() -> None:
    keepers = answering(EchoSide, EchoSide(echo=Echo()))

    class Garbled(Here):
        async def call(self, address: str, question: bytes, *, again: bool, within_s: float) -> bytes:
            return await keepers["echo/once"](b"\1" + msgspec.msgpack.encode([5]))

    class Cut(Here):
        async def call(self, address: str, question: bytes, *, again: bool, within_s: float) -> bytes:
            return (await super().call(address, question, again=again, within_s=within_s))[:-1]

    with pytest.raises(InvalidRequest, match="echo/once"):
        await remote_side(EchoSide, Garbled(Echo())).echo.once("a")
    with pytest.raises(Unavailable, match="echo/once"):
        await remote_side(EchoSide, Cut(Echo())).echo.once("a")


async def test_how_old_an_answer_may_be_and_is_passes_too() -> None:
    room = Echo(as_of_us=1_700_000_000_000_000)
    echo, _ = apart(room)

    async def asked(*, may_be_behind: bool) -> int | None:
        begun = freshness.begin(may_be_behind=may_be_behind)
        await echo.once("a")
        return begun.as_of_us

    for may_be_behind in (True, False):
        context = contextvars.copy_context()
        work = asyncio.get_running_loop().create_task(asked(may_be_behind=may_be_behind), context=context)
        assert await work == room.as_of_us
    assert room.may_be_behind == [True, False]
    room.error = NotFound(what="It")
    begun = freshness.begin(may_be_behind=True)
    with pytest.raises(NotFound):
        await echo.once("a")
    assert begun.as_of_us == room.as_of_us


def test_every_room_can_be_written_down() -> None:
    """Each method of each promise has messages for its arguments and its answer, and none answers to two names."""
    rooms = [name for side in (MetadataSide, BlocksSide, NotifySide) for name in promises_of(side)]
    assert len(rooms) == len(set(rooms)) == 23
    for side in (MetadataSide, BlocksSide, NotifySide):
        for promise in promises_of(side).values():
            assert methods_of(promise), promise
