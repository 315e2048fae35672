"""Attempts and the hub: bounded tables that neither lock out nor lose a wake-up."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest
from tests.unit.server_gateway.clock import HandClock

from syncline.model.errors import TooBusy, Unauthenticated
from syncline.model.ids import DeviceId, NamespaceId, UserId
from syncline.server.accounts import attempts
from syncline.server.accounts.attempts import ATTEMPT_EVERY_S, ATTEMPTS_AT_ONCE, Attempts
from syncline.server.accounts.passwords import Passwords
from syncline.server.caller import Caller
from syncline.server.notify.hub import WAITERS_PER_DEVICE_MAX, Hub

NAMESPACE, OTHER = NamespaceId("N"), NamespaceId("O")


def _caller(device: str = "D") -> Caller:
    return Caller(UserId("U"), DeviceId(device))


def test_attempts_run_out_per_person_and_address_and_come_back() -> None:
    clock = HandClock()
    table = Attempts(clock)
    for _ in range(ATTEMPTS_AT_ONCE):
        table.take("ann", "1.2.3.4")
    with pytest.raises(TooBusy) as refused:
        table.take("ann", "1.2.3.4")
    assert 0 < refused.value.fields["retry_after"] <= ATTEMPT_EVERY_S
    table.take("ann", "5.6.7.8")
    table.take("bob", "1.2.3.4")
    clock.pass_s(refused.value.fields["retry_after"])
    table.take("ann", "1.2.3.4")
    with pytest.raises(TooBusy):
        table.take("ann", "1.2.3.4")
    table.forgive("ann", "1.2.3.4")
    table.take("ann", "1.2.3.4")


def test_the_table_of_attempts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "BUCKETS_MAX", 5)
    table = Attempts(HandClock())
    for number in range(100):
        table.take(f"{number}", "a")
    assert len(table._buckets) == 5


async def test_passwords_match_themselves_only() -> None:
    passwords = Passwords()
    stored = await passwords.hash("sésame")
    assert stored.startswith("$argon2id$")
    assert await passwords.verify(stored, "sésame")
    assert not await passwords.verify(stored, "sesame")
    assert not await passwords.verify(stored, "\ud800")
    assert not await passwords.verify(stored, "x" * 10_000_000)
    assert not await passwords.verify(None, "")
    assert not passwords.is_outdated(stored)
    assert passwords.is_outdated("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA")


async def test_a_commit_wakes_those_it_concerns() -> None:
    hub = Hub()
    with hub.listen(_caller(), {NAMESPACE: 5}) as mine, hub.listen(_caller("E"), {OTHER: 0}) as others:
        hub.publish(NAMESPACE, 5)
        assert not await mine.wait(0.01)
        hub.publish(NAMESPACE, 6)
        hub.publish(NAMESPACE, 7)
        assert await mine.wait(1)
        assert mine.moved() == {NAMESPACE: 7}
        assert not await others.wait(0.01)
    assert hub.waiting == 0
    assert not hub._by_namespace
    assert not hub._by_device


async def test_a_new_wait_of_a_device_ends_its_oldest() -> None:
    hub = Hub()
    contexts = [hub.listen(_caller(), {NAMESPACE: 0}) for _ in range(WAITERS_PER_DEVICE_MAX + 2)]
    waiters = [context.__enter__() for context in contexts]
    ended = [await waiter.wait(0.001) for waiter in waiters]
    assert ended == [True, True] + [False] * WAITERS_PER_DEVICE_MAX
    for context in contexts:
        context.__exit__(None, None, None)
    assert hub.waiting == 0


async def test_nobody_fills_a_server_with_waits_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncline.server.notify.hub.WAITERS_PER_USER_MAX", 3)
    hub = Hub()
    with ExitStack() as held:
        for number in range(3):
            held.enter_context(hub.listen(_caller(f"D{number}"), {NAMESPACE: 0}))
        with pytest.raises(TooBusy), hub.listen(_caller("D3"), {NAMESPACE: 0}):
            pass
        with hub.listen(Caller(UserId("V"), DeviceId("E")), {OTHER: 0}):
            assert hub.waiting == 4
    with hub.listen(_caller("D3"), {NAMESPACE: 0}):
        assert hub.waiting == 1
    assert not hub._by_user


async def test_unlinking_ends_the_waits_of_that_device_only() -> None:
    hub = Hub()
    with hub.listen(_caller("D"), {NAMESPACE: 0}) as gone, hub.listen(_caller("E"), {NAMESPACE: 0}) as kept:
        hub.drop_device(DeviceId("D"))
        assert await gone.wait(1)
        with pytest.raises(Unauthenticated):
            gone.moved()
        assert not await kept.wait(0.01)


async def test_a_closed_hub_answers_everyone_at_once() -> None:
    hub = Hub()
    with hub.listen(_caller(), {NAMESPACE: 0}) as waiter:
        waiting = asyncio.ensure_future(waiter.wait(60))
        await asyncio.sleep(0)
        hub.close()
        assert await asyncio.wait_for(waiting, 1)
        with hub.listen(_caller(), {NAMESPACE: 0}) as late:
            assert await late.wait(60)
            assert late.moved() == {}
