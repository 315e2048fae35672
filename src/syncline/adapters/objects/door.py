"""The disk store's door: PUT, GET (Range) and HEAD of `/objects/KEY`, bare ASGI, since every byte a user stores passes here.

Laws: nothing happens before the signature is verified; a PUT is enforced in length and SHA-256 and stores nothing otherwise; at
most two pieces of about a mebibyte are held per request, one being hashed and written while the next arrives, so a slow disk
slows the sender instead of filling memory; a peer that stalls is let go. URLs are never logged. Where the listener offers a
straight way between socket and buffers or files (`syncline.direct`), bulk takes it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from syncline.adapters.objects.disk import BULK_BYTES, PIECE_BYTES, DiskObjects, Draft, uncache
from syncline.adapters.objects.signing import PART_NUMBER, PREFIX, UrlSigner, checksum_digest
from syncline.model.errors import (
    ChecksumMismatch,
    InvalidRequest,
    NotFound,
    Refused,
    SynclineError,
    TooBusy,
    Unavailable,
)
from syncline.model.ids import Digest
from syncline.model.limits import KIB, TRANSFER_STALL_S
from syncline.protocol.problems import problem_answer
from syncline.protocol.ranges import UnsatisfiableRange, chosen_range

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Stored: TypeAlias = Callable[[str, int, Digest], Awaitable[bool]]
"""Told of each object that arrived, with key, size and SHA-256; False drops it again."""

Result = TypeVar("Result")

PUTS_AT_ONCE: Final = 64
DIRECT_ABOVE_BYTES: Final = 256 * KIB
"""Smaller bodies are not worth a straight way."""


class Direct(Protocol):
    """The listener's ASGI extension `syncline.direct`; see `app/direct.py`."""

    async def receive_into(self, view: memoryview, stall_s: float) -> int: ...

    def give_up(self) -> None: ...

    async def send_file(
        self, file: int, start: int, end: int, run: Callable[[Callable[[], int]], Awaitable[int]], stall_s: float
    ) -> None: ...


class MethodRefused(Refused):
    """This address takes {allowed}."""

    code = "method.not_allowed"
    status = 405


