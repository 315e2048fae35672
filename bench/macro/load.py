"""The devices of a macro benchmark: lean, since their processor time counts. Each holds one connection and commits files one
changeset after the other, to one namespace after the other."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.macro.seed import BLOCK_BYTES
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.ports.clock import Ids

_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "
ANSWER_S: Final = 60.0


class Connection(asyncio.Protocol):
    """HTTP/1.1, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None
        self._got = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        end = self._got.find(_END)
        if end < 0:
            return
        head = self._got[:end].lower()
        at = head.index(_LENGTH) + len(_LENGTH)
        stop = head.find(b"\r\n", at)
        whole = end + len(_END) + int(head[at : stop if stop > 0 else end])
        if len(self._got) >= whole and self._waiting is not None:
            body, self._got = self._got[end + len(_END) : whole], self._got[whole:]
            waiting, self._waiting = self._waiting, None
            waiting.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting is not None:
            self._waiting.set_exception(ConnectionError(f"the server closed the connection: {error}"))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await asyncio.wait_for(self._waiting, ANSWER_S)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def connected(url: str) -> Connection:
    host, _, port = url.removeprefix("http://").rpartition(":")
    _, connection = await asyncio.get_running_loop().create_connection(Connection, host, int(port))
    return connection


def post(path: str, body: bytes, **headers: str) -> bytes:
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{fields}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def signed_in(connection: Connection, email: str, password: str) -> str:
    """An access token for a new device."""
    body = json.dumps({"email": email, "password": password, "device_name": "bench"}).encode()
    status, answer = await connection.ask(post("/v1/auth/token", body))
    if status != 200:
        raise RuntimeError(f"signing in was answered {status}: {answer[:300]!r}")
    return str(json.loads(answer)["access_token"])


@dataclass(slots=True)
class Place:
    """One namespace, with its folders to commit to and the blocks that nobody named yet."""

    namespace: str
    token: str
    folders: Sequence[str]
    run: str
    blocks: int
    taken: int = 0
    committed: int = 0
    ids: Ids = field(default_factory=lambda: Ids(MachineClock(), MachineChance()))

    def changeset(self, count: int) -> bytes | None:
        """The next request; None where the blocks are used up."""
        first = self.taken
        if first + count > self.blocks:
            return None
        self.taken += count
        folder = self.folders[first // 100 % len(self.folders)]
        changes = ",".join(map(self._file, range(first, first + count), [folder] * count))
        body = f'{{"namespace":"{self.namespace}","changes":[{changes}]}}'.encode()
        key = self.ids.fresh()
        return post("/v1/files/commit", body, authorization=f"Bearer {self.token}", idempotency_key=key)

    def _file(self, number: int, folder: str) -> str:
        block = hashlib.sha256(f"{self.run} {self.namespace} {number}".encode()).hexdigest()
        return (
            f'{{"op":"create","node_id":"{self.ids.fresh()}","parent_id":"{folder}","name":"{self.run[-8:]} Report {number}.txt",'
            f'"kind":"file","content_hash":"{block}","size":{BLOCK_BYTES},"mtime":"2026-11-25T12:00:00.123456Z","executable":false,'
            f'"blocks":["{block}"],"cut":"fastcdc-1"}}'
        )


@dataclass(slots=True)
class Phase:
    """What one phase came to. Times are of changesets, from the first byte sent to the last received."""

    seconds: float
    files: int
    times_s: list[float]

    def quantile_ms(self, share: float) -> float:
        ordered = sorted(self.times_s)
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 1) if ordered else 0.0


async def phase(urls: Sequence[str], places: Sequence[Place], *, in_flight: int, size: int, seconds: float) -> Phase:
    """`in_flight` devices commit changesets of `size` files for so long; each has its share of the namespaces, in turns."""
    lines = [await connected(urls[number % len(urls)]) for number in range(in_flight)]
    shares = [places[number % len(places) :: in_flight] for number in range(in_flight)]
    start = time.perf_counter()
    until = start + seconds
    done = await asyncio.gather(*(_device(line, _turns(share), size, until) for line, share in zip(lines, shares, strict=True)))
    took = time.perf_counter() - start
    for line in lines:
        line.close()
    times = [one for part in done for one in part]
    return Phase(took, len(times) * size, times)


def _turns(places: Sequence[Place]) -> Iterator[Place]:
    while True:
        yield from places


async def _device(line: Connection, turns: Iterator[Place], size: int, until: float) -> list[float]:
    times: list[float] = []
    while time.perf_counter() < until:
        place = next(turns)
        request = place.changeset(size)
        if request is None:
            raise RuntimeError("the blocks seeded for this run are used up; give --rate more")
        start = time.perf_counter()
        status, answer = await line.ask(request)
        times.append(time.perf_counter() - start)
        if status != 200:
            raise RuntimeError(f"a commit was answered {status}: {answer[:500]!r}")
        place.committed += size
    return times
