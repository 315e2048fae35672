"""The way to the server for one home: a remote whose rotated tokens are kept in the home's credentials.

The daemon and the command line share one session, so renewing it is done by one process at a time, and the others take over what
it brought. A password is used once, at `sign_in`, and kept nowhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec

from syncline.adapters.http.caller import Tokens
from syncline.adapters.http.login import login
from syncline.adapters.http.remote import HttpRemote
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.app.home import Credentials, Home
from syncline.model.errors import NotLoggedIn
from syncline.model.ids import DeviceId

RENEWAL_LOOK_EVERY_S = 0.05


def connect(home: Home, credentials: Credentials) -> HttpRemote:
    """The server of `credentials`, in their session. To be closed by the caller."""
    return HttpRemote(
        credentials.server,
        _tokens(credentials),
        _keeper(home, credentials.device_id),
        MachineClock(),
        MachineChance(),
        renewal=_renewal(home),
    )


@asynccontextmanager
async def connected(home: Home) -> AsyncIterator[HttpRemote]:
    """`connect`, closed at the end. Raises `NotLoggedIn`."""
    remote = connect(home, home.credentials())
    try:
        yield remote
    finally:
        await remote.close()


async def sign_in(server: str, email: str, password: str, device_name: str) -> Credentials:
    """Credentials of a new device at `server`. Raises `WrongPassword`, `Unavailable`."""
    answer, me = await login(server, email, password, device_name, MachineClock(), MachineChance())
    return Credentials(
        server=server,
        server_id=me.server_id,
        email=me.email,
        user_id=me.user_id,
        device_id=me.device_id,
        device_name=me.device_name,
        root_namespace=me.root_namespace,
        refresh_token=answer.refresh_token,
        access_token=answer.access_token,
    )


def _tokens(credentials: Credentials) -> Tokens:
    return Tokens(refresh_token=credentials.refresh_token, access_token=credentials.access_token)


def _keeper(home: Home, device: DeviceId) -> Callable[[Tokens], None]:
    """Keeps rotated tokens, unless the home has been signed out or in anew since."""

    def keep(tokens: Tokens) -> None:
        known = home.credentials()
        if known.device_id != device:
            raise NotLoggedIn
        home.save_credentials(msgspec.structs.replace(known, refresh_token=tokens.refresh_token, access_token=tokens.access_token))

    return keep


def _renewal(home: Home) -> Callable[[Tokens], AbstractAsyncContextManager[Tokens]]:
    @asynccontextmanager
    async def renewal(_: Tokens) -> AsyncIterator[Tokens]:
        lock = home.renewal_lock()
        while lock is None:
            await asyncio.sleep(RENEWAL_LOOK_EVERY_S)
            lock = home.renewal_lock()
        with lock:
            yield _tokens(home.credentials())

    return renewal
