"""Questions between real gRPC ends: who is asked, what is asked again, and what a stranger gets."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from structlog.contextvars import bound_contextvars, get_contextvars
from tests.contract.rooms.certificates import tls_for

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.peers import server as answering
from syncline.adapters.peers import wire
from syncline.adapters.peers.carrier import PeerCarrier
from syncline.adapters.peers.names import Names
from syncline.adapters.peers.proof import Proof
from syncline.adapters.peers.secure import Tls
from syncline.model.errors import LimitExceeded, LocalIo, TooBusy, Unavailable
from syncline.ports.tracer import TRACEPARENT
from syncline.testing.services.postgres import free_port

CLOCK, CHANCE = MachineClock(), MachineChance()
OURS = Proof(bytes(32), CLOCK, CHANCE)
STRANGE = Proof(bytes([1]) * 32, CLOCK, CHANCE)
ADDRESS = "room/ask"


@dataclass
class Peer:
    """One answering end: what it was asked, and `says` what it does then."""

    says: Callable[[bytes], Awaitable[bytes]]
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[bytes] = field(default_factory=list)
    port: int = 0

    async def keep(self, question: bytes) -> bytes:
        self.asked.append(question)
        return await self.says(question)

    @asynccontextmanager
    async def up(
        self, *, proof: Proof = OURS, tls: Tls | None = None, port: int = 0, lasting: Sequence[str] = ()
    ) -> AsyncIterator[Peer]:
        keepers = {ADDRESS: self.keep}
        async with answering.answered(
            ("127.0.0.1", port), keepers, proof, tls=tls, ending=self.closing, drain_s=0, lasting=lasting
        ) as self.port:
            yield self


async def echo(question: bytes) -> bytes:
    return b"to " + question


async def dies(_question: bytes) -> bytes:
    raise RuntimeError("as if the process had ended")


def carrier(*ports: int, proof: Proof = OURS, tls: Tls | None = None, host: str = "127.0.0.1") -> PeerCarrier:
    return PeerCarrier("test", [(host, port) for port in ports], proof, CLOCK, CHANCE, tls=tls)


async def ask(over: PeerCarrier, question: bytes = b"you", *, again: bool = False, within_s: float = 20) -> bytes:
    return await over.call(ADDRESS, question, again=again, within_s=within_s)


@pytest.fixture
async def held() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def test_peers_take_turns(held: AsyncExitStack) -> None:
    one, two = [await held.enter_async_context(Peer(echo).up()) for _ in range(2)]
    over = await held.enter_async_context(carrier(one.port, two.port))
    assert {await ask(over, bytes([number])) for number in range(6)} == {b"to " + bytes([number]) for number in range(6)}
    assert (len(one.asked), len(two.asked)) == (3, 3)


async def test_a_dead_peer_is_left_out_whatever_is_asked(held: AsyncExitStack) -> None:
    one = await held.enter_async_context(Peer(echo).up())
    over = await held.enter_async_context(carrier(free_port(), one.port))
    assert [await ask(over) for _ in range(4)] == [b"to you"] * 4
    assert len(one.asked) == 4


async def test_one_that_comes_back_is_asked_again(held: AsyncExitStack) -> None:
    port = free_port()
    over = await held.enter_async_context(carrier(port))
    with pytest.raises(Unavailable) as nobody:
        await ask(over)
    assert nobody.value.fields["retry_after"] == 1
    await held.enter_async_context(Peer(echo).up(port=port))
    async with asyncio.timeout(20):
        while True:
            try:
                await over.check()
                break
            except Unavailable:
                await asyncio.sleep(0.02)
    assert await ask(over) == b"to you"


async def test_what_may_have_been_done_is_asked_again_only_where_that_does_no_harm(held: AsyncExitStack) -> None:
    bad, good = await held.enter_async_context(Peer(dies).up()), await held.enter_async_context(Peer(echo).up())
    over = await held.enter_async_context(carrier(bad.port, good.port))
    assert {await ask(over, again=True) for _ in range(2)} == {b"to you"}
    assert len(bad.asked) == 1
    alone = await held.enter_async_context(carrier(bad.port))
    with pytest.raises(Unavailable, match="answer"):
        await ask(alone)
    assert len(bad.asked) == 2


async def test_who_is_going_says_that_nothing_was_done(held: AsyncExitStack) -> None:
    going, stays = await held.enter_async_context(Peer(echo).up()), await held.enter_async_context(Peer(echo).up())
    going.closing.set()
    over = await held.enter_async_context(carrier(going.port, stays.port))
    assert [await ask(over) for _ in range(4)] == [b"to you"] * 4
    assert (len(going.asked), len(stays.asked)) == (0, 4)


async def test_who_is_busy_is_spared(held: AsyncExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "CALLS_AT_ONCE", 1)
    release = asyncio.Event()

    async def waits(question: bytes) -> bytes:
        await release.wait()
        return question

    one = await held.enter_async_context(Peer(waits).up())
    over = await held.enter_async_context(carrier(one.port))
    first = asyncio.ensure_future(ask(over, b"first"))
    async with asyncio.timeout(20):
        while not one.asked:
            await asyncio.sleep(0.01)
    with pytest.raises(TooBusy):
        await ask(over, b"second")
    release.set()
    assert await first == b"first"
    assert await ask(over, b"third") == b"third"


async def test_very_many_who_wait_at_once_are_all_answered(held: AsyncExitStack) -> None:
    one = await held.enter_async_context(Peer(echo).up(lasting=[ADDRESS]))
    over = await held.enter_async_context(carrier(one.port))
    assert await asyncio.gather(*(ask(over, within_s=60) for _ in range(2000))) == [b"to you"] * 2000


async def test_a_slow_peer_is_given_up_at_the_deadline(held: AsyncExitStack) -> None:
    ended = asyncio.Event()

    async def sleeps(_question: bytes) -> bytes:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return b""

    one = await held.enter_async_context(Peer(sleeps).up())
    over = await held.enter_async_context(carrier(one.port))
    with pytest.raises(Unavailable):
        await ask(over, within_s=0.2)
    async with asyncio.timeout(20):
        await ended.wait()


FROZEN = """
import asyncio
from syncline.adapters.peers import wire
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.peers.proof import Proof
from syncline.adapters.peers.server import answered

