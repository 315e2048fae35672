"""Bodies on the wire: JSON by msgspec, zstd above a kibibyte, and answers decoded under a cap.

Laws: nothing is decompressed beyond `BODY_MAX_BYTES`; an answer that is no JSON of the expected shape is the server's fault
(`Unavailable`: a proxy's error page, a truncated body), never an exception of a library.
"""

from __future__ import annotations

import sys
from typing import Any, Final, TypeVar

import msgspec

from syncline.model.errors import LimitExceeded, Retryable, SynclineError, Unavailable
from syncline.model.limits import BODY_MAX_BYTES, KIB
from syncline.protocol.problems import from_problem

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESS_ABOVE_BYTES: Final = 1 * KIB
INLINE_BYTES: Final = 256 * KIB
"""Bodies above this are (de)compressed in a thread."""
_LEVEL: Final = 1
_ENCODER: Final = msgspec.json.Encoder()

T = TypeVar("T")


def encode(value: object) -> bytes:
    return _ENCODER.encode(value)


def compress(body: bytes) -> bytes:
    return zstd.compress(body, _LEVEL)


def expand(body: bytes, encoding: str) -> bytes:
    """The plain body of an answer; raises `Unavailable` when it is damaged, `LimitExceeded` when it is a bomb."""
    if encoding in ("", "identity"):
        return body
    if encoding != "zstd":
        raise Unavailable(what="the server", reason=f"it answered in an encoding nobody asked for: {encoding[:20]}")
    decoder = zstd.ZstdDecompressor()
    try:
        plain = decoder.decompress(body, max_length=BODY_MAX_BYTES + 1)
    except zstd.ZstdError as error:
        raise Unavailable(what="the server", reason="its answer is damaged") from error
    if len(plain) > BODY_MAX_BYTES:
        raise LimitExceeded(what="an answer of the server", limit=BODY_MAX_BYTES)
    if not decoder.eof or decoder.unused_data:
        raise Unavailable(what="the server", reason="its answer is damaged")
    return plain


def decode(body: bytes, kind: type[T]) -> T:
    """The answer as `kind`; `type(None)` ignores the body."""
    if kind is type(None):
        return None
    try:
        answer: T = msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unavailable(what="the server", reason=f"its answer is not understood ({error})") from error
    return answer


def problem(status: int, body: bytes) -> SynclineError:
    """The typed error of a refusal. A 5xx without a code of its own means "unknown", and comes as `Unavailable`."""
    try:
        document = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        document = {}
    if not document.get("code"):
        document = {"code": "", "detail": f"HTTP status {status}", "retryable": status >= 500 or status in (408, 425, 429)}
    error = from_problem(document)
    if type(error) in (Retryable, SynclineError) and status >= 500:
        fields = {"what": "the server", "reason": f"it answered with status {status}"} | error.fields
        return Unavailable(**fields)
    return error
