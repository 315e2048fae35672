"""The answering end: questions of other processes, proven, bounded, and answered by whoever keeps the address.

Laws: an unproven question is refused before it is looked at; at most `CALLS_AT_ONCE` are worked on at once, beside those that wait
for something; once the process is going, each new one is refused untouched, so that it is asked of somebody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import grpc
import structlog
from structlog.contextvars import bound_contextvars

from syncline.adapters.peers import wire
from syncline.adapters.peers.proof import Proof
from syncline.adapters.peers.secure import Tls
from syncline.model.errors import LocalIo, Unauthenticated
from syncline.ports.tracer import TRACEPARENT

CALLS_AT_ONCE: Final = 1024
Answering: TypeAlias = Callable[[bytes], Awaitable[bytes]]

log: Final[Any] = structlog.get_logger("syncline.peers")


@asynccontextmanager
async def answered(
    listen: tuple[str, int],
    keepers: Mapping[str, Answering],
    proof: Proof,
    *,
    tls: Tls | None,
    ending: asyncio.Event,
    drain_s: float,
    lasting: Collection[str] = (),
) -> AsyncIterator[int]:
    """Answers at `listen` until the block ends, which waits `drain_s` for what is under way. `keepers` by address; those in
    `lasting` may wait long. The port it listens on. Raises `LocalIo`."""
    server = grpc.aio.server(options=wire.options())
    server.add_generic_rpc_handlers((_Doors({wire.READY: _ready, **keepers}, proof, ending, frozenset(lasting)),))
    host, port = listen
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        port = server.add_secure_port(where, tls.for_server()) if tls is not None else server.add_insecure_port(where)
    except RuntimeError as error:
        raise LocalIo(path=where, reason="it cannot be listened on; is another process there?") from error
    await server.start()
    try:
        yield port
    finally:
        await server.stop(drain_s)


async def _ready(_question: bytes) -> bytes:
    return b""


class _Doors(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, keepers: Mapping[str, Answering], proof: Proof, ending: asyncio.Event, lasting: frozenset[str]) -> None:
        self._handlers = {
            wire.method_of(address): grpc.unary_unary_rpc_method_handler(self._handler(address, keeper, address in lasting))
            for address, keeper in keepers.items()
        }
        self._proof = proof
        self._ending = ending
        self._at_work = 0

    def service(self, handler_call_details: Any) -> Any:
        return self._handlers.get(handler_call_details.method)

    def _handler(self, address: str, keeper: Answering, lasting: bool) -> Any:
        async def handle(question: bytes, context: Any) -> bytes:
            given = dict(context.invocation_metadata())
            proof = str(given.get(wire.PROOF, ""))
            if self._ending.is_set():
                await self._refuse(context, grpc.StatusCode.UNAVAILABLE, "going")
            if not lasting and self._at_work >= CALLS_AT_ONCE:
                await self._refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")
            try:
                self._proof.check(address, question, proof)
            except Unauthenticated as error:
                log.warning("question refused", room=address, reason=error.fields["reason"])
                await self._refuse(context, grpc.StatusCode.UNAUTHENTICATED, str(error.fields["reason"]))
            self._at_work += not lasting
            try:
                TRACEPARENT.set(str(given.get(wire.TRACE, "")))
                with bound_contextvars(request_id=str(given.get(wire.REQUEST_ID, ""))):
                    answer = await keeper(question)
            finally:
                self._at_work -= not lasting
            context.set_trailing_metadata(((wire.PROOF, self._proof.answer(proof, answer)),))
            return answer

        return handle

    async def _refuse(self, context: Any, status: grpc.StatusCode, why: str) -> None:
        """Ends the call: `abort` raises."""
        await context.abort(status, why, ((wire.UNTOUCHED, "1"),))
