"""One session with a server: what every group of calls stands on, and its end."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from syncline.adapters.http.remote import HttpRemote
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.app.remote_files import RemoteFiles
from syncline.app.remote_past import RemotePast
from syncline.model.errors import Closed
from syncline.ports.clock import Ids

S = TypeVar("S", bound="AsyncSession")


class AsyncSession:
    """`spool` is where packs wait to be sent; without one a private temporary folder is made when it is needed."""

    def __init__(self, remote: HttpRemote, spool: Path | None) -> None:
        self._http = remote
        self._spool = spool
        self._temporary: Path | None = None
        self._closed = False
        self._clock = MachineClock()
        self._chance = MachineChance()
        self._tree = RemoteFiles(remote, Ids(self._clock, self._chance))

    async def __aenter__(self: S) -> S:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connections; the session itself stays good for its refresh token. Closing again does nothing. Whatever else is
        asked afterwards raises `Closed`."""
        if self._closed:
            return
        self._closed = True
        await self._http.close()
        if self._temporary is not None:
            await asyncio.to_thread(shutil.rmtree, self._temporary, ignore_errors=True)

    @property
    def refresh_token(self) -> str:
        """The one that is good now. It changes whenever the session is renewed, and the one before is good no more."""
        return self._http.tokens.refresh_token

    # -- For the groups of calls -----------------------------------------------------------------------------------------

    @property
    def _remote(self) -> HttpRemote:
        if self._closed:
            raise Closed
        return self._http

    @property
    def _files(self) -> RemoteFiles:
        if self._closed:
            raise Closed
        return self._tree

    @property
    def _past(self) -> RemotePast:
        return RemotePast(self._files, self._remote.past)

    def _key(self) -> str:
        """An Idempotency-Key for one intent."""
        return self._files.ids.fresh()

    def _spooling(self) -> Path:
        if self._spool is None:
            self._spool = self._temporary = Path(tempfile.mkdtemp(prefix="syncline-"))
        return self._spool
