"""A server's data directory, a device's home and its folder, brought into sync by the real parts in this process."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from syncline.app.device import Device
from syncline.app.home import ROOT_ID_FILE, Home, Link
from syncline.app.session import sign_in
from syncline.client.status import State
from tests.server import PASSWORD, RunningServer, running_server

EMAIL = "ada@example.org"
ROOT_ID = "01J00000000000000000000R1D"


def noise(name: str, size: int) -> bytes:
    """Bytes that do not compress, the same at each call."""
    return hashlib.shake_128(name.encode()).digest(size)


FILES = {
    "letter.txt": b"dear reader\n" * 40,
    "docs/plan.md": b"# plan\n" * 300,
    "docs/copy.md": b"# plan\n" * 300,
    "docs/deep/film.bin": noise("film", 3_000_000),
    "empty": b"",
    "gone.txt": b"soon deleted\n",
}


class SyncedWorld:
    """`data` is the server's, `home` and `folder` the device's. Nothing runs between calls."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "data"
        self.folder = root / "folder"
        self.home = Home(root / "home")

    def make(self) -> SyncedWorld:
        """Files of several kinds, one edited, one deleted, all in sync."""
        asyncio.run(self._make())
        return self

    async def _make(self) -> None:
        for name, content in FILES.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (self.folder / ROOT_ID_FILE).parent.mkdir(mode=0o700)
        (self.folder / ROOT_ID_FILE).write_text(f"{ROOT_ID}\n")
        async with running_server(self.root) as server:
            await server.add_user(EMAIL)
            self.home.save_credentials(await sign_in(server.url, EMAIL, PASSWORD, "laptop"))
            self.home.save_link(Link(folder=str(self.folder), remote="/", root_id=ROOT_ID))
            await self.sync()
            (self.folder / "letter.txt").write_bytes(b"dear reader, once more\n" * 40)
            (self.folder / "gone.txt").unlink()
            await self.sync()

    async def sync(self) -> None:
        """Until in sync. A server must be running."""
        with self.home.lock():
            device = await Device.open(self.home, once=True)
            try:
                status = await device.sync_once()
            finally:
                await device.close()
        assert status.state is State.IN_SYNC, status

    @asynccontextmanager
    async def served(self) -> AsyncIterator[RunningServer]:
        """The server again, at the address the device knows."""
        async with running_server(self.root, listen=self.home.credentials().server.removeprefix("http://")) as server:
            yield server
