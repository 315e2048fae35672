"""A crowd in a database: people with many devices each, all members of one shared folder, and a real server on it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.sql.schema import devices, members
from syncline.adapters.sql.stores import open_stores
from syncline.app.data import DataDirectory
from syncline.model.ids import DeviceId, NamespaceId, UserId
from syncline.ports.account_store import User
from syncline.ports.clock import Ids
from syncline.server.accounts.tokens import AccessTokens, signing_keys
from syncline.server.metadata.cursors import Cursor, CursorCodec

READY = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")
READY_S = 60.0
RESTING = 0.15
"""The share of a core that a server uses which has nothing to do but to look at those who wait."""


@dataclass(frozen=True)
class Seat:
    """One device: its token, and its cursors in its own root and in the folder everybody shares."""

    token: str
    cursors: tuple[str, str]


@dataclass
class Crowd:
    data: Path
    owner: str
    """The owner's access token."""
    folder: NamespaceId
    """The folder everybody shares."""
    small: NamespaceId
    """The folder that a hundred people share."""
    private: NamespaceId
    """The owner's own root."""
    seats: list[Seat]
    """Of `folder` and the person's root."""
    few: list[Seat]
    """Of `small`, one a person."""
    alone: Seat
    """Of the owner's root."""


async def gathered(data: Path, people: int, each: int) -> Crowd:
    """`people` with `each` devices."""
    clock, chance = MachineClock(), MachineChance()
    ids = Ids(clock, chance)
    place = DataDirectory.open(data.resolve(), chance, ids)
    stores = await open_stores(place.database)
    try:
        tokens = AccessTokens(signing_keys(place.keys.signing_keys()), await stores.accounts.server_id(), clock, ids)
        codec = CursorCodec(place.keys.secret("cursors"))
        crowd = [
            User(
                id=UserId(ids.fresh()),
                email=f"p{number}@example.org",
                name="",
                password_hash="",
                root_namespace=NamespaceId(ids.fresh()),
                created_us=clock.now_us(),
            )
            for number in range(people)
        ]
        folder, small = (_folder(ids, f"shared {number}") for number in range(2))
        for user in (*crowd, folder, small):
            await stores.accounts.add_user(user)
        linked = [(user, DeviceId(ids.fresh())) for user in crowd for _ in range(each)]

        def fill(connection: Connection) -> None:
            connection.execute(insert(devices), [_device(user, device) for user, device in linked])
            joined = [(space, user) for space in (folder, small) for user in crowd if space is folder or user in crowd[:100]]
            connection.execute(insert(members), [_member(space.root_namespace, user.id) for space, user in joined])

        await stores.database.write(fill)
        heads = {head.namespace: head for user in (*crowd, small) for head in await stores.metadata.heads(user.id)}

        def seat(user: User, device: DeviceId, *spaces: NamespaceId) -> Seat:
            cursors = [codec.encode(_at(heads[space]), user.id) for space in spaces]
            return Seat(tokens.issue(user.id, device), (cursors[0], cursors[-1]))

        owner = crowd[0]
        first = {user.id: device for user, device in reversed(linked)}
        return Crowd(
            data=data,
            owner=tokens.issue(owner.id, first[owner.id]),
            folder=folder.root_namespace,
            small=small.root_namespace,
            private=owner.root_namespace,
            seats=[seat(user, device, user.root_namespace, folder.root_namespace) for user, device in linked],
            few=[seat(user, first[user.id], small.root_namespace) for user in crowd[:100]],
            alone=seat(owner, first[owner.id], owner.root_namespace),
        )
    finally:
        await stores.close()


def _folder(ids: Ids, name: str) -> User:
    """A namespace comes with a person: nobody signs in as this one."""
    return User(
        id=UserId(ids.fresh()),
        email=f"{name.replace(' ', '')}@example.org",
        name=name,
        password_hash="",
        root_namespace=NamespaceId(ids.fresh()),
        created_us=1,
    )


def _device(user: User, device: DeviceId) -> dict[str, Any]:
    return {
        "device_id": device,
        "user_id": user.id,
        "name": "d",
        "refresh_hash": device,
        "created_us": 1,
        "last_seen_us": user.created_us,
    }


def _member(namespace: NamespaceId, user: UserId) -> dict[str, Any]:
    return {"namespace_id": namespace, "user_id": user, "access": "write", "since_us": 1}


def _at(head: Any) -> Cursor:
    return Cursor(head.namespace, head.epoch, head.sequence, head.chain)


class Running:
    """`syncline serve` on a crowd's data, in a process of its own."""

    def __init__(self, data: Path) -> None:
        self._log = data.parent / "server.log"
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "syncline.cli.main", "serve", "--data", str(data), "--listen", "127.0.0.1:0"]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self.port = 0

    async def ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while (found := READY.search(self._log.read_text())) is None:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {self._log.read_text()[-2000:]}")
            await asyncio.sleep(0.05)
        self.port = int(found[1])

    def resident_kib(self) -> int:
        """Memory of its own that the process has in use."""
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines())
        return int(fields["VmRSS"].split()[0])

    def cpu_s(self) -> float:
        """User and system seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def rests(self) -> None:
        """Until it has done all it was asked: it uses next to no processor time any more."""
        quiet = 0
        while quiet < 3:
            before = self.cpu_s()
            await asyncio.sleep(1)
            quiet = quiet + 1 if self.cpu_s() - before < RESTING else 0

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def body(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