async def keep(question: bytes) -> bytes:
    return b"from the other process"

async def main() -> None:
    proof = Proof(bytes(32), MachineClock(), MachineChance())
    async with answered(("127.0.0.1", 0), {"room/ask": keep}, proof, tls=None, ending=asyncio.Event(), drain_s=0) as port:
        print(port, flush=True)
        await asyncio.sleep(300)

wire.PING_EVERY_MS = 500
asyncio.run(main())
"""


async def test_a_frozen_peer_is_found_out_and_asked_again_once_it_goes_on(
    held: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "PING_TIMEOUT_MS", 500)
    monkeypatch.setattr(wire, "PING_EVERY_MS", 500)
    process = held.enter_context(subprocess.Popen([sys.executable, "-c", FROZEN], stdout=subprocess.PIPE))
    held.callback(process.kill)
    assert process.stdout is not None
    other = await held.enter_async_context(Peer(echo).up())
    over = await held.enter_async_context(carrier(int(process.stdout.readline()), other.port))
    assert {await ask(over) for _ in range(2)} == {b"from the other process", b"to you"}
    process.send_signal(signal.SIGSTOP)
    assert {await ask(over, again=True, within_s=60) for _ in range(4)} == {b"to you"}
    process.send_signal(signal.SIGCONT)
    async with asyncio.timeout(30):
        while await ask(over) != b"from the other process":
            await asyncio.sleep(0.02)


async def test_strangers_are_refused_on_both_sides(held: AsyncExitStack) -> None:
    ours = await held.enter_async_context(Peer(echo).up())
    over = await held.enter_async_context(carrier(ours.port, proof=STRANGE))
    with pytest.raises(Unavailable):
        await ask(over)
    assert ours.asked == []

    class Deaf(Proof):
        """A stranger who takes any question, but cannot prove an answer."""

        def check(self, address: str, body: bytes, proof: str) -> None:
            assert proof

    stranger = await held.enter_async_context(Peer(echo).up(proof=Deaf(bytes([1]) * 32, CLOCK, CHANCE)))
    deceived = await held.enter_async_context(carrier(stranger.port))
    with pytest.raises(Unavailable, match="answer"):
        await ask(deceived)


async def test_tls_asks_for_a_certificate_of_the_same_authority(held: AsyncExitStack) -> None:
    ours, theirs = tls_for("localhost"), tls_for("localhost", "somebody else")
    one = await held.enter_async_context(Peer(echo).up(tls=ours))
    over = await held.enter_async_context(carrier(one.port, tls=ours, host="localhost"))
    assert await ask(over) == b"to you"
    for other in (carrier(one.port, host="localhost"), carrier(one.port, tls=theirs, host="localhost")):
        async with other:
            with pytest.raises(Unavailable):
                await ask(other)
    elsewhere = await held.enter_async_context(Peer(echo).up(tls=tls_for("other.example.org")))
    misled = await held.enter_async_context(carrier(elsewhere.port, tls=ours, host="localhost"))
    with pytest.raises(Unavailable):
        await ask(misled)
    assert (len(one.asked), len(elsewhere.asked)) == (1, 0)


async def test_messages_are_bounded(held: AsyncExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MESSAGE_MAX_BYTES", 100_000)

    async def large(_question: bytes) -> bytes:
        return bytes(200_000)

    one = await held.enter_async_context(Peer(large).up())
    over = await held.enter_async_context(carrier(one.port))
    with pytest.raises(LimitExceeded):
        await ask(over, bytes(100_001))
    assert one.asked == []
    with pytest.raises((LimitExceeded, Unavailable)):
        await ask(over)


async def test_a_request_keeps_its_name(held: AsyncExitStack) -> None:
    async def named(_question: bytes) -> bytes:
        return str(get_contextvars().get("request_id")).encode()

    one = await held.enter_async_context(Peer(named).up())
    over = await held.enter_async_context(carrier(one.port))
    with bound_contextvars(request_id="0123abcd"):
        assert await ask(over) == b"0123abcd"


async def test_a_request_that_is_followed_is_followed_on(held: AsyncExitStack) -> None:
    async def followed(_question: bytes) -> bytes:
        return TRACEPARENT.get().encode()

    one = await held.enter_async_context(Peer(followed).up())
    over = await held.enter_async_context(carrier(one.port))
    assert await ask(over) == b""
    before = TRACEPARENT.set("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    assert await ask(over) == b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    TRACEPARENT.reset(before)
    assert await ask(over) == b""


async def test_a_place_that_is_taken_is_told(held: AsyncExitStack) -> None:
    one = await held.enter_async_context(Peer(echo).up())
    with pytest.raises(LocalIo, match=str(one.port)):
        await held.enter_async_context(Peer(echo).up(port=one.port))


async def test_names_are_looked_up_and_addresses_are_not() -> None:
    found = await Names([("localhost", 1), ("192.0.2.1", 2), ("::1", 3), ("no.such.name.invalid", 4)]).look_up()
    assert ("localhost", "ipv4:127.0.0.1:1") in [(one.host, one.target) for one in found]
    assert [one.target for one in found if one.host != "localhost"] == ["ipv4:192.0.2.1:2", "ipv6:[::1]:3"]
