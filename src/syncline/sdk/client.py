"""`AsyncClient` and `Client`: all groups of calls in one, and the ways in. `Client` has the same calls, and waits for them."""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import update_wrapper
from os import PathLike
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from syncline.adapters.http import HttpRemote, Tokens, login
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.app.home import Home
from syncline.app.session import connect
from syncline.sdk.content import AsyncContent
from syncline.sdk.following import AsyncFollowing
from syncline.sdk.loop import LoopThread
from syncline.sdk.past import AsyncPast
from syncline.sdk.session import AsyncSession
from syncline.sdk.sharing import AsyncSharing
from syncline.sdk.views import AsyncViews

DEVICE_NAME: Final = "Python"

P = ParamSpec("P")
T = TypeVar("T")
OnTokens = Callable[[Tokens], None]


class AsyncClient(AsyncContent, AsyncFollowing, AsyncPast, AsyncSharing, AsyncViews):
    """A session with a Syncline server, without a synced folder. `async with` closes it.

    Every call has time limits, and is tried again where that is safe; then it raises `Unavailable`. Several calls may run at once.
    """

    def __init__(self, url: str, *, refresh_token: str, on_tokens: OnTokens) -> None:
        """Goes on in a session that was begun before. A refresh token is good once: `on_tokens` is called with the next one, on the
        event loop, and has to keep it durably before it returns. One process at a time may use a session; those of one device share
        it by `from_home`."""
        self._begin(url, Tokens(refresh_token=refresh_token), on_tokens)

    @classmethod
    async def sign_in(
        cls, url: str, email: str, password: str, *, device_name: str = DEVICE_NAME, on_tokens: OnTokens | None = None
    ) -> AsyncClient:
        """Signs in as a new device of the account: it is listed under that name, and can be unlinked alone. The password is kept
        nowhere. Without `on_tokens`, which is called with the first tokens too, the session cannot be gone on with by another
        process. Raises `WrongPassword`, `Unavailable`."""
        answer, _ = await login(url, email, password, device_name, MachineClock(), MachineChance())
        tokens = Tokens(refresh_token=answer.refresh_token, access_token=answer.access_token)
        keep = on_tokens or _not_kept
        keep(tokens)
        client = cls.__new__(cls)
        client._begin(url, tokens, keep)
        return client

    @classmethod
    def from_home(cls, path: str | PathLike[str] | None = None) -> AsyncClient:
        """The session of this machine's device, as `syncline login` began it, shared with the command line and the engine. `path`
        is its home; else `$SYNCLINE_HOME`, else the platform's folder. Raises `NotLoggedIn`, `LocalIo`."""
        home = Home.from_environment() if path is None else Home(str(path))
        client = cls.__new__(cls)
        AsyncSession.__init__(client, connect(home, home.credentials()), home.put_spool)
        return client

    def _begin(self, url: str, tokens: Tokens, on_tokens: OnTokens) -> None:
        AsyncSession.__init__(self, HttpRemote(url, tokens, on_tokens, MachineClock(), MachineChance()), None)


def _not_kept(_: Tokens) -> None:
    """The session ends with this process."""


# -- The same, waiting -----------------------------------------------------------------------------------------------------------


class _Waiting:
    """An `AsyncClient` on a loop thread of its own."""

    _client: AsyncClient
    _thread: LoopThread


def waiting(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Any, P], T]:
    """The call of that name, which waits for the answer."""

    def call(self: _Waiting, /, *args: P.args, **options: P.kwargs) -> T:
        return self._thread.run(lambda: method(self._client, *args, **options))

    update_wrapper(call, method)
    return call


