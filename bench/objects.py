"""The disk store's door: how many bytes a second go in and out, against what the disk itself takes.

`python -m bench.objects [COUNT] [FOLDER]`: COUNT packs of 16 MiB (default 16), each put, then each read, two at a time, through
uvicorn in a process of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

SIZE = 16 << 20
AT_ONCE = 2
SECRET = b"b" * 32


def serve(root: Path, pipe: Connection) -> None:
    """The server's process: the bare door of a store at `root`, on a free port told through `pipe`."""
    import uvicorn
    import uvloop

    from syncline.adapters.machine import MachineChance, MachineClock
    from syncline.adapters.objects.disk import DiskObjects
    from syncline.adapters.objects.door import ObjectsDoor
    from syncline.adapters.objects.signing import UrlSigner

    async def stored(key: str, size: int, sha256: str) -> bool:
        return True

    async def run() -> None:
        signer = UrlSigner(SECRET, MachineClock())
        door = ObjectsDoor(DiskObjects.open(root, signer, MachineChance()), signer, stored)
        config = uvicorn.Config(door, host="127.0.0.1", port=0, lifespan="off", log_config=None, http="httptools")
        server = uvicorn.Server(config)
        running = asyncio.ensure_future(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        pipe.send(server.servers[0].sockets[0].getsockname()[1])
        await running

    uvloop.run(run())


async def measure(port: int, root: Path, count: int) -> None:
    import aiohttp

    from syncline.adapters.machine import MachineClock
    from syncline.adapters.objects.signing import UrlSigner, put_headers

    signer, body, turns = UrlSigner(SECRET, MachineClock()), os.urandom(SIZE), asyncio.Semaphore(AT_ONCE)
    sha256 = hashlib.sha256(body).hexdigest()
    base = f"http://127.0.0.1:{port}"

    async with aiohttp.ClientSession(read_bufsize=1 << 20) as http:

        async def put(number: int) -> None:
            signed = signer.sign("PUT", f"{number:020d}", put_headers(SIZE, sha256), 900)  # type: ignore[arg-type]
            async with turns, http.put(base + signed.url, data=body, headers=signed.headers) as answer:
                assert answer.status == 200, await answer.text()

        async def get(number: int) -> None:
            signed = signer.sign("GET", f"{number:020d}", {}, 900)
            async with turns, http.get(base + signed.url) as answer:
                total = 0
                async for piece in answer.content.iter_any():
                    total += len(piece)
                assert total == SIZE

        for name, work in (("PUT", put), ("GET", get)):
            began = time.perf_counter()
            await asyncio.gather(*map(work, range(count)))
            print(f"{name}: {count * SIZE / (time.perf_counter() - began) / 1e6:,.0f} MB/s")


def disk(root: Path, count: int) -> None:
    """What the disk takes: the same files, written and synced by hand."""
    body = os.urandom(SIZE)
    began = time.perf_counter()
    for number in range(count):
        with (root / f"bare{number}").open("wb") as file:
            file.write(body)
            os.fsync(file.fileno())
    print(f"disk alone: {count * SIZE / (time.perf_counter() - began) / 1e6:,.0f} MB/s")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as folder:
        root = Path(folder)
        disk(root, count)
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(root / "objects", theirs), daemon=True)
        server.start()
        asyncio.run(measure(ours.recv(), root, count))
        server.terminate()


if __name__ == "__main__":
    main()
