"""A server on PostgreSQL, from end to end: two devices sync through it, also after the database was away for a moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncline.testing.services import postgres
from tests.e2e.world import EMAIL, PASSWORD, Device, Server, eventually, run


class OnPostgres(Server):
    def __init__(self, root: Path, database: str) -> None:
        super().__init__(root)
        self.config = root / "server.toml"
        self.config.write_text(f'data = "{self.data}"\ndatabase = "{database}"\n')
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