def stepping(
    method: Callable[Concatenate[Any, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[Any, P], Generator[T, None, None]]:
    """The iterator of that name, which waits for each item."""

    def call(self: _Waiting, /, *args: P.args, **options: P.kwargs) -> Generator[T, None, None]:
        return self._thread.iterate(lambda: method(self._client, *args, **options))

    update_wrapper(call, method)
    return call


class Client(_Waiting):
    """`AsyncClient` for programs without an event loop. `with` closes it; it may be used from several threads, each iterator by one
    at a time. Callbacks are called on a thread of its own. An interpreter that ends does not wait for it."""

    def __init__(self, url: str, *, refresh_token: str, on_tokens: OnTokens) -> None:
        """Goes on in a session that was begun before: see `AsyncClient`."""
        self._start(AsyncClient(url, refresh_token=refresh_token, on_tokens=on_tokens))

    @classmethod
    def sign_in(
        cls, url: str, email: str, password: str, *, device_name: str = DEVICE_NAME, on_tokens: OnTokens | None = None
    ) -> Client:
        """Signs in as a new device of the account: see `AsyncClient.sign_in`. Raises `WrongPassword`, `Unavailable`."""

        async def nothing() -> None:
            """There is nothing to close yet."""

        thread = LoopThread(nothing)
        try:
            made = thread.run(lambda: AsyncClient.sign_in(url, email, password, device_name=device_name, on_tokens=on_tokens))
        finally:
            thread.close()
        return cls._of(made)

    @classmethod
    def from_home(cls, path: str | PathLike[str] | None = None) -> Client:
        """The session of this machine's device: see `AsyncClient.from_home`. Raises `NotLoggedIn`, `LocalIo`."""
        return cls._of(AsyncClient.from_home(path))

    @classmethod
    def _of(cls, made: AsyncClient) -> Client:
        client = cls.__new__(cls)
        client._start(made)
        return client

    def _start(self, made: AsyncClient) -> None:
        self._client = made
        self._thread = LoopThread(made.close)
        # One that was dropped unclosed ends too, without anybody waiting for it.
        weakref.finalize(self, self._thread.close, 0.0).atexit = False

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections, and with `Closed` every call that still waits. Closing again does nothing."""
        self._thread.close()

    @property
    def refresh_token(self) -> str:
        """The one that is good now: see `AsyncClient.refresh_token`."""
        return self._client.refresh_token

    me = waiting(AsyncClient.me)
    devices = waiting(AsyncClient.devices)
    unlink_device = waiting(AsyncClient.unlink_device)

    stat = waiting(AsyncClient.stat)
    exists = waiting(AsyncClient.exists)
    list = waiting(AsyncClient.list)
    walk = stepping(AsyncClient.walk)
    mkdir = waiting(AsyncClient.mkdir)
    move = waiting(AsyncClient.move)
    copy = waiting(AsyncClient.copy)
    delete = waiting(AsyncClient.delete)

    upload = waiting(AsyncClient.upload)
    upload_all = waiting(AsyncClient.upload_all)
    upload_bytes = waiting(AsyncClient.upload_bytes)
    download = waiting(AsyncClient.download)
    read = waiting(AsyncClient.read)
    stream = stepping(AsyncClient.stream)

    updates = waiting(AsyncClient.updates)
    cursor = waiting(AsyncClient.cursor)
    changes = waiting(AsyncClient.changes)
    follow = stepping(AsyncClient.follow)

    history = waiting(AsyncClient.history)
    restore = waiting(AsyncClient.restore)
    trash = stepping(AsyncClient.trash)
    undelete = waiting(AsyncClient.undelete)
    purge = waiting(AsyncClient.purge)
    purge_all = waiting(AsyncClient.purge_all)
    retention = waiting(AsyncClient.retention)
    rewind = waiting(AsyncClient.rewind)
    undo = waiting(AsyncClient.undo)

    share = waiting(AsyncClient.share)
    share_all = waiting(AsyncClient.share_all)
    unshare = waiting(AsyncClient.unshare)
    shared = waiting(AsyncClient.shared)
    shared_with = waiting(AsyncClient.shared_with)
    shared_folder = waiting(AsyncClient.shared_folder)
    accept = waiting(AsyncClient.accept)
    decline = waiting(AsyncClient.decline)
    leave = waiting(AsyncClient.leave)
    mount = waiting(AsyncClient.mount)
    unmount = waiting(AsyncClient.unmount)

    create_link = waiting(AsyncClient.create_link)
    links = waiting(AsyncClient.links)
    revoke_link = waiting(AsyncClient.revoke_link)
    revoke_links = waiting(AsyncClient.revoke_links)

    search = waiting(AsyncClient.search)
    usage = waiting(AsyncClient.usage)
    activity = waiting(AsyncClient.activity)
