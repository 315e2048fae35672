"""A real S3 server for tests: SeaweedFS from its wheel, one a session, in a folder and under a home of its own.

Telemetry is switched off. It is ended with SIGKILL: ending gracefully takes it many seconds, and nothing of it is kept.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from syncline.adapters.http.retry import Backoff
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.objects.s3.caller import Bucket, Place
from syncline.adapters.objects.s3.probe import probed
from syncline.adapters.objects.s3.signature import Credentials, Signer
from syncline.adapters.objects.s3.store import S3Objects
from syncline.ports.clock import Clock

ACCESS_KEY = "syncline-tests"
SECRET_KEY = "no secret, only tests"
READY_S = 60
GRPC_ABOVE = 10_000


@dataclass
class Seaweed:
    """A running server; its data is kept from one `start` to the next."""

    endpoint: str
    folder: Path
    command: list[str] = field(repr=False)
    environment: dict[str, str] = field(repr=False)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Done when it serves."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        _wait(self.process, self.endpoint, self.folder / "log")

    def kill(self) -> None:
        """As if the machine had gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def bucket_of(
    seaweed: Seaweed, name: str, *, clock: Clock | None = None, storage_class: str | None = None, **changed: str
) -> Bucket:
    """A bucket there; it is made by the first object in it."""
    place = Place(bucket=name, origin=seaweed.endpoint, public_origin=seaweed.endpoint, storage_class=storage_class)
    keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY} | changed
    chance = MachineChance()
    return Bucket(place, Signer(Credentials(**keys), "us-east-1", clock or MachineClock()), Backoff(chance, first_s=0.01))


@asynccontextmanager
async def s3_objects(seaweed: Seaweed) -> AsyncIterator[S3Objects]:
    """A store in a bucket of its own, as a server opens it."""
    bucket = bucket_of(seaweed, f"test-{MachineChance().token(8).hex()}")
    try:
        yield await probed(bucket, MachineChance())
    finally:
        await bucket.close()


def binary() -> str | None:
    """The program, as its wheel put it beside this Python, or anywhere on the path."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which("weed", path=beside)


@contextmanager
def running_seaweed(folder: Path, program: str, events: Mapping[str, str] | None = None) -> Iterator[Seaweed]:
    """SeaweedFS with its data in `folder`, which exists and is empty, until the block ends. `events` are more variables of its
    environment, which say where it tells of what happens in it."""
    ports = free_ports(6)
    named = dict(zip(("s3.port", "master.port", "volume.port", "filer.port", "metricsPort", "admin.port"), ports, strict=True))
    identity = {"name": "tests", "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    command = [
        program,
        "-logtostderr=true",
        "mini",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-s3.config={folder / 's3.json'}",
        *(f"-{name}={port}" for name, port in named.items()),
        "-admin.ui=false",
        "-webdav=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
    ]
    environment = {"HOME": str(folder), "PATH": os.environ.get("PATH", ""), "TMPDIR": str(folder)} | dict(events or {})
    seaweed = Seaweed(f"http://127.0.0.1:{named['s3.port']}", folder, command, environment)
    try:
        seaweed.start()
        yield seaweed
    finally:
        seaweed.kill()
        for port in (*ports, *(port + GRPC_ABOVE for port in ports)):
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)


def _wait(process: subprocess.Popen[bytes], endpoint: str, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urlopen(Request(endpoint, method="GET"), timeout=2):
                return
        except HTTPError:
            # Who asks without a signature is refused: it serves.
            return
        except (URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"SeaweedFS did not start: {log.read_text(errors='replace')[-2000:]}")


def free_ports(count: int) -> list[int]:
    """Ports of which each is free, and so is its gRPC port, which lies 10,000 above it."""
    found: list[int] = []
    at = 12_000 + os.getpid() % 9_000
    while len(found) < count:
        at = 12_000 + (at - 11_999) % 9_900
        if _free(at) and _free(at + GRPC_ABOVE):
            found.append(at)
    return found


def _free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
