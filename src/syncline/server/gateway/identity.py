"""Routes: who one is. Signing in, renewing, devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from syncline.model.ids import DeviceId
from syncline.protocol.sessions import Devices, Me, RefreshRequest, TokenAnswer, TokenRequest
from syncline.server.gateway.auth import signed_in
from syncline.server.gateway.services import Services
from syncline.server.gateway.wire import Asked


def routes(services: Services) -> Sequence[HTTPRouteHandler]:
    accounts = services.accounts
    guard = signed_in(accounts)

    @post("/v1/auth/token", status_code=200, tags=["identity"], security=[{}])
    async def sign_in(request: Asked, data: JSONBody[TokenRequest]) -> TokenAnswer:
        """Links a new device: tokens for an e-mail address and a password."""
        return await accounts.sign_in(data, request.address)

    @post("/v1/auth/refresh", status_code=200, tags=["identity"], security=[{}])
    async def refresh(data: JSONBody[RefreshRequest]) -> TokenAnswer:
        """A fresh pair of tokens; the refresh token sent ends with it."""
        return await accounts.refresh(data.refresh_token)

    @get("/.well-known/jwks.json", tags=["identity"], security=[{}])
    async def jwks() -> dict[str, Any]:
        """The public keys that access tokens are signed with."""
        return await accounts.jwks()

    @get("/v1/me", before_request=guard, tags=["identity"])
    async def me(request: Asked) -> Me:
        """The account and device of the access token."""
        session, usage = request.auth, await services.metadata.usage(request.user)
        return Me(
            user_id=session.caller.user_id,
            email=session.email,
            name=session.name,
            device_id=session.caller.device_id,
            device_name=session.device_name,
            root_namespace=session.root_namespace,
            server_id=await accounts.server_id(),
            quota_bytes=usage.quota_bytes,
            used_bytes=usage.used_bytes,
        )

    @get("/v1/devices", before_request=guard, tags=["identity"])
    async def devices(request: Asked) -> Devices:
        """The devices linked to the account."""
        return await accounts.devices(request.user)

    @delete("/v1/devices/{device_id:str}", before_request=guard, tags=["identity"])
    async def unlink(request: Asked, device_id: FromPath[str]) -> None:
        """Unlinks a device: its tokens and open connections end."""
        await accounts.unlink(request.user, DeviceId(device_id))

    return [sign_in, refresh, jwks, me, devices, unlink]
