"""Plain uploads against a real server process that is killed at each of its steps: nothing is lost, nothing happens twice, and a
device syncs the files like any other."""

from __future__ import annotations

import hashlib
import random
import re
from pathlib import Path

import pytest

from syncline.model.limits import MIB
from tests.e2e.curl import Curl, raw_files
from tests.e2e.world import World, eventually, run

KILLS = (
    "uploads.add:after:1",
    "uploads.move:after:1",
    "objects.complete_multipart:after:1",
    "metadata.commit:after:1",
    "packs.add_packs:after:1",
    "packs.finish:after:1",
    "metadata.write:before:2",
    "metadata.commit:after:2",
)
SIZE = 8 * MIB + 4321


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_a_server_killed_anywhere_goes_on_and_devices_get_every_file(tmp_path: Path) -> None:
    chance = random.Random(5)
    with World(tmp_path, devices=("A",)) as world:
        server, curl = world.server, Curl(world.server)
        contents: dict[str, bytes] = {}
        for number, point in enumerate(KILLS):
            path = f"f{number:02} {re.sub('[:.]', ' ', point)}.bin"
            contents[path] = chance.randbytes(SIZE)
            server.stop()
            server.start(f"{point}=kill")
            for attempt in range(4):
                try:
                    done = curl.upload("/" + path, contents[path], f"key {number}")
                    if attempt:
                        break
                    # The answer came: what is left to be lost is the taking in.
                    eventually(lambda: server.ended() is not None, 30, f"{point} ends the server")
                    raise ConnectionResetError
                except OSError:
                    eventually(lambda: server.ended() is not None, 30, f"{point} ends the server")
                    assert server.ended() == -9, point
                    server.start()
            assert done["revision"] == 1, point
        _, page = curl.call("GET", "/v1/changes?limit=1000")
        eventually(lambda: not raw_files(curl), 90, "everything is taken in")
        _, page = curl.call("GET", "/v1/changes?limit=1000")
        for path in contents:
            rows = [row["op"] for row in page["entries"] if row["name"] == path]
            assert rows == ["create", "settled"], path
        (device,) = world.devices
        device.start()
        device.wait(90)
        for path, content in contents.items():
            assert (device.folder / path).read_bytes() == content, path
        checked = run(["admin", "check", "--deep", "--data", str(server.data)])
        assert "check." not in checked, checked


def test_a_running_device_follows_what_is_uploaded_and_what_is_rejected(tmp_path: Path) -> None:
    false = hashlib.sha256(b"something else").hexdigest()
    with World(tmp_path, devices=("A",)) as world:
        curl, (device,) = Curl(world.server), world.devices
        device.start()
        curl.upload("/new folder/doc", b"first", "1")
        device.wait()
        doc = device.folder / "new folder" / "doc"
        eventually(lambda: doc.exists(), 30, "the file comes")
        assert doc.read_bytes() == b"first"
        curl.upload("/new folder/doc", b"second", "2", base_revision=1)
        eventually(lambda: doc.read_bytes() == b"second", 30, "the new version comes")
        curl.upload("/new folder/doc", b"third", "3", base_revision=2, checksum=false)
        curl.upload("/new folder/never", b"none", "4", checksum=false)
        eventually(lambda: not raw_files(curl), 30, "what was announced falsely is rejected")
        device.wait()
        assert doc.read_bytes() == b"second"
        assert sorted(path.name for path in doc.parent.iterdir()) == ["doc"]
        # The device's own edits go on from there.
        doc.write_bytes(b"edited here")
        device.wait()
        _, found = curl.call("GET", "/v1/metadata?path=/new%20folder/doc")
        assert found["entry"]["content_hash"] == hashlib.sha256(b"edited here").hexdigest()
        assert device.problem_codes() == set()
