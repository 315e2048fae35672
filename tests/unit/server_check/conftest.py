from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.synced_world import SyncedWorld

from syncline.app.checking import check_server
from syncline.server.check.findings import Finding, Hop, Progress


@dataclass
class Checked:
    hops: list[Hop]
    findings: list[Finding]
    progress: list[Progress]

    @property
    def codes(self) -> set[str]:
        return {finding.code for finding in self.findings}

    def named(self, code: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.code == code]

    def paths(self, code: str) -> set[str]:
        return {finding.path for finding in self.named(code)}


@dataclass
class Data:
    """A server's data directory of one's own, to be damaged."""

    path: Path

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Runs a statement that the server itself never would; whatever guards the tables is off."""
        with closing(sqlite3.connect(self.path / "metadata.db", isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            done = connection.execute(statement, values)
            assert done.description is not None or done.rowcount != 0 or statement.startswith("DROP"), (
                f"changed nothing: {statement}"
            )
            return done.fetchall()

    def one(self, statement: str, *values: Any) -> Any:
        return self.sql(statement, *values)[0][0]

    def node(self, name: str) -> str:
        return str(self.one("SELECT node_id FROM nodes WHERE name = ?", name))

    def object_of(self, name: str) -> Path:
        """The object that holds the first block of a file's newest revision."""
        key = self.one(
            "SELECT object_key FROM packs JOIN block_copies USING (pack_id) JOIN revision_blocks USING (hash) "
            "WHERE node_id = ? ORDER BY revision DESC, block_index LIMIT 1",
            self.node(name),
        )
        return self.path / "objects" / key[:2] / key

    def check(self, *, deep: bool = False) -> Checked:
        checked = Checked([], [], [])

        async def run() -> None:
            hops = check_server(self.path, deep=deep, tell=checked.findings.append, show=checked.progress.append)
            checked.hops = [hop async for hop in hops]

        asyncio.run(run())
        assert sum(hop.findings for hop in checked.hops) == len(checked.findings)
        return checked


@pytest.fixture(scope="session")
def synced(tmp_path_factory: pytest.TempPathFactory) -> SyncedWorld:
    return SyncedWorld(tmp_path_factory.mktemp("synced")).make()


@pytest.fixture
def data(synced: SyncedWorld, tmp_path: Path) -> Data:
    shutil.copytree(synced.data, tmp_path / "data")
    return Data(tmp_path / "data")


Plant = Callable[[Data], None]
