"""Answers made while they are sent. One that cannot be finished breaks its connection, so that no reader takes a part for the
whole; a peer that stalls is let go.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

import structlog
from litestar import Response

from syncline.model.errors import SynclineError
from syncline.model.limits import KIB, TRANSFER_STALL_S

SEND_BYTES: Final = 256 * KIB
"""What is handed to a connection at once: it must take so much within `TRANSFER_STALL_S`."""

log: Final[Any] = structlog.get_logger("syncline.gateway")


class Streamed(Response[bytes]):
    """An answer of pieces. Its head waits for the first of them, so that what fails before is still answered as a problem."""

    def __init__(self, pieces: AsyncGenerator[bytes, None], media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(b"", media_type=media_type, headers=headers)
        self._pieces = pieces

    def to_asgi_response(self, app: Any, request: Any, **options: Any) -> Any:
        fields = {**dict(self.headers), "content-type": str(self.media_type)}
        return _Stream(self._pieces, [(name.encode(), value.encode()) for name, value in fields.items()])


class _Stream:
    def __init__(self, pieces: AsyncGenerator[bytes, None], headers: list[tuple[bytes, bytes]]) -> None:
        self._pieces = pieces
        self._headers = headers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        leaving = asyncio.ensure_future(_left(receive))
        begun = False
        try:
            async with aclosing(self._pieces) as pieces:
                async for piece in pieces:
                    if not begun:
                        begun = True
                        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
                    for at in range(0, len(piece), SEND_BYTES):
                        if leaving.done():
                            return
                        async with asyncio.timeout(TRANSFER_STALL_S):
                            part = piece[at : at + SEND_BYTES]
                            await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except SynclineError as error:
            if not begun:
                raise
            log.error("stream failed", request_id=scope.get("syncline.request_id", ""), code=error.code)
            raise ConnectionAbortedError("the rest cannot be read") from error
        finally:
            leaving.cancel()


async def _left(receive: Any) -> None:
    """Returns when the peer has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
