"""Bytes to and from the object store, by presigned requests (`protocol.md` §2.4): no token of ours goes along.

Laws: headers are sent as signed; an address is never re-quoted, logged or followed elsewhere; a transfer ends by stalling, never
by being long; a range is exactly what was asked, or an error.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import Final

import aiohttp
from yarl import URL

from syncline.adapters.http.caller import CONNECT_TIMEOUT_S, network_errors
from syncline.model.errors import (
    ChecksumMismatch,
    CorruptPack,
    Forbidden,
    LocalIo,
    NotFound,
    Refused,
    SynclineError,
    TooBusy,
    Unavailable,
)
from syncline.model.limits import KIB, TRANSFER_STALL_S
from syncline.ports.remote import Traffic
from syncline.protocol.blocks import SignedRequest

READ_BYTES: Final = 512 * KIB
_REASON_BYTES: Final = 512
_STORE: Final = "the object store"


async def put_file(
    session: aiohttp.ClientSession,
    base: URL,
    put: SignedRequest,
    path: str,
    size: int,
    traffic: Traffic,
    stall_s: float = TRANSFER_STALL_S,
) -> None:
    """One attempt to send the file at `path`, exactly `size` bytes. 412 says that it is there already, which is as good."""
    try:
        source = await asyncio.to_thread(os.open, path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise LocalIo(path=path, reason=error.strerror or str(error)) from error
    failure: list[OSError] = []
    try:
        headers = {name: value for name, value in put.headers.items() if name.lower() != "content-length"}
        headers["Content-Length"] = str(size)
        traffic.requests += 1
        with network_errors(_STORE):
            async with asyncio.timeout(stall_s) as stall:

                def moved(count: int) -> None:
                    traffic.sent_bytes += count
                    stall.reschedule(asyncio.get_running_loop().time() + stall_s)

                async with session.put(
                    _address(base, put.url),
                    data=_read_ahead(source, size, moved, failure),
                    headers=headers,
                    skip_auto_headers=("Content-Type", "Accept-Encoding"),
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=stall_s),
                    allow_redirects=False,
                ) as answer:
                    if answer.status in (200, 201, 204, 412):
                        await answer.read()
                        return
                    reason = await answer.content.read(_REASON_BYTES)
    except Unavailable:
        if failure:
            raise LocalIo(path=path, reason=failure[0].strerror or str(failure[0])) from failure[0]
        raise
    finally:
        os.close(source)
    raise _store_error(answer.status, reason)


async def _read_ahead(source: int, size: int, moved: Callable[[int], None], failure: list[OSError]) -> AsyncIterator[bytes]:
    """The file in pieces; the next one is read while the last one is on its way."""
    offset = 0
    coming = asyncio.ensure_future(asyncio.to_thread(os.pread, source, min(READ_BYTES, size), 0))
    try:
        while offset < size:
            try:
                piece = await coming
            except OSError as error:
                failure.append(error)
                raise
            if not piece:
                failure.append(OSError(0, "it is shorter than it was"))
                raise failure[0]
            offset += len(piece)
            if offset < size:
                coming = asyncio.ensure_future(asyncio.to_thread(os.pread, source, min(READ_BYTES, size - offset), offset))
            yield piece
            moved(len(piece))
    finally:
        # The descriptor is closed by the caller: no thread may still be reading from it.
        await asyncio.wait([coming])


async def get_range(
    session: aiohttp.ClientSession,
    base: URL,
    get: SignedRequest,
    offset: int,
    length: int,
    traffic: Traffic,
    stall_s: float = TRANSFER_STALL_S,
) -> bytes:
    """Exactly `length` bytes from `offset`. Raises `Forbidden` (expired), `CorruptPack` (short), `NotFound`, `Unavailable`."""
    headers = {**get.headers, "Range": f"bytes={offset}-{offset + length - 1}"}
    traffic.requests += 1
    with network_errors(_STORE):
        async with session.get(
            _address(base, get.url),
            headers=headers,
            skip_auto_headers=("Accept-Encoding",),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=stall_s),
            allow_redirects=False,
        ) as answer:
            if answer.status not in (200, 206):
                raise _store_error(answer.status, await answer.content.read(_REASON_BYTES))
            if answer.status == 200 and (offset or answer.content_length != length):
                raise CorruptPack(reason="the store ignored the range asked for")
            if answer.content_length is not None and answer.content_length != length:
                raise CorruptPack(reason=f"the store has {answer.content_length} of {length} bytes")
            return await _exactly(answer, length, traffic)


async def _exactly(answer: aiohttp.ClientResponse, length: int, traffic: Traffic) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > length:
            break
        chunks.append(chunk)
    traffic.received_bytes += size
    if size != length:
        raise CorruptPack(reason=f"{size} of {length} bytes came")
    return b"".join(chunks)


def _address(base: URL, url: str) -> URL:
    """A presigned address as it was signed; one without a host lies at the server itself."""
    address = URL(url, encoded=True)
    return address if address.absolute else base.join(address)


def _store_error(status: int, reason: bytes) -> SynclineError:
    """What a store's status means to the caller. The stores' own texts differ; only the checksum's refusal needs reading."""
    if status in (401, 403):
        return Forbidden(what="use this address any longer")
    if status in (404, 410):
        return NotFound(what="The pack")
    if status == 416:
        return CorruptPack(reason="it is shorter than its index says")
    if status == 400 and any(word in reason.lower() for word in (b"checksum", b"digest", b"sha256")):
        return ChecksumMismatch()
    if status == 429:
        return TooBusy(retry_after=1)
    if status >= 500 or status == 408:
        return Unavailable(what=_STORE, reason=f"it answered with status {status}")
    return Refused(reason=f"the object store answered with status {status}")
