"""One very large file through the plain doors, up in parts and down by curl, with a kill of client and of server on either way.

`python -m tests.e2e.plain_huge --gib 8` is the long run (some 20 GiB of disk); `make test` has a short one. Shown at the end: how
long each way took, how much the memory of server and client grew at most, and how many bytes were sent again because of the kills.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from syncline.model.limits import GIB, MIB
from tests.e2e.huge import GROWTH_MAX_MIB, SENT_AGAIN_MAX_BYTES, Memory, digest_of, make
from tests.e2e.world import EMAIL, PASSWORD, World, eventually

PATH = "/huge.img"
AT_ONCE = 4
TRIES = 60
PIECE_BYTES = 1 * MIB


class Client:
    """A program that knows HTTP and nothing of ours. It keeps no state: what is missing, it asks."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._token = ""

    def call(self, method: str, door: str, body: Any = None) -> Any:
        """Said again while the server is away, or the token has expired."""
        for _ in range(TRIES):
            request = urllib.request.Request(door if "://" in door else self._url + door, method=method)
            request.add_header("content-type", "application/json")
            request.data = None if body is None else json.dumps(body).encode()
            if self._token:
                request.add_header("authorization", f"Bearer {self._token}")
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as error:
                told = json.loads(error.read() or b"{}")
                if error.code == 401:
                    self.sign_in()
                elif not told.get("retryable"):
                    raise AssertionError(told) from error
            except OSError:
                time.sleep(0.5)
        raise AssertionError(f"{method} {door} came to nothing")

    def sign_in(self) -> None:
        self._token = ""
        who = {"email": EMAIL, "password": PASSWORD, "device_name": "plain"}
        self._token = self.call("POST", "/v1/auth/token", who)["access_token"]

    def upload(self, file: Path, checksum: str, told: Path) -> None:
        """Goes on where an earlier run of this program was cut off. `told` counts the bytes that were sent."""
        found = self.call("GET", f"/v1/uploads?fingerprint={checksum}")["uploads"]
        if found:
            upload = found[0]["uploadId"]
        else:
            size = file.stat().st_size
            files = [{"filepath": PATH, "size": size, "checksum": checksum}]
            (begun,) = self.call("POST", "/v1/files/upload", {"files": files})["files"]
            upload = begun["uploadId"]
        while True:
            status = self.call("GET", f"/v1/uploads/{upload}")
            if status["state"] == "done":
                return
            if status["missing"]:
                window = self.call("GET", status["nextParts"])
                send = partial(self._put, file, window["partSize"], told)
                with ThreadPoolExecutor(AT_ONCE) as pool:
                    list(pool.map(send, window["partUrls"]))
            else:
                self.call("POST", f"/v1/uploads/{upload}/complete")

    def _put(self, file: Path, part_size: int, told: Path, part: dict[str, Any]) -> None:
        """A part that fails is found missing and sent again."""
        with file.open("rb") as source:
            source.seek((part["partNumber"] - 1) * part_size)
            request = urllib.request.Request(part["url"], data=_Slice(source, part["size"], told), method="PUT")
            request.add_header("content-length", str(part["size"]))
            request.add_header("content-type", "application/octet-stream")
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    answer.read()
            except OSError:
                time.sleep(0.2)


class _Slice:
    """A part of an open file, read piece by piece and counted."""

    def __init__(self, source: Any, size: int, told: Path) -> None:
        self._source = source
        self._left = size
        self._told = told

    def __iter__(self) -> Any:
        while self._left:
            piece = self._source.read(min(PIECE_BYTES, self._left))
            self._left -= len(piece)
            with self._told.open("ab") as told:
                told.write(b"%d\n" % len(piece))
            yield piece


