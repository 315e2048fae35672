from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.synced_world import SyncedWorld

from syncline.app.verifying import verify_here
from syncline.client.verify.report import Finding, Progress, Report


class DeviceAtRest:
    """A device whose engine has ended, in sync: to be damaged, and checked from what it left behind.

    Before a check its state file is dated an hour ahead, as if the engine had gone on looking for so long: everything on the disk
    is then older than the device's last look.
    """

    def __init__(self, world: SyncedWorld) -> None:
        self.world = world
        self.folder = world.folder
        self.progress: list[Progress] = []
        self.long_ago = True

    def sql(self, statement: str, *values: Any) -> list[Any]:
        return _sql(self.world.home.state_db, statement, values)

    def server_sql(self, statement: str, *values: Any) -> list[Any]:
        return _sql(self.world.data / "metadata.db", statement, values)

    def node(self, name: str) -> str:
        return str(self.sql("SELECT id FROM remote WHERE name = ?", name)[0][0])

    async def verify(self, *only: str, deep: bool = False) -> Report:
        """With the server running."""
        async with self.world.served():
            return await self.verify_alone(*only, deep=deep)

    async def verify_alone(self, *only: str, deep: bool = False) -> Report:
        if self.long_ago:
            ahead = time.time() + 3600
            os.utime(self.world.home.state_db, (ahead, ahead))
        return await verify_here(self.world.home, deep=deep, only=only, show=self.progress.append)


def _sql(path: Path, statement: str, values: tuple[Any, ...]) -> list[Any]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        done = connection.execute(statement, values)
        assert done.description is not None or done.rowcount != 0, f"changed nothing: {statement}"
        return done.fetchall()


def named(report: Report) -> dict[str, set[str]]:
    """Paths by code."""
    found: dict[str, set[str]] = {}
    for each in report.findings:
        found.setdefault(each.code, set()).add(each.path)
    return found


def left(report: Report) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for each in report.pending:
        found.setdefault(each.code, set()).add(each.path)
    return found


def finding(report: Report, code: str) -> Finding:
    return next(each for each in report.findings if each.code == code)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> SyncedWorld:
    return SyncedWorld(tmp_path_factory.mktemp("shared")).make()


@pytest.fixture
def device(shared: SyncedWorld, tmp_path: Path) -> Iterator[DeviceAtRest]:
    """For tests that leave the folder as it is: what they damage in the two databases is put back."""
    kept = [(shared.home.state_db, tmp_path / "state.db"), (shared.data / "metadata.db", tmp_path / "metadata.db")]
    for path, copy in kept:
        assert not path.with_name(path.name + "-wal").exists() or not path.with_name(path.name + "-wal").stat().st_size
        shutil.copy2(path, copy)
    yield DeviceAtRest(shared)
    for path, copy in kept:
        for companion in ("-wal", "-shm"):
            path.with_name(path.name + companion).unlink(missing_ok=True)
        shutil.copy2(copy, path)


@pytest.fixture
def own(tmp_path: Path) -> DeviceAtRest:
    """For tests that change the folder."""
    return DeviceAtRest(SyncedWorld(tmp_path).make())
