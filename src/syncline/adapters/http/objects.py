"""Bytes to and from the object store, by presigned requests (`protocol.md` §2.4): no token of ours goes along.

Laws: headers are sent as signed; an address is never re-quoted, logged or followed elsewhere; a transfer ends by stalling, never
by being long; a range is exactly what was asked, or an error.
"""

from __future__ import annotations

import asyncio
import errno
import os
from typing import BinaryIO, Final

from yarl import URL

from syncline.adapters.http.caller import network_errors
from syncline.adapters.http.carrier import Carrier, ShortFile
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
from syncline.ports.remote import Traffic
from syncline.protocol.blocks import SignedRequest

_STORE: Final = "the object store"


async def put_file(carrier: Carrier, base: URL, put: SignedRequest, path: str, size: int, traffic: Traffic) -> None:
    """One attempt to send the file at `path`, exactly `size` bytes. 412 says that it is there already, which is as good."""
    headers = {name: value for name, value in put.headers.items() if name.lower() != "content-length"}
    headers["Content-Length"] = str(size)

    def moved(count: int) -> None:
        traffic.sent_bytes += count

    try:
        file = await asyncio.to_thread(_open, path)
    except OSError as error:
        raise LocalIo(path=path, reason=error.strerror or str(error)) from error
    traffic.requests += 1
    with file, network_errors(_STORE):
        try:
            answer = await carrier.put(_address(base, put.url), headers, file, size, moved)
        except OSError as error:
            if isinstance(error, ShortFile) or error.errno == errno.EIO:
                raise LocalIo(path=path, reason=error.strerror or str(error)) from error
            raise
    if answer.status not in (200, 201, 204, 412):
        raise _store_error(answer.status, answer.reason)


async def get_range(carrier: Carrier, base: URL, get: SignedRequest, offset: int, into: memoryview, traffic: Traffic) -> None:
    """Fills `into` from `offset` on. Raises `Forbidden` (expired), `CorruptPack` (short), `NotFound`, `Unavailable`."""
    length = len(into)
    headers = {**get.headers, "Range": f"bytes={offset}-{offset + length - 1}"}
    traffic.requests += 1
    with network_errors(_STORE):
        answer, count = await carrier.get(_address(base, get.url), headers, into)
    traffic.received_bytes += count
    if answer.status not in (200, 206):
        raise _store_error(answer.status, answer.reason)
    if answer.status == 200 and (offset or answer.length != length):
        raise CorruptPack(reason="the store ignored the range asked for")
    if answer.length is not None and answer.length != length:
        raise CorruptPack(reason=f"the store has {answer.length} of {length} bytes")
    if count != length:
        raise CorruptPack(reason=f"{count} of {length} bytes came")


def _open(path: str) -> BinaryIO:
    return open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW))


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
