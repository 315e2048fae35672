"""What commands ask of the server: one client in this device's session, for as long as a question takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from syncline.sdk import AsyncClient

T = TypeVar("T")


def ask(work: Callable[[AsyncClient], Awaitable[T]]) -> T:
    """What `work(client)` answers. Raises `NotLoggedIn`, and whatever the client raises."""
    # Here, so that commands which ask nobody start without it.
    from syncline.sdk import AsyncClient

    async def asked() -> T:
        async with AsyncClient.from_home() as client:
            return await work(client)

    return asyncio.run(asked())
