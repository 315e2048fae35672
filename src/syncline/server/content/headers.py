"""What a download is called and how a browser may treat it: Content-Type, Content-Disposition, and the bars around user content.

Types are the stored one, else guessed from the name alone, never from the bytes, and browsers are told not to sniff either. A file
is saved unless showing it was asked for and its type can run nothing: pictures, sound, film and plain text. Whatever is shown is
shown in a sandbox without a way out.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from syncline.ports.content_store import Content

UNKNOWN_TYPE: Final = "application/octet-stream"
SANDBOX: Final = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'"
_PICTURES: Final = "image/png image/jpeg image/gif image/webp image/avif image/bmp"
_SOUNDS: Final = "audio/mpeg audio/mp4 audio/aac audio/ogg audio/wav audio/x-wav audio/flac audio/webm"
_FILMS: Final = "video/mp4 video/webm video/ogg video/quicktime"
INLINE_TYPES: Final = frozenset(f"text/plain {_PICTURES} {_SOUNDS} {_FILMS}".split())
"""Without scripts, plug-ins or references. Not among them on purpose: HTML, SVG, XML, PDF."""

_TOKEN: Final = r"[A-Za-z0-9!#$&^_.+-]{1,64}"
_TYPE: Final = re.compile(rf"{_TOKEN}/{_TOKEN}(; ?{_TOKEN}=({_TOKEN}|\"[A-Za-z0-9 !#$&^_.+:/-]{{0,64}}\"))?")
_ATTRIBUTE: Final = "!#$&+-.^_`|~"
"""What RFC 5987 leaves unescaped beside letters and digits."""
_ENCODINGS: Final = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
    "br": "application/x-brotli",
}
_KNOWN: Final = mimetypes.MimeTypes(filenames=())
"""Python's own table, which is the same on every machine."""


def type_of(name: str, mime_type: str | None) -> str:
    """The stored type where it is one, else what the name says."""
    if mime_type is not None and _TYPE.fullmatch(mime_type):
        return mime_type
    guessed, encoding = _KNOWN.guess_type("_" + name, strict=False)
    if encoding is not None:
        return _ENCODINGS.get(encoding, UNKNOWN_TYPE)
    return guessed or UNKNOWN_TYPE


def disposition_of(name: str, mime_type: str, *, inline: bool) -> str:
    """RFC 6266 for `name`, which no parser can be led out of: plain ASCII for the old ones, RFC 5987 for the exact spelling."""
    shown = inline and mime_type.partition(";")[0].strip().lower() in INLINE_TYPES
    plain = "".join(char if " " <= char <= "~" and char not in '"\\%' else "_" for char in name)
    exact = quote(name, safe=_ATTRIBUTE, errors="replace")
    suffix = "" if exact == plain else f"; filename*=UTF-8''{exact}"
    return f'{"inline" if shown else "attachment"}; filename="{plain}"{suffix}'


def answer_headers(name: str, mime_type: str | None, *, inline: bool) -> dict[str, str]:
    """The two headers that travel with a file wherever its bytes come from."""
    kind = type_of(name, mime_type)
    return {"content-type": kind, "content-disposition": disposition_of(name, kind, inline=inline)}


def etag_of(content: Content) -> str:
    """A strong validator: the hash of the bytes, or the revision, whose bytes never change."""
    if content.content_hash is not None:
        return f'"{content.content_hash}"'
    return f'"{content.node_id}.{content.revision}"'


def bars(etag: str) -> list[tuple[bytes, bytes]]:
    """The headers that every answer of the content door bears, beside those that say what it is."""
    return [
        (b"etag", etag.encode()),
        (b"accept-ranges", b"bytes"),
        (b"cache-control", b"private, no-cache"),
        (b"content-security-policy", SANDBOX.encode()),
        (b"cross-origin-resource-policy", b"same-site"),
        (b"referrer-policy", b"no-referrer"),
    ]


def unchanged(headers: Mapping[str, str], etag: str) -> bool:
    """Whether `If-None-Match` names these very bytes (RFC 9110 §13.1.2)."""
    wanted = headers.get("if-none-match")
    if wanted is None:
        return False
    return wanted.strip() == "*" or any(part.strip().removeprefix("W/") == etag for part in wanted.split(","))
