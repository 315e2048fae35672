"""The guard: before a body is read, who asks is settled, by the token and by a live look at its device."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from syncline.model.errors import Unauthenticated
from syncline.server.accounts.sessions import Accounts

Guard: TypeAlias = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]


def signed_in(accounts: Accounts) -> Guard:
    """A guard that lets signed-in devices pass, and says to the route who they are. Raises `Unauthenticated`."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated(reason="this needs an access token")
        session = await accounts.authenticate(token.strip())
        connection.scope["user"] = session.caller
        connection.scope["auth"] = session

    return guard
