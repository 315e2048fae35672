"""A server on PostgreSQL, from end to end: two devices sync through it, also after the database was away for a moment; and with a
replica, what a server does while the primary is away."""

from __future__ import annotations

import json
import tempfile
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from syncline.testing.services import postgres
from tests.e2e.world import EMAIL, PASSWORD, Device, Server, eventually, run
from tests.unit.server_gateway.nodes import create_folder, fresh_id

AS_OF = "syncline-as-of"


class OnPostgres(Server):
    def __init__(self, root: Path, database: str, *more: str) -> None:
        super().__init__(root)
        self.config = root / "server.toml"
        self.config.write_text("\n".join((f'data = "{self.data}"', f'database = "{database}"', *more, "")))
        self.more = ("--config", str(self.config))


@pytest.mark.real
def test_two_devices_meet_through_a_server_on_postgresql(tmp_path: Path, postgres_server: postgres.Postgres) -> None:
    server = OnPostgres(tmp_path, postgres_server.create("e2e"))
    server.start()
    one, two = Device(tmp_path, "A", server), Device(tmp_path, "B", server)
    try:
        add = ["admin", "user", "add", EMAIL, "--password-stdin", "--config", str(server.config)]
        run(add, input_text=PASSWORD + "\n")
        assert EMAIL in run(["admin", "user", "list", "--config", str(server.config)])
        assert (server.data / "metadata.db").stat().st_size == 0
        for device in (one, two):
            device.set_up()
        (one.folder / "notes").mkdir()
        (one.folder / "notes/a.txt").write_text("first")
        for device in (one, two):
            device.start()
            device.wait()
        assert (two.folder / "notes/a.txt").read_text() == "first"
        (two.folder / "notes/a.txt").write_text("second")
        (two.folder / "notes").rename(two.folder / "letters")
        two.wait()
        one.wait()
        assert (one.folder / "letters/a.txt").read_text() == "second"
        server.kill()
        server.start()
        (one.folder / "b.txt").write_text("third")
        eventually(lambda: (two.folder / "b.txt").exists(), 60, "what was written after a kill of the server arrives")
    finally:
        for device in (one, two):
            if device.running:
                device.kill()
        server.kill()
        postgres_server.drop("e2e")


class Caller:
    """One device that speaks plain HTTP."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._headers = {"content-type": "application/json"}
        token = self.ask("/v1/auth/token", {"email": EMAIL, "password": PASSWORD, "device_name": "plain"})[2]["access_token"]
        self._headers["authorization"] = f"Bearer {token}"
        self.root: str = self.ask("/v1/me")[2]["root_namespace"]

    def ask(self, path: str, body: object = None) -> tuple[int, Message, Any]:
        """Status, headers, and the JSON of the answer, or its bytes."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._server.url + path, data, self._headers | {"idempotency-key": fresh_id()})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, headers, content = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            status, headers, content = error.code, error.headers, error.read()
        return status, headers, json.loads(content) if "json" in headers.get("content-type", "") else content

    def children(self) -> tuple[dict[str, str], str | None]:
        """Names and ids of what lies in the root folder, and as of when."""
        status, headers, answer = self.ask(f"/v1/folders/{self.root}/children")
        assert status == 200, answer
        return {entry["name"]: entry["node_id"] for entry in answer["entries"]}, headers.get(AS_OF)

    def commit(self, name: str) -> tuple[int, Message, Any]:
        return self.ask("/v1/files/commit", {"namespace": self.root, "changes": [create_folder(self.root, name)]})


@pytest.mark.real
def test_while_the_primary_is_away_listings_and_downloads_go_on_and_commits_are_refused(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="syncline-") as folder, postgres.running(Path(folder) / "primary") as primary:
        url = primary.create("away")
        with postgres.following(primary, Path(folder) / "replica") as replica:
            server = OnPostgres(tmp_path, url, f'database_replica = "{replica.url("away")}"')
            server.start()
            try:
                run(["admin", "user", "add", EMAIL, "--password-stdin", "--config", str(server.config)], input_text=PASSWORD + "\n")
                device = Device(tmp_path, "A", server)
                device.set_up()
                (device.folder / "a.txt").write_text("kept")
                device.run("sync", "--once")
                _outage(Caller(server), primary, replica)
            finally:
                server.kill()


def _outage(caller: Caller, primary: postgres.Postgres, replica: postgres.Postgres) -> None:
    names, as_of = caller.children()
    assert set(names) == {"a.txt"}
    assert as_of is None
    cursor = caller.ask("/v1/changes/latest")[2]["cursor"]
    [(at,)] = primary.query("SELECT pg_current_wal_lsn()::text")
    shown = f"SELECT pg_last_wal_replay_lsn() >= '{at}'"
    eventually(lambda: bool(replica.query(shown)[0][0]), 30, "the replica shows what the primary has")
    primary.kill()
    names, as_of = caller.children()
    assert set(names) == {"a.txt"}
    assert as_of is not None
    assert caller.ask(f"/v1/files/{names['a.txt']}/download")[2] == b"kept"
    status, headers, page = caller.ask(f"/v1/changes?cursor={cursor}")
    assert (status, page["entries"]) == (200, [])
    assert headers[AS_OF] is not None
    status, headers, problem = caller.commit("b")
    assert (status, problem["code"]) == (503, "unavailable")
    assert int(headers["retry-after"]) > 0
    # What a device would take for the newest it knows of is not told from behind.
    assert caller.ask("/v1/namespaces")[0] == 503
    assert caller.ask("/v1/snapshot")[0] == 503
    primary.process = postgres.start(primary.data, primary.port).process
    eventually(lambda: caller.commit("b")[0] == 200, 30, "commits go on once the primary is back")
    names, as_of = caller.children()
    assert set(names) == {"a.txt", "b"}
    assert as_of is None
