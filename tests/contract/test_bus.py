"""What every `Bus` promises: in process, on NATS JetStream, and on Kafka's protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import nats
import pytest
from aiokafka import AIOKafkaProducer

from syncline.adapters.bus.kafka import KafkaBus, KafkaPlace
from syncline.adapters.bus.memory import MemoryBus
from syncline.adapters.bus.nats import NatsBus, NatsPlace
from syncline.adapters.machine import MachineChance
from syncline.model.errors import InvalidRequest, Unavailable
from syncline.model.ids import NamespaceId
from syncline.ports.bus import PUBLISHED_MAX, Bus, Hint, Position, Subscription
from syncline.testing.services.nats import Nats

WAIT_S = 10.0


@pytest.fixture(params=["memory", "nats", "kafka"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    name = f"t{MachineChance().token(6).hex()}"
    opened: Bus
    if request.param == "memory":
        opened = MemoryBus()
    elif request.param == "nats":
        opened = NatsBus(NatsPlace(servers=[request.getfixturevalue("nats_server").url], stream=name))
    else:
        opened = KafkaBus(KafkaPlace(servers=request.getfixturevalue("kafka_cluster").servers, topic=name))
    yield opened
    await opened.close()


def _hints(*sequences: int, namespace: str = "N") -> list[Hint]:
    return [Hint(NamespaceId(namespace), sequence) for sequence in sequences]


async def _heard(subscription: Subscription, count: int) -> list[Hint]:
    """So many hints, however they are delivered."""
    hints: list[Hint] = []
    async with asyncio.timeout(WAIT_S):
        while len(hints) < count:
            delivery = await subscription.next(1.0)
            if delivery is not None:
                assert not delivery.gap
                assert delivery.position == subscription.position
                hints += delivery.hints
    return hints


async def test_every_subscriber_hears_everything_in_order(bus: Bus) -> None:
    async with bus.subscribe() as one, bus.subscribe() as other:
        for number in range(1, 30):
            await bus.publish(_hints(number, namespace="A") + _hints(number, namespace="B"))
        for subscription in (one, other):
            hints = await _heard(subscription, 58)
            for name in "AB":
                assert [hint.sequence for hint in hints if hint.namespace == name] == list(range(1, 30))
            assert await subscription.next(0.05) is None


async def test_a_new_subscriber_begins_now(bus: Bus) -> None:
    await bus.publish(_hints(1, 2))
    async with bus.subscribe() as subscription:
        await bus.publish(_hints(3))
        assert await _heard(subscription, 1) == _hints(3)


async def test_one_who_waits_is_woken(bus: Bus) -> None:
    async with bus.subscribe() as subscription:
        waiting = asyncio.ensure_future(_heard(subscription, 1))
        await asyncio.sleep(0)
        await bus.publish(_hints(1))
        assert await waiting == _hints(1)


async def test_a_position_is_where_to_go_on(bus: Bus) -> None:
    async with bus.subscribe() as first:
        began = first.position
        await bus.publish(_hints(1, 2))
        assert await _heard(first, 2) == _hints(1, 2)
        worked = first.position
    await bus.publish(_hints(3))
    async with bus.subscribe(worked) as second:
        assert await _heard(second, 1) == _hints(3)
    # What was taken and never worked off comes again.
    async with bus.subscribe(began) as third:
        assert await _heard(third, 3) == _hints(1, 2, 3)


async def test_a_full_call_is_heard_whole(bus: Bus) -> None:
    hints = [Hint(NamespaceId(f"N{number % 97}"), number) for number in range(PUBLISHED_MAX)]
    async with bus.subscribe() as subscription:
        await bus.publish(hints)
        assert sorted(await _heard(subscription, len(hints)), key=lambda hint: hint.sequence) == hints


async def test_publishing_twice_is_harmless(bus: Bus) -> None:
    """A duplicate may be heard or not; the order of what is heard stays."""
    async with bus.subscribe() as subscription:
        await bus.publish(_hints(1))
        await bus.publish(_hints(1))
        await bus.publish(_hints(2))
        hints = await _heard(subscription, 2)
        if hints == _hints(1, 1):
            hints += await _heard(subscription, 1)
        assert [hint.sequence for hint in hints] in ([1, 2], [1, 1, 2])


async def test_a_position_of_something_else_is_refused(bus: Bus) -> None:
    with pytest.raises(InvalidRequest):
        async with bus.subscribe(Position("no position")):
            pass


async def test_a_closed_bus_says_so(bus: Bus) -> None:
    await bus.close()
    with pytest.raises(Unavailable):
        await bus.publish(_hints(1))


async def test_what_is_no_longer_kept_is_a_gap() -> None:
    bus = MemoryBus(kept_max=3)
    async with bus.subscribe() as subscription:
        await bus.publish(_hints(1, 2, 3, 4, 5))
        delivery = await subscription.next(WAIT_S)
        assert delivery is not None
        assert delivery.gap
        assert list(delivery.hints) == _hints(3, 4, 5)


@pytest.mark.parametrize("kind", ["nats", "kafka"])
async def test_a_broker_that_is_not_there_is_told_of_within_seconds(kind: str) -> None:
    bus: Bus = (
        NatsBus(NatsPlace(servers=["nats://127.0.0.1:9", "nats://127.0.0.1:11"]))
        if kind == "nats"
        else KafkaBus(KafkaPlace(servers=["127.0.0.1:9"]))
    )

    async def subscribe() -> None:
        subscribing: AbstractAsyncContextManager[Subscription] = bus.subscribe()
        async with subscribing:
            pass

    for call in (lambda: bus.publish(_hints(1)), subscribe):
        with pytest.raises(Unavailable):
            await asyncio.wait_for(call(), 15)
    await bus.close()


async def test_what_is_no_hint_is_a_gap_and_stands_in_nobodys_way(bus: Bus, request: pytest.FixtureRequest) -> None:
    """Somebody else says something there, or another version of this program."""
    async with bus.subscribe() as subscription:
        await bus.publish(_hints(1))
        if isinstance(bus, NatsBus):
            client = await nats.connect(request.getfixturevalue("nats_server").url)
            await client.jetstream().publish(f"{bus._place.stream}.0", b"\xc1")
            await client.close()
        elif isinstance(bus, KafkaBus):
            producer = AIOKafkaProducer(bootstrap_servers=bus._place.servers)
            await producer.start()
            await producer.send_and_wait(bus._place.topic, b"nonsense")
            await producer.stop()
        else:
            pytest.skip("Nobody else speaks in a process")
        await bus.publish(_hints(2))
        heard, gaps = list[int](), 0
        async with asyncio.timeout(WAIT_S):
            while heard != [1, 2] or not gaps:
                if (delivery := await subscription.next(1.0)) is not None:
                    heard += (hint.sequence for hint in delivery.hints)
                    gaps += delivery.gap


@pytest.mark.parametrize("lost", ["purged", "made anew"])
async def test_a_stream_that_lost_what_was_not_heard_has_a_gap(nats_server: Nats, lost: str) -> None:
    name = f"t{MachineChance().token(6).hex()}"
    bus = NatsBus(NatsPlace(servers=[nats_server.url], stream=name))
    async with bus.subscribe() as subscription:
        began = subscription.position
    await bus.publish(_hints(1, 2))
    operator = await nats.connect(nats_server.url)
    stream = operator.jetstream()
    if lost == "purged":
        await stream.purge_stream(name)
    else:
        await stream.delete_stream(name)
        await bus.close()
        bus = NatsBus(NatsPlace(servers=[nats_server.url], stream=name))
    await bus.publish(_hints(3))
    async with bus.subscribe(began) as subscription:
        delivery = await subscription.next(WAIT_S)
        assert delivery is not None
        assert delivery.gap
        assert await _heard(subscription, 1) == _hints(3)
    await operator.close()
    await bus.close()
