"""The asking end: `ports.carrier.Carrier` over gRPC, to the peers of one role.

Laws: a question goes to one peer at a time, over a connection that stands already, so one that could not be sent was not sent, and
the next peer is asked; one that may have arrived is asked again only where that does no harm. A peer that fails is left out at once
(`ring`). A peer that is going, or busy, says that it did nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import grpc
import structlog
from structlog.contextvars import get_contextvars

from syncline.adapters.peers import wire
from syncline.adapters.peers.names import Address, Names
from syncline.adapters.peers.proof import Proof
from syncline.adapters.peers.ring import Peer, Ring
from syncline.adapters.peers.secure import Tls
from syncline.model.errors import LimitExceeded, SynclineError, TooBusy, Unavailable
from syncline.ports.clock import Chance, Clock
from syncline.ports.tracer import TRACEPARENT

CONNECT_S: Final = 1.0
"""How long a connection may take before another peer is asked."""
ATTEMPT_S: Final = 20.0
"""How long one peer may take over a question that may be asked again, if there is another one …"""
LASTING_S: Final = 120.0
"""… and that is not one that waits for something, which has longer than this."""
MEND_EVERY_S: Final = 0.1
LOOK_UP_EVERY_S: Final = 10.0
LOOK_AGAIN_S: Final = 1.0
ATTEMPTS_MAX: Final = 4

log: Final[Any] = structlog.get_logger("syncline.peers")


class _Lost(Exception):
    """It is not known what became of the question."""


class _NotAsked(Exception):
    """The peer did nothing."""


class PeerCarrier:
    """`role` is for messages. Use it as a context manager."""

    def __init__(
        self, role: str, addresses: Sequence[tuple[str, int]], proof: Proof, clock: Clock, chance: Chance, *, tls: Tls | None = None
    ) -> None:
        self._role = role
        self._names = Names(addresses)
        self._proof = proof
        self._clock = clock
        self._tls = tls
        self._ring: Ring[Any] = Ring(clock, chance)
        self._tasks: list[asyncio.Task[None]] = []
        self._looked_s = 0.0
        self._closing = set[asyncio.Task[None]]()

    async def __aenter__(self) -> PeerCarrier:
        await self._look()
        self._tasks = [asyncio.create_task(_for_ever(work, every_s, self._role)) for work, every_s in self._work()]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in self._ring.peers:
            await peer.link.close()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def call(self, address: str, question: bytes, *, again: bool, within_s: float) -> bytes:
        """As `ports.carrier.Carrier` has it."""
        if len(question) > wire.MESSAGE_MAX_BYTES:
            raise LimitExceeded(what="The body", limit=wire.MESSAGE_MAX_BYTES)
        end_s = self._clock.monotonic_s() + within_s
        peers = self._ring.order()
        busy = False
        for number, peer in enumerate(peers[:ATTEMPTS_MAX]):
            left_s = end_s - self._clock.monotonic_s()
            if left_s <= 0:
                break
            if again and within_s < LASTING_S and number + 1 < len(peers):
                left_s = min(left_s, ATTEMPT_S)
            try:
                answer = await self._ask(peer, address, question, left_s)
            except _NotAsked:
                continue
            except TooBusy:
                busy = True
                continue
            except _Lost:
                if again:
                    continue
                raise Unavailable(what=f"The answer of the {self._role} role", retry_after=1) from None
            self._ring.worked(peer)
            return answer
        if busy:
            raise TooBusy(retry_after=1)
        raise Unavailable(what=f"The {self._role} role", retry_after=1)

    async def _ask(self, peer: Peer[Any], address: str, question: bytes, left_s: float) -> bytes:
        """Raises `_NotAsked`, `_Lost`, `TooBusy`, `LimitExceeded`."""
        await self._connected(peer, min(left_s, CONNECT_S))
        proof = self._proof.ask(address, question)
        given = [(wire.PROOF, proof), (wire.REQUEST_ID, str(get_contextvars().get("request_id", "")))]
        if trace := TRACEPARENT.get():
            given.append((wire.TRACE, trace))
        call = peer.link.unary_unary(wire.method_of(address))(question, timeout=left_s, metadata=tuple(given))
        try:
            answer: bytes = await call
            answered = dict(await call.trailing_metadata()).get(wire.PROOF, "")
        except grpc.aio.AioRpcError as error:
            raise self._failure(peer, address, error) from None
        if not self._proof.is_answer(proof, answer, str(answered)):
            self._ring.failed(peer)
            log.error("answer of a stranger", role=self._role, peer=peer.name)
            raise _Lost
        return answer

    async def _connected(self, peer: Peer[Any], within_s: float) -> None:
        """Raises `_NotAsked`."""
        if peer.link.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY:
            return
        try:
            async with asyncio.timeout(within_s):
                while (state := peer.link.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
                    if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                        raise TimeoutError
                    await peer.link.wait_for_state_change(state)
        except TimeoutError:
            self._leave_out(peer, "no connection")
            raise _NotAsked from None

    def _failure(self, peer: Peer[Any], address: str, error: Any) -> Exception:
        """What a failed call means for its question."""
        status, untouched = error.code(), wire.UNTOUCHED in dict(error.trailing_metadata() or ())
        if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return TooBusy(retry_after=1) if untouched else LimitExceeded(what="The message", limit=wire.MESSAGE_MAX_BYTES)
        if status is grpc.StatusCode.UNIMPLEMENTED:
            log.error("peer without this room", role=self._role, peer=peer.name, room=address)
            self._leave_out(peer, "it is of another role")
            return _NotAsked()
        self._leave_out(peer, status.name.lower())
        if status is grpc.StatusCode.UNAUTHENTICATED:
            log.error("peer refused us", role=self._role, peer=peer.name, reason=error.details())
        return _NotAsked() if untouched else _Lost()

    def _leave_out(self, peer: Peer[Any], why: str) -> None:
        if not peer.failures:
            log.warning("peer left out", role=self._role, peer=peer.name, why=why)
        self._ring.failed(peer)

    # -- Who the peers are ---------------------------------------------------------------------------------------------------

    def _work(self) -> Sequence[tuple[Callable[[], Awaitable[None]], float]]:
        return ((self._look, LOOK_UP_EVERY_S), (self._mend, MEND_EVERY_S))

    async def check(self) -> None:
        """Raises `Unavailable` unless a peer takes questions."""
        await self.call(wire.READY, b"", again=True, within_s=CONNECT_S)

    async def _mend(self) -> None:
        """Asks those that were left out and are due again whether they are back, so that no question of anybody's has to. Where
        nobody is known, names that could not be looked up before may be by now."""
        now_s = self._clock.monotonic_s()
        if not self._ring.peers and now_s - self._looked_s >= LOOK_AGAIN_S:
            await self._look()
        await asyncio.gather(*(self._try(peer) for peer in self._ring.due()))

    async def _try(self, peer: Peer[Any]) -> None:
        try:
            await self._ask(peer, wire.READY, b"", CONNECT_S)
        except (_NotAsked, _Lost):
            return
        except SynclineError:
            # It is there, and busy.
            log.info("peer is busy", role=self._role, peer=peer.name)
        else:
            log.warning("peer is back", role=self._role, peer=peer.name)
        self._ring.worked(peer)

    async def _look(self) -> None:
        self._looked_s = self._clock.monotonic_s()
        known = {peer.name: peer for peer in self._ring.peers}
        found = {address.target: address for address in await self._names.look_up()}
        self._ring.set(known.get(name) or Peer(name, self._channel(address)) for name, address in found.items())
        for name in known.keys() - found.keys():
            # Calls under way on it end by themselves first.
            closing = asyncio.create_task(known[name].link.close(grace=ATTEMPT_S))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _channel(self, address: Address) -> Any:
        options: list[tuple[str, Any]] = [*wire.options(), ("grpc.use_local_subchannel_pool", 1)]
        if self._tls is None:
            return grpc.aio.insecure_channel(address.target, options=options)
        named = [*options, ("grpc.ssl_target_name_override", address.host), ("grpc.default_authority", address.host)]
        return grpc.aio.secure_channel(address.target, self._tls.for_client(), options=named)


async def _for_ever(work: Callable[[], Awaitable[None]], every_s: float, role: str) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await work()
        except SynclineError as error:
            log.warning("looking after peers failed", role=role, code=error.code)
        except Exception as error:  # noqa: BLE001 - the supervisor of a task that must outlive a bad round
            log.error("looking after peers failed", role=role, kind=type(error).__name__)
