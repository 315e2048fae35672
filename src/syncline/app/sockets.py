"""How WebSockets stand open: uvicorn's, without a peer that takes nothing, and without what weighs on those who only wait.

Most sockets of a server say nothing for hours, so each is worth making light: what the handshake left behind is let go, and what
is rarely needed is made when it is.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from syncline.server.gateway.sockets import READY

STUCK_MAX_S: Final = 30.0
"""A socket whose peer takes nothing of what is written to it for so long is broken off."""
_TEXT_FRAME: Final = b"\x81"


class BoundedSocket(WSProtocol):
    """One WebSocket."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queue = _Mail()  # type: ignore[assignment]
        self.writable = _Gate()  # type: ignore[assignment]
        self._stuck: asyncio.TimerHandle | None = None

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[READY] = self.writable.is_set

    async def send(self, message: Any) -> None:
        """Texts go out as frames without a detour: ten thousand may be due at once."""
        plain = self.handshake_complete and not self.close_sent and self.writable.is_set() and not self.transport.is_closing()
        text = message.get("text") if plain and message["type"] == "websocket.send" else None
        if text is not None:
            data = text.encode()
            self.transport.write(_TEXT_FRAME + _frame_size(len(data)) + data)
            return
        await super().send(message)
        if message["type"] == "websocket.accept":
            # Nothing looks at it again, and it is a seventh of a socket's memory.
            self.conn.handshake = _SHAKEN  # type: ignore[assignment]

    def pause_writing(self) -> None:
        super().pause_writing()
        # Whoever takes no answers is asked nothing more: each of its pings would bring one.
        self.transport.pause_reading()
        self._stuck = self.loop.call_later(STUCK_MAX_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._flows()
        if not self.read_paused:
            self.transport.resume_reading()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._flows()
        super().connection_lost(exc)

    def _flows(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None


class _Shaken:
    """A handshake that is over: what wsproto still asks of it."""

    def events(self) -> tuple[()]:
        return ()


_SHAKEN: Final = _Shaken()


class _Mail:
    """What `asyncio.Queue` does here, for one reader, at a tenth of its size. uvicorn reads on only when it is empty."""

    __slots__ = ("_items", "_waiter")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._waiter: asyncio.Future[None] | None = None

    def put_nowait(self, item: Any) -> None:
        self._items.append(item)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> Any:
        while not self._items:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._items.pop(0)

    def empty(self) -> bool:
        return not self._items


class _Gate:
    """What `asyncio.Event` does here; it stands open nearly always."""

    __slots__ = ("_shut",)

    def __init__(self) -> None:
        self._shut: asyncio.Event | None = None

    def set(self) -> None:
        if self._shut is not None:
            self._shut.set()
            self._shut = None

    def clear(self) -> None:
        if self._shut is None:
            self._shut = asyncio.Event()

    def is_set(self) -> bool:
        return self._shut is None

    async def wait(self) -> bool:
        while self._shut is not None:
            await self._shut.wait()
        return True


def _frame_size(size: int) -> bytes:
    """As a frame without a mask says it (RFC 6455, 5.2)."""
    if size < 126:
        return size.to_bytes(1)
    return b"\x7e" + size.to_bytes(2) if size < 1 << 16 else b"\x7f" + size.to_bytes(8)