def run(root: Path, size: int, *, cap_s: float, seed: int = 2) -> dict[str, Any]:
    """What was measured; raises `AssertionError` where bytes, memory or what was sent again are not as promised."""
    with World(root, devices=()) as world:
        server, memory = world.server, Memory()
        source, target, told = root / "source.img", root / "target.img", root / "told"
        told.write_bytes(b"")
        make(source, size, seed)
        checksum = digest_of(source)
        program = [sys.executable, "-m", "tests.e2e.plain_huge", "--upload", str(source), "--to", server.url]
        program += ["--checksum", checksum, "--told", str(told)]
        sending = [_started(program)]
        memory.watch("server", lambda: server.pid)
        memory.watch("client", lambda: sending[-1].pid)
        figures: dict[str, Any] = {"gib": size / GIB}
        with memory.running():
            began = time.monotonic()
            eventually(lambda: _sum(told) > size / 3, cap_s, "a third was sent", every_s=0.1)
            sending[-1].kill()
            sending[-1].wait()
            sending.append(_started(program))
            eventually(lambda: _sum(told) > 2 * size / 3, cap_s, "two thirds were sent", every_s=0.1)
            server.kill()
            server.start()
            assert sending[-1].wait(cap_s) == 0
            figures["up_s"] = round(time.monotonic() - began, 1)
            figures["sent_again_mib"] = round((_sum(told) - size) / MIB, 1)
            client = Client(server.url)
            client.sign_in()
            began = time.monotonic()
            figures["raw_down_again_mib"] = _download(client, server, target, size, cap_s)
            figures["raw_down_s"] = round(time.monotonic() - began, 1)
            assert digest_of(target) == checksum
            target.unlink()
            began = time.monotonic()
            eventually(lambda: _entry(client)["content_hash"] == checksum, cap_s, "the server has taken it in", every_s=1.0)
            figures["taken_in_s"] = round(time.monotonic() - began, 1)
            began = time.monotonic()
            figures["down_again_mib"] = _download(client, server, target, size, cap_s)
            figures["down_s"] = round(time.monotonic() - began, 1)
            assert digest_of(target) == checksum
        figures["growth_mib"] = {name: round(grown) for name, grown in memory.growth.items()}
        assert max(memory.growth.values()) < GROWTH_MAX_MIB, figures
        again = max(figures["sent_again_mib"], figures["raw_down_again_mib"], figures["down_again_mib"])
        assert again * MIB <= SENT_AGAIN_MAX_BYTES, figures
        return figures


def _entry(client: Client) -> dict[str, Any]:
    entry: dict[str, Any] = {"content_hash": None} | client.call("GET", f"/v1/metadata?path={PATH}")["entry"]
    return entry


def _download(client: Client, server: Any, target: Path, size: int, cap_s: float) -> float:
    """Down by curl, which is killed at a third and goes on; the server is killed at two thirds. MiB that came twice."""
    came, killed = 0, {"curl": False, "server": False}
    deadline = time.monotonic() + cap_s
    while not target.exists() or target.stat().st_size < size:
        assert time.monotonic() < deadline
        had = target.stat().st_size if target.exists() else 0
        node = _entry(client)["node_id"]
        (file,) = client.call("POST", "/v1/files/download", {"file_ids": [node]})["files"]
        curl = _started(["curl", "-sSf", "-C", "-", "-o", str(target), file["presignedUrl"]])
        while curl.poll() is None:
            has = target.stat().st_size if target.exists() else 0
            if has > size / 3 and not killed["curl"]:
                killed["curl"] = True
                curl.kill()
            elif has > 2 * size / 3 and not killed["server"]:
                killed["server"] = True
                server.kill()
                server.start()
            time.sleep(0.02)
        curl.wait()
        came += (target.stat().st_size if target.exists() else 0) - had
    assert all(killed.values()), killed
    return round((came - size) / MIB, 1)


def _started(program: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)


def _sum(told: Path) -> int:
    return sum(map(int, told.read_bytes().splitlines()[:-1] or [b"0"]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=8)
    parser.add_argument("--minutes", type=float, default=15, help="what each way may take")
    parser.add_argument("--folder", type=Path, help="where; a temporary folder by default")
    for name in ("--upload", "--to", "--checksum", "--told"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.upload:
        client = Client(given.to)
        client.sign_in()
        client.upload(Path(given.upload), given.checksum, Path(given.told))
        return 0
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        figures = run(Path(folder), int(given.gib * GIB), cap_s=given.minutes * 60)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
