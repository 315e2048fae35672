"""Forms with files (`multipart/form-data`, RFC 7578), read as they come: no part of a file is held longer than it takes to hand
on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Final

from msgspec import Struct
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from syncline.model.errors import InvalidRequest, LimitExceeded
from syncline.model.limits import DROP_FILES_MAX, KIB

FIELDS_MAX: Final = 100
_HEADER_MAX_BYTES: Final = 8 * KIB


class FormFile(Struct, frozen=True):
    """A file of a form. Its content must be read to its end before the next one is asked for."""

    name: str
    content: AsyncIterator[bytes]


class Form:
    """The files in one body, in order. Fields without a file name, and empty ones nobody chose a file for, are passed over."""

    def __init__(self, body: AsyncIterator[bytes], content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get("boundary", "")
        if kind != "multipart/form-data" or not boundary or len(boundary) > 200:
            raise InvalidRequest(message="Send the files as multipart/form-data")
        self._body = body
        self._parser = PushMultipartParser(
            boundary,
            max_header_size=_HEADER_MAX_BYTES,
            max_segment_count=DROP_FILES_MAX + FIELDS_MAX,
        )
        self._events: Iterator[MultipartSegment | bytes | None] = iter(())

    async def files(self) -> AsyncIterator[FormFile]:
        """Raises `InvalidRequest` for what is no whole form, `LimitExceeded` for too many files."""
        count = 0
        while not isinstance(event := await self._next(), _End):
            if isinstance(event, MultipartSegment) and event.filename:
                count += 1
                if count > DROP_FILES_MAX:
                    raise LimitExceeded(what="The number of files in a form", limit=DROP_FILES_MAX)
                yield FormFile(event.filename, self._content())

    async def _content(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self._next(), bytes | bytearray):
            yield bytes(event)

    async def _next(self) -> MultipartSegment | bytes | _End | None:
        """The parser's next event; None ends a part."""
        try:
            while True:
                event = next(self._events, _END)
                if not isinstance(event, _End):
                    return event
                if self._parser.closed:
                    return _END
                piece = await anext(self._body, b"")
                if not piece:
                    self._parser.close()
                    return _END
                self._events = self._parser.parse(piece)
        except MultipartError as error:
            raise InvalidRequest(message=f"The form cannot be read: {error}") from error


class _End:
    """Nothing more comes."""


_END: Final = _End()
