"""The line to the server: when it is tried, how it is lost and found, and a poll that never runs hot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from tests.unit.client.kit import Watching

from syncline.client import contact as contact_module
from syncline.client.contact import POLL_REST_FIRST_S, RECONNECT_CAP_S, RECONNECT_FIRST_S
from syncline.model.errors import CursorReset, DiskFull, Forbidden, SynclineError, TooBusy, Unauthenticated, Unavailable
from syncline.model.ids import NamespaceId
from syncline.model.limits import HEAD_CHECK_MAX_S
from syncline.protocol.changes import PollAnswer
from syncline.testing.journal_remote import HOME, JournalRemote

DOWN = Unavailable(what="the server")


@pytest.fixture
def remote() -> JournalRemote:
    return JournalRemote()


@pytest.fixture
def device(remote: JournalRemote) -> Watching:
    return Watching(remote)


def failing(remote: JournalRemote, error: SynclineError | None, *calls: str) -> None:
    def fault(call: str, is_after: bool) -> None:
        if error is not None and (not calls or call in calls):
            raise error

    remote.fault = fault


# -- looking ---------------------------------------------------------------------------------------------------------------------


async def test_a_look_greets_once_and_reads_only_when_wanted(remote: JournalRemote, device: Watching) -> None:
    assert await device.contact.look()
    assert remote.calls == ["namespaces", "snapshot", "changes"]
    assert device.contact.is_current
    assert not await device.contact.look()
    device.contact.want()
    assert device.woken == 1
    assert not device.contact.is_current
    assert await device.contact.look()
    assert remote.calls == ["namespaces", "snapshot", "changes", "changes"]


async def test_offline_is_a_state_with_longer_and_longer_waits_up_to_a_minute(remote: JournalRemote, device: Watching) -> None:
    failing(remote, DOWN)
    waits = []
    for _ in range(9):
        assert not await device.contact.look()
        assert device.contact.offline is DOWN
        at = device.contact.next_try_s()
        assert at is not None
        waits.append(at - device.clock.now)
        asked = len(remote.calls)
        device.clock.pass_s(waits[-1] * 0.99)
        assert not await device.contact.look()
        assert len(remote.calls) == asked, "not before its time"
        device.clock.pass_s(waits[-1] * 0.02)
    assert waits[:3] == pytest.approx([RECONNECT_FIRST_S, RECONNECT_FIRST_S * 2, RECONNECT_FIRST_S * 4])
    assert waits[-1] == RECONNECT_CAP_S
    assert [line.event for line in device.activity.latest(10)] == ["offline"], "told once"
    failing(remote, None)
    assert await device.contact.look()
    assert device.contact.offline is None
    assert device.contact.next_try_s() is None
    assert [line.event for line in device.activity.latest(10)] == ["offline", "online"]


async def test_several_who_notice_one_loss_make_it_no_longer(device: Watching) -> None:
    device.contact.lose(DOWN)
    first = device.contact.next_try_s()
    for _ in range(10):
        device.contact.lose(DOWN)
    assert device.contact.next_try_s() == first


async def test_a_server_that_says_when_is_left_alone_until_then(device: Watching) -> None:
    device.contact.lose(TooBusy(retry_after=30))
    at = device.contact.next_try_s()
    assert at is not None
    assert at - device.clock.now == 30


async def test_a_person_may_try_at_once(remote: JournalRemote, device: Watching) -> None:
    failing(remote, DOWN)
    await device.contact.look()
    failing(remote, None)
    device.contact.try_now()
    assert await device.contact.look()


async def test_an_ended_session_is_blocking_and_says_what_to_do(remote: JournalRemote, device: Watching) -> None:
    failing(remote, Unauthenticated(reason="the session of this device has ended"))
    assert not await device.contact.look()
    problem = device.contact.problem()
    assert problem is not None
    assert problem.blocking
    assert "syncline login" in problem.message
    device.contact.lose(DOWN)
    still = device.contact.problem()
    assert still == problem, "that the server is away too is no news"


async def test_what_is_no_loss_of_the_line_goes_up_and_the_journal_stays_unread(remote: JournalRemote, device: Watching) -> None:
    await device.contact.look()
    for error in (Forbidden(what="read"), DiskFull(path="state.db")):
        device.contact.want()
        failing(remote, error, "changes")
        with pytest.raises(type(error)):
            await device.contact.look()
        assert device.contact.offline is None
        assert not device.contact.is_current
    failing(remote, None)
    remote.calls.clear()
    assert await device.contact.look()
    assert remote.calls[0] == "namespaces", "what may be seen has perhaps changed"


async def test_a_want_during_a_look_is_not_lost(remote: JournalRemote, device: Watching) -> None:
    def fault(call: str, is_after: bool) -> None:
        if call == "changes" and is_after:
            device.contact.want()

    remote.fault = fault
    assert await device.contact.look()
    assert not device.contact.is_current
    assert device.woken


async def test_a_reset_is_told(remote: JournalRemote, device: Watching) -> None:
    await device.contact.look()
    remote.new_epoch()
    device.contact.want()
    await device.contact.look()
    assert [line.event for line in device.activity.latest(5)] == ["reset"]


# -- polling ---------------------------------------------------------------------------------------------------------------------


class Naps:
    """Stands in for sleeping: notes how long, and lets others run."""

    def __init__(self) -> None:
        self.taken: list[float] = []


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> Naps:
    naps = Naps()
    sleep = asyncio.sleep

    async def nap(seconds: float) -> None:
        naps.taken.append(seconds)
        await sleep(0)

    class Module:
        def __getattr__(self, name: str) -> object:
            return nap if name == "sleep" else getattr(asyncio, name)

    monkeypatch.setattr(contact_module, "asyncio", Module())
    return naps


@asynccontextmanager
async def polling(device: Watching, *, looks: bool = True) -> AsyncIterator[None]:
    """The poll runs, and beside it somebody who looks whenever that is wanted."""

    async def look() -> None:
        while True:
            await asyncio.sleep(0)
            if looks and device.contact.wanted:
                await device.contact.look()

    await device.contact.look()
    tasks = [asyncio.create_task(device.contact.poll()), asyncio.create_task(look())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0)


async def test_a_change_elsewhere_is_read_at_once_and_the_next_poll_stands_behind_it(
    remote: JournalRemote, device: Watching, naps: Naps
) -> None:
    async with polling(device):
        for number in range(5):
            await until(lambda: len(remote.polled) == number + 1)  # noqa: B023
            remote.put(f"f{number}")
            await until(lambda: f"f{number}" in device.names())  # noqa: B023
        await until(lambda: len(remote.polled) == 6)
    assert len({cursors[0] for cursors in remote.polled}) == 6
    assert naps.taken == []


async def test_polls_wait_for_the_look_that_they_asked_for(remote: JournalRemote, device: Watching, naps: Naps) -> None:
    async with polling(device, looks=False):
        await until(lambda: len(remote.polled) == 1)
        remote.put("a")
        await until(lambda: device.contact.wanted)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(remote.polled) == 1


async def test_a_server_that_announces_what_it_does_not_show_is_asked_less_and_less(
    remote: JournalRemote, device: Watching, naps: Naps
) -> None:
    """A journal that lags behind its hints, or hints that are wrong: each answer is a change, and no look gets past it."""
    remote.poll_answers = [PollAnswer(changed=True, namespaces={HOME: 99}) for _ in range(12)]
    async with polling(device):
        await until(lambda: not remote.poll_answers)
    assert len(naps.taken) >= 10
    assert naps.taken == sorted(naps.taken)
    assert naps.taken[-1] > 100 * naps.taken[0] > 0


async def test_an_answer_about_what_was_pulled_meanwhile_costs_no_rest(remote: JournalRemote, device: Watching, naps: Naps) -> None:
    """Our own commit: the head moves, we read it ourselves, and the poll under way then tells us."""
    async with polling(device):
        await until(lambda: len(remote.polled) == 1)
        remote.put("mine")
        device.contact.want()
        await until(lambda: len(remote.polled) == 2)
    assert naps.taken == []


async def test_a_poll_that_fails_is_no_loss_of_the_line_while_looks_succeed(
    remote: JournalRemote, device: Watching, naps: Naps
) -> None:
    """A proxy that cuts long answers short: the device goes on by looking now and then."""
    failing(remote, DOWN, "poll")
    async with polling(device):
        await until(lambda: len(naps.taken) == 8)
    assert device.contact.offline is None
    assert "offline" not in [line.event for line in device.activity.latest(10)]
    assert naps.taken == sorted(naps.taken)
    assert naps.taken[0] <= POLL_REST_FIRST_S
    failing(remote, None)
    remote.poll_answers = [PollAnswer(changed=False, sync=True)]


@pytest.mark.parametrize("error", [CursorReset(reason="epoch_changed"), Forbidden(what="poll"), Unauthenticated(reason="ended")])
async def test_no_answer_of_the_poll_makes_it_run_hot(
    remote: JournalRemote, device: Watching, naps: Naps, error: SynclineError
) -> None:
    failing(remote, error, "poll")
    async with polling(device):
        await until(lambda: len(naps.taken) == 6)
    assert naps.taken == sorted(naps.taken)
    assert naps.taken[-1] >= 16 * naps.taken[0]


async def test_timeouts_that_come_at_once_are_not_believed(remote: JournalRemote, device: Watching, naps: Naps) -> None:
    remote.poll_answers = [PollAnswer(changed=False, sync=True) for _ in range(8)]
    async with polling(device):
        await until(lambda: not remote.poll_answers)
    assert len(naps.taken) >= 6


async def test_a_timeout_looks_anyway_and_at_what_may_be_seen(remote: JournalRemote, device: Watching, naps: Naps) -> None:
    remote.poll_answers = [PollAnswer(changed=False, sync=True)]
    async with polling(device):
        await until(lambda: remote.calls.count("namespaces") == 2)


async def test_a_namespace_nobody_here_knows_is_asked_about(remote: JournalRemote, device: Watching, naps: Naps) -> None:
    remote.poll_answers = [PollAnswer(changed=True, namespaces={NamespaceId("new"): 1})]
    async with polling(device):
        await until(lambda: remote.calls.count("namespaces") == 2)


# -- how fresh the server's word is ------------------------------------------------------------------------------------------


async def test_a_head_that_was_not_heard_of_for_long_is_stale_until_it_is_asked(remote: JournalRemote, device: Watching) -> None:
    assert not device.contact.is_stale
    assert await device.contact.look()
    heard_us = device.contact.heard_us
    assert device.contact.next_due_s() == device.clock.now + HEAD_CHECK_MAX_S
    device.clock.pass_s(HEAD_CHECK_MAX_S)
    assert device.contact.problem() is None
    assert not await device.contact.look()
    device.clock.pass_s(0.1)
    stale = device.contact.problem()
    assert stale is not None
    assert stale.code == "head.stale"
    assert await device.contact.look(), "staleness alone is reason enough to look"
    assert device.contact.problem() is None
    assert device.contact.heard_us != heard_us


async def test_a_poll_that_says_nothing_is_new_is_a_word_of_the_server(remote: JournalRemote, device: Watching) -> None:
    assert await device.contact.look()
    device.clock.pass_s(HEAD_CHECK_MAX_S - 1)
    remote.poll_answers.append(PollAnswer(changed=False, namespaces={}))
    assert await device.contact._poll_once([]) is False
    device.clock.pass_s(2)
    assert device.contact.problem() is None
    device.clock.pass_s(HEAD_CHECK_MAX_S - 3)
    remote.poll_answers.append(PollAnswer(changed=True, namespaces={HOME: remote.head + 1}))
    assert await device.contact._poll_once([])
    device.clock.pass_s(2)
    assert device.contact.is_stale, "that something moved says where nothing stands"


async def test_while_the_journal_is_read_nothing_may_be_claimed(remote: JournalRemote, device: Watching) -> None:
    seen: list[bool] = []
    remote.fault = lambda call, is_after: seen.append(device.contact.looking)
    assert await device.contact.look()
    assert seen
    assert all(seen)
    assert not device.contact.looking
    failing(remote, DOWN)
    device.contact.want()
    assert not await device.contact.look()
    assert not device.contact.looking


async def test_being_offline_has_a_beginning(remote: JournalRemote, device: Watching) -> None:
    failing(remote, DOWN)
    began_us = device.clock.now_us()
    assert not await device.contact.look()
    device.clock.pass_s(500)
    assert not await device.contact.look()
    assert device.contact.offline_since_us == began_us
    lost = device.contact.problem()
    assert lost is not None
    assert "(offline since 1970-01-01T00:16:40Z)" in lost.message
    device.clock.pass_s(500)
    failing(remote, None)
    assert await device.contact.look()
    assert device.contact.offline_since_us is None