class ObjectsDoor:
    def __init__(self, store: DiskObjects, signer: UrlSigner, stored: Stored) -> None:
        self._store = store
        self._signer = signer
        self._stored = stored
        self._puts = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`scope["syncline.request_id"]` names the request in problem documents."""
        try:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            key, method = scope["path"].removeprefix(PREFIX), scope["method"]
            if method == "PUT":
                await self._put(scope, headers, key, receive, send)
            elif method in ("GET", "HEAD"):
                await self._get(scope, headers, key, send)
            else:
                raise MethodRefused(allowed="GET, HEAD, PUT")
        except SynclineError as error:
            status, answer, body = problem_answer(error, scope.get("syncline.request_id", ""))
            if isinstance(error, UnsatisfiableRange):
                answer.append((b"content-range", f"bytes */{error.fields['size']}".encode()))
            await _answer(send, status, answer, b"" if scope["method"] == "HEAD" else body)

    # -- In --------------------------------------------------------------------------------------------------------------

    async def _put(self, scope: Scope, headers: dict[str, str], key: str, receive: Receive, send: Send) -> None:
        parameters = self._signer.verify("PUT", key, scope["query_string"], headers)
        if "transfer-encoding" in headers or "content-encoding" in headers:
            raise InvalidRequest(message="An object is sent as it is, with its Content-Length")
        if self._puts >= PUTS_AT_ONCE:
            raise TooBusy(retry_after=1)
        self._puts += 1
        try:
            if PART_NUMBER in parameters:
                etag = await self._put_part(scope, headers, key, int(parameters[PART_NUMBER]), receive)
            else:
                etag = await self._put_whole(scope, headers, key, receive)
        finally:
            self._puts -= 1
        mark = f'"{etag}"'.encode()
        await _answer(send, 200, [(b"etag", mark), (b"content-length", b"0"), (b"cache-control", b"no-store")], b"")

    async def _put_whole(self, scope: Scope, headers: dict[str, str], key: str, receive: Receive) -> str:
        size, sha256 = int(headers["content-length"]), checksum_digest(headers["x-amz-checksum-sha256"])
        await self._store_body(scope, size, receive, lambda: self._store.draft(key), lambda draft: draft.commit(size, sha256))
        if not await self._stored(key, size, sha256):
            await self._store.remove(key)
            raise NotFound(what="The grant of this object")
        return key

    async def _put_part(self, scope: Scope, headers: dict[str, str], key: str, number: int, receive: Receive) -> str:
        size = int(headers["content-length"])
        return await self._store_body(
            scope, size, receive, lambda: self._store.part_draft(key), lambda draft: draft.commit_part(number, size)
        )

    async def _store_body(
        self, scope: Scope, size: int, receive: Receive, begin: Callable[[], Draft], commit: Callable[[Draft], Result]
    ) -> Result:
        draft = await self._store.run(begin)
        direct = _direct(scope)
        try:
            if direct is not None and size > DIRECT_ABOVE_BYTES:
                await self._write_direct(draft, size, direct)
            else:
                await self._write_body(draft, size, receive)
            return await self._store.run(lambda: commit(draft))
        finally:
            await asyncio.shield(self._store.run(draft.close))

    async def _write_body(self, draft: Draft, size: int, receive: Receive) -> None:
        """Hands the body to the disk a piece at a time, one piece ahead of it."""
        writing: asyncio.Future[None] | None = None
        total, more = 0, True
        try:
            while more:
                pieces, held = list[bytes](), 0
                while more and held < PIECE_BYTES:
                    message = await _next(receive)
                    piece, more = message.get("body", b""), message.get("more_body", False)
                    pieces.append(piece)
                    held += len(piece)
                total += held
                if total > size:
                    raise ChecksumMismatch()
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(self._store.run(lambda pieces=pieces: draft.write(pieces)))  # type: ignore[misc]
        finally:
            # The draft is closed next: no thread may still be writing to it.
            if writing is not None:
                await asyncio.wait((writing,))
        if writing is not None:
            await writing

    async def _write_direct(self, draft: Draft, size: int, direct: Direct) -> None:
        """The same with two buffers, one of which the system fills while the other is being written."""
        buffers = [self._store.lend(), self._store.lend()]
        writing: asyncio.Future[None] | None = None
        try:
            left = size
            while left:
                buffer = buffers[0]
                try:
                    count = await direct.receive_into(buffer, TRANSFER_STALL_S)
                except (ConnectionError, TimeoutError) as error:
                    raise Unavailable(what="The sender") from error
                left -= count
                if writing is not None:
                    await writing
                piece = buffer[:count]
                writing = asyncio.ensure_future(self._store.run(lambda piece=piece: draft.write((piece,))))  # type: ignore[misc]
                buffers.reverse()
        finally:
            direct.give_up()
            # The draft is closed next, and the buffers are another's: no thread may still be using them.
            if writing is not None:
                await asyncio.wait((writing,))
            for buffer in buffers:
                self._store.take_back(buffer)
        if writing is not None:
            await writing

    # -- Out -------------------------------------------------------------------------------------------------------------

    async def _get(self, scope: Scope, headers: dict[str, str], key: str, send: Send) -> None:
        parameters = self._signer.verify("GET", key, scope["query_string"], headers)
        layout = await self._store.run(lambda: self._store.layout(key))
        total, etag = layout.size, f'"{key}"'
        start, end, partial = chosen_range(headers, total, etag)
        answer = [
            (b"content-type", parameters.get("response-content-type", "application/octet-stream").encode()),
            (b"content-length", str(end - start).encode()),
            (b"accept-ranges", b"bytes"),
            (b"etag", etag.encode()),
            (b"cache-control", b"private, no-store"),
            (b"content-security-policy", b"sandbox; default-src 'none'"),
        ]
        if (disposition := parameters.get("response-content-disposition")) is not None:
            answer.append((b"content-disposition", disposition.encode()))
        if partial:
            answer.append((b"content-range", f"bytes {start}-{end - 1}/{total}".encode()))
        slices = [] if scope["method"] == "HEAD" else list(layout.slices(start, end))
        # Opened before the answer begins, so that an object that has just gone is a problem document.
        file = await self._store.run(lambda: _open(slices[0][0])) if slices else -1
        try:
            await send({"type": "http.response.start", "status": 206 if partial else 200, "headers": answer})
            for index, (path, first, last) in enumerate(slices):
                if index:
                    os.close(file)
                    file = -1
                    file = await self._store.run(lambda path=path: _open(path))  # type: ignore[misc]
                await self._send_range(scope, file, first, last, total >= BULK_BYTES, send)
            await send({"type": "http.response.body", "body": b""})
        except SynclineError as error:
            # The answer has begun: breaking the connection is the only way left to say so.
            raise ConnectionAbortedError("the object store failed") from error
        finally:
            if file >= 0:
                os.close(file)

    async def _send_range(self, scope: Scope, file: int, start: int, end: int, bulk: bool, send: Send) -> None:
        direct = _direct(scope)
        if direct is not None and end - start > DIRECT_ABOVE_BYTES:
            await direct.send_file(file, start, end, self._store.run, TRANSFER_STALL_S)
            if bulk:
                await self._store.run(lambda: uncache(file, start, end - start))
        else:
            await self._send_pieces(file, start, end, bulk, send)

    async def _send_pieces(self, file: int, start: int, end: int, bulk: bool, send: Send) -> None:
        """Sends `[start, end)`, reading one piece ahead of the peer."""
        reading = asyncio.ensure_future(self._store.run(lambda: _read(file, start, end, bulk)))
        try:
            while start < end:
                piece = await reading
                start += len(piece)
                if start < end:
                    reading = asyncio.ensure_future(self._store.run(lambda start=start: _read(file, start, end, bulk)))  # type: ignore[misc]
                async with asyncio.timeout(TRANSFER_STALL_S):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            # The file is closed next: no thread may still be reading from it.
            await asyncio.wait((reading,))


def _direct(scope: Scope) -> Direct | None:
    return (scope.get("extensions") or {}).get("syncline.direct")


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _read(file: int, start: int, end: int, bulk: bool) -> bytes:
    piece = os.pread(file, min(PIECE_BYTES, end - start), start)
    if not piece:
        raise Unavailable(what="The object store")
    if bulk:
        uncache(file, start, len(piece))
    return piece


async def _next(receive: Receive) -> Message:
    try:
        async with asyncio.timeout(TRANSFER_STALL_S):
            message = await receive()
    except TimeoutError as error:
        raise Unavailable(what="The sender") from error
    if message["type"] != "http.request":
        raise Unavailable(what="The sender")
    return message


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
