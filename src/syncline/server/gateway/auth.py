"""The guard: before a body is read, who asks is settled, by the token and by a live look at its device.

It stands before the route as `before_request`: Litestar copies a whole route for each of its own guards, at every request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from litestar import Request
from structlog.contextvars import bind_contextvars

from syncline.model.errors import Unauthenticated
from syncline.server.rooms.people import AccountsRoom

Guard: TypeAlias = Callable[[Request[Any, Any, Any]], Awaitable[None]]


def signed_in(accounts: AccountsRoom) -> Guard:
    """A guard that lets signed-in devices pass, and says to the route who they are. Raises `Unauthenticated`."""

    async def guard(request: Request[Any, Any, Any]) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated(reason="this needs an access token")
        session = await accounts.authenticate(token.strip())
        request.scope["user"] = session.caller
        request.scope["auth"] = session
        bind_contextvars(device=session.caller.device_id)

    return guard
