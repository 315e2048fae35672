"""`ports.bus.Bus` on Kafka: one topic, a record for each hint, keyed by its namespace and so in one partition always.

The topic is made by whoever operates the brokers, with the bounds on age and size they want. Records are acknowledged by all
replicas in sync, by an idempotent producer: what it repeats by itself is kept once and in order. Subscribers are in no group: each
reads all partitions and keeps its own offsets. A producer or consumer that failed is thrown away, and made anew by the next call.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from msgspec import Struct

from syncline.model.errors import InvalidRequest, Unavailable
from syncline.model.ids import NamespaceId
from syncline.ports.bus import PUBLISHED_MAX, Delivery, Hint, Position

ANSWER_S: Final = 5.0
START_S: Final = 10.0
LINGER_MS: Final = 2
_GRACE_S: Final = 2.0
_OFFSETS: Final = msgspec.json.Decoder(dict[int, int])


class KafkaPlace(Struct, frozen=True, kw_only=True):
    """Where the brokers are, how to sign in, and the topic."""

    servers: Sequence[str]
    user: str | None = None
    password: str | None = None
    mechanism: str = "SCRAM-SHA-512"
    ca_file: str | None = None
    tls: bool = False
    topic: str = "syncline.hints"


class KafkaBus:
    def __init__(self, place: KafkaPlace) -> None:
        self._place = place
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._closed = False

    async def publish(self, hints: Sequence[Hint]) -> None:
        with _told():
            producer = await self._started()
            try:
                async with asyncio.timeout(2 * ANSWER_S):
                    sent = [
                        await producer.send(self._place.topic, b"%d" % hint.sequence, key=hint.namespace.encode()) for hint in hints
                    ]
                    await asyncio.gather(*sent)
            except BaseException:
                # What it still holds must not come after what the next one sends.
                await self._drop()
                raise

    @asynccontextmanager
    async def subscribe(self, after: Position | None = None) -> AsyncIterator[KafkaSubscription]:
        given = None if after is None else _offsets(after)
        with _told():
            consumer = AIOKafkaConsumer(
                self._place.topic,
                **_options(self._place),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                metadata_max_age_ms=30_000,
                max_poll_records=PUBLISHED_MAX,
            )
            try:
                async with asyncio.timeout(START_S):
                    await consumer.start()
                    subscription = KafkaSubscription(consumer, self._place.topic)
                    await subscription.begin(given)
            except BaseException:
                await _stopped(consumer.stop)
                raise
        try:
            yield subscription
        finally:
            await _stopped(consumer.stop)

    async def close(self) -> None:
        self._closed = True
        await self._drop()

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._closed:
                raise Unavailable(what="The message bus", reason="it was closed")
            if self._producer is None:
                producer = AIOKafkaProducer(**_options(self._place), acks="all", enable_idempotence=True, linger_ms=LINGER_MS)
                try:
                    async with asyncio.timeout(START_S):
                        await producer.start()
                except BaseException:
                    await _stopped(producer.stop)
                    raise
                self._producer = producer
            return self._producer

    async def _drop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stopped(producer.stop)


class KafkaSubscription:
    def __init__(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic
        self._at: dict[int, int] = {}
        """The offset of the next record, by partition."""
        self._lost = False

    async def begin(self, given: Mapping[int, int] | None) -> None:
        """At the offsets given, at the end without any. Raises `Unavailable` where there is no such topic."""
        spots = sorted(self._consumer.assignment())
        if not spots:
            raise Unavailable(what="The message bus", reason=f"there is no topic {self._topic}")
        ends = await self._consumer.end_offsets(spots)
        self._at = {spot.partition: offset for spot, offset in ends.items()}
        if given is not None:
            firsts = await self._consumer.beginning_offsets(spots)
            for spot in spots:
                first, end = firsts[spot], ends[spot]
                # A partition that was not there then has nothing that was heard.
                at = given.get(spot.partition, first)
                kept = first <= at <= end
                self._lost = self._lost or not kept
                self._at[spot.partition] = at if kept else first
        self._seek()

    @property
    def position(self) -> Position:
        return Position(msgspec.json.encode(self._at).decode())

    async def next(self, timeout_s: float) -> Delivery | None:
        if self._lost:
            self._lost = False
            return Delivery(hints=(), position=self.position, gap=True)
        with _told():
            try:
                async with asyncio.timeout(timeout_s + ANSWER_S):
                    found = await self._consumer.getmany(timeout_ms=int(timeout_s * 1000), max_records=PUBLISHED_MAX)
            except OffsetOutOfRangeError:
                await self._begin_again(lost=True)
                return Delivery(hints=(), position=self.position, gap=True)
            except NoOffsetForPartitionError:
                await self._begin_again()
                return None
        hints: list[Hint] = []
        gap = False
        for spot, records in found.items():
            for record in records:
                hint = _hint(record.key, record.value)
                # Somebody else's, or of another version: what it may have said is not known, and it must not stand in the way.
                gap = gap or hint is None
                hints += () if hint is None else (hint,)
            self._at[spot.partition] = records[-1].offset + 1
        return Delivery(hints=hints, position=self.position, gap=gap) if hints or gap else None

    async def _begin_again(self, *, lost: bool = False) -> None:
        """After partitions were added, those from their beginning; after records were lost, where the topic now begins."""
        spots = sorted(self._consumer.assignment())
        for spot, first in (await self._consumer.beginning_offsets(spots)).items():
            at = self._at.get(spot.partition, first)
            self._at[spot.partition] = max(at, first) if lost else at
        self._seek()

    def _seek(self) -> None:
        for spot in self._consumer.assignment():
            if spot.partition in self._at:
                self._consumer.seek(spot, self._at[spot.partition])


def _hint(key: bytes | None, value: bytes | None) -> Hint | None:
    """None for a record that is none."""
    try:
        return Hint(NamespaceId((key or b"").decode()), int(value or b""))
    except ValueError:
        return None


def _options(place: KafkaPlace) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bootstrap_servers": list(place.servers),
        "client_id": "syncline",
        "request_timeout_ms": int(ANSWER_S * 1000),
        "retry_backoff_ms": 100,
    }
    tls = place.tls or place.ca_file is not None
    if tls:
        options["ssl_context"] = ssl.create_default_context(cafile=place.ca_file)
    if place.user is not None:
        options |= {"sasl_mechanism": place.mechanism, "sasl_plain_username": place.user, "sasl_plain_password": place.password}
        options["security_protocol"] = "SASL_SSL" if tls else "SASL_PLAINTEXT"
    elif tls:
        options["security_protocol"] = "SSL"
    return options


def _offsets(position: Position) -> dict[int, int]:
    try:
        return _OFFSETS.decode(position)
    except msgspec.DecodeError as error:
        raise InvalidRequest(message="This is no position of this bus") from error


async def _stopped(stop: Callable[[], Any]) -> None:
    """Ends a client; one whose brokers are gone is left to itself after a moment."""
    try:
        async with asyncio.timeout(_GRACE_S):
            await stop()
    except (KafkaError, OSError, TimeoutError):
        return


@contextmanager
def _told() -> Iterator[None]:
    """What the library raises, as the port says it."""
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable(what="The message bus", reason=str(error) or type(error).__name__) from error
