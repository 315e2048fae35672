"""`ports.bus.Bus` on NATS JetStream: one stream, a subject for each partition, the hints of one call and partition in one message.

The stream is bounded by age and by size, and discards what is oldest. A message bears the hash of what it says as its id, so one
that is published again within the stream's window is kept once. Subscribers read by stream sequence through a consumer of their
own without acknowledgements, which the server forgets soon after they are gone; a jump in the sequence is a gap. One connection
for everything, made anew by whoever needs it after it broke: when to try again is the caller's rule, not the library's.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import msgspec
import nats
from msgspec import Struct
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, DiscardPolicy, StreamConfig, StreamInfo
from nats.js.errors import BadRequestError, NotFoundError

from syncline.adapters.bus.partitions import by_partition
from syncline.model.errors import InvalidRequest, Unavailable
from syncline.model.ids import NamespaceId
from syncline.model.limits import MIB
from syncline.ports.bus import Delivery, Hint, Position

PARTITIONS: Final = 64
KEPT_S: Final = 3600
KEPT_MAX_BYTES: Final = 256 * MIB
DEDUPE_S: Final = 120
CONNECT_S: Final = 2
START_S: Final = 10.0
ANSWER_S: Final = 5.0
IDLE_CONSUMER_S: Final = 60.0
MESSAGES_MAX: Final = 64
"""In one delivery: each holds the hints of one partition from one call."""
_GRACE_S: Final = 1.0
_HINTS: Final = msgspec.msgpack.Decoder(list[tuple[str, int]])


class NatsPlace(Struct, frozen=True, kw_only=True):
    """Where the servers are, how to sign in, and how many of them keep each message."""

    servers: Sequence[str]
    user: str | None = None
    password: str | None = None
    token: str | None = None
    credentials: str | None = None
    """The path of a `.creds` file."""
    ca_file: str | None = None
    stream: str = "syncline"
    replicas: int = 1


class NatsBus:
    def __init__(self, place: NatsPlace) -> None:
        self._place = place
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    async def publish(self, hints: Sequence[Hint]) -> None:
        with _told():
            stream = await self._stream()
            parted = by_partition(hints, PARTITIONS)
            async with asyncio.timeout(ANSWER_S):
                await asyncio.gather(*(self._say(stream, partition, said) for partition, said in parted.items()))

    @asynccontextmanager
    async def subscribe(self, after: Position | None = None) -> AsyncIterator[NatsSubscription]:
        with _told():
            stream = await self._stream()
            info = await stream.stream_info(self._place.stream)
            at, lost = _start(info, after)
            consumer = ConsumerConfig(
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=at + 1,
                ack_policy=AckPolicy.NONE,
                inactive_threshold=IDLE_CONSUMER_S,
                mem_storage=True,
                num_replicas=1,
            )
            pulled = await stream.pull_subscribe("", stream=self._place.stream, config=consumer)
        try:
            yield NatsSubscription(pulled, _birth(info), at, lost)
        finally:
            await _left(pulled)

    async def close(self) -> None:
        self._closed = True
        await self._drop()

    async def _say(self, stream: JetStreamContext, partition: int, hints: Sequence[Hint]) -> None:
        body = msgspec.msgpack.encode([(hint.namespace, hint.sequence) for hint in hints])
        name = hashlib.sha256(body).hexdigest()[:32]
        await stream.publish(f"{self._place.stream}.{partition}", body, timeout=ANSWER_S, headers={"Nats-Msg-Id": name})

    async def _stream(self) -> JetStreamContext:
        """A connection on which the stream is known to exist."""
        async with self._connecting:
            if self._closed:
                raise Unavailable(what="The message bus", reason="it was closed")
            if self._client is None or not self._client.is_connected:
                await self._drop()
                client = await self._connected()
                try:
                    await self._ensure(client.jetstream(timeout=ANSWER_S))
                except BaseException:
                    await client.close()
                    raise
                self._client = client
            return self._client.jetstream(timeout=ANSWER_S)

    async def _connected(self) -> Client:
        """A connection to one of the servers; every one of them is tried twice."""
        place = self._place
        options: dict[str, Any] = {"user": place.user, "password": place.password, "token": place.token}
        if place.credentials is not None:
            options["user_credentials"] = place.credentials
        if place.ca_file is not None:
            options["tls"] = ssl.create_default_context(cafile=place.ca_file)
        async with asyncio.timeout(START_S):
            return await nats.connect(
                list(place.servers),
                name="syncline",
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0.1,
                connect_timeout=CONNECT_S,
                ping_interval=10,
                max_outstanding_pings=2,
                error_cb=_unheard,
                **options,
            )

    async def _ensure(self, stream: JetStreamContext) -> None:
        """Makes the stream where there is none; one that is there keeps the bounds its operator gave it."""
        try:
            await stream.stream_info(self._place.stream)
        except NotFoundError:
            wanted = StreamConfig(
                name=self._place.stream,
                subjects=[f"{self._place.stream}.*"],
                max_age=KEPT_S,
                max_bytes=KEPT_MAX_BYTES,
                discard=DiscardPolicy.OLD,
                duplicate_window=DEDUPE_S,
                num_replicas=self._place.replicas,
            )
            try:
                await stream.add_stream(wanted)
            except BadRequestError:
                # Another process was first.
                await stream.stream_info(self._place.stream)

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None and not client.is_closed:
            await client.close()


class NatsSubscription:
    def __init__(self, pulled: JetStreamContext.PullSubscription, birth: str, at: int, lost: bool) -> None:
        self._pulled = pulled
        self._birth = birth
        self._at = at
        self._lost = lost

    @property
    def position(self) -> Position:
        return Position(f"{self._birth}/{self._at}")

    async def next(self, timeout_s: float) -> Delivery | None:
        if self._lost:
            self._lost = False
            return Delivery(hints=(), position=self.position, gap=True)
        with _told():
            try:
                async with asyncio.timeout(timeout_s + ANSWER_S):
                    messages = await self._pulled.fetch(MESSAGES_MAX, timeout=timeout_s)
            except NatsTimeoutError:
                await self._check()
                return None
        hints: list[Hint] = []
        gap = False
        for message in messages:
            at = message.metadata.sequence.stream
            gap = gap or at != self._at + 1
            self._at = at
            try:
                hints += (Hint(NamespaceId(namespace), sequence) for namespace, sequence in _HINTS.decode(message.data))
            except msgspec.DecodeError:
                # Somebody else's, or of another version: what it may have said is not known, and it must not stand in the way.
                gap = True
        return Delivery(hints=hints, position=self.position, gap=gap)

    async def _check(self) -> None:
        """Raises when silence means that nobody is there: the server forgot the consumer, or the connection broke."""
        await self._pulled.consumer_info()


def _start(info: StreamInfo, after: Position | None) -> tuple[int, bool]:
    """The stream sequence to go on after, and whether something before it is gone."""
    first, last = info.state.first_seq, info.state.last_seq
    if after is None:
        return last, False
    birth, _, text = after.rpartition("/")
    if not text.isascii() or not text.isdigit():
        raise InvalidRequest(message="This is no position of this bus")
    at = int(text)
    if birth != _birth(info) or at > last or at < first - 1:
        return max(0, first - 1), True
    return at, False


def _birth(info: StreamInfo) -> str:
    """Tells a stream from another of the same name that was made after it was lost."""
    return "" if info.created is None else str(info.created)


async def _left(pulled: JetStreamContext.PullSubscription) -> None:
    try:
        async with asyncio.timeout(_GRACE_S):
            await pulled.unsubscribe()
    except (NatsError, OSError, TimeoutError):
        # The connection is gone, and the subscription with it.
        return


async def _unheard(_error: Exception) -> None:
    """Whatever it is, the call that it fails says it too."""


@contextmanager
def _told() -> Iterator[None]:
    """What the library raises, as the port says it."""
    try:
        yield
    except (NatsError, OSError, TimeoutError) as error:
        raise Unavailable(what="The message bus", reason=str(error) or type(error).__name__) from error
