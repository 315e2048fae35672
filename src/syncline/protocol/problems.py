"""Problem documents (RFC 9457): how an error crosses the wire, and becomes the same typed error on the other side."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from syncline.model import errors
from syncline.model.errors import SynclineError

_RESERVED: Final = frozenset(("type", "title", "status", "code", "detail", "retryable", "retry_after", "request_id"))


def _kinds(base: type[SynclineError]) -> dict[str, type[SynclineError]]:
    found = {base.code: base}
    for kind in base.__subclasses__():
        found |= {code: sub for code, sub in _kinds(kind).items() if code not in found}
    return found


_BY_CODE: Final = _kinds(SynclineError)


def to_problem(error: SynclineError, request_id: str) -> dict[str, Any]:
    """The problem document of an error. Its fields stand beside the standard members."""
    document: dict[str, Any] = {key: value for key, value in error.fields.items() if key not in _RESERVED}
    document |= {
        "type": f"urn:syncline:problem:{error.code}",
        "title": error.title if not error.fields else str(error),
        "status": error.status,
        "code": error.code,
        "detail": str(error),
        "retryable": error.retryable,
        "request_id": request_id,
    }
    if "retry_after" in error.fields:
        document["retry_after"] = error.fields["retry_after"]
    return document


def problem_answer(error: SynclineError, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of the HTTP answer that an error is."""
    headers = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
    if "retry_after" in error.fields:
        headers.append((b"retry-after", str(error.fields["retry_after"]).encode()))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    body = msgspec.json.encode(to_problem(error, request_id))
    headers.append((b"content-length", str(len(body)).encode()))
    return error.status, headers, body


def from_problem(document: dict[str, Any]) -> SynclineError:
    """The typed error of a problem document; an unknown code keeps its detail as a `Refused` or `Retryable`."""
    fields = {key: value for key, value in document.items() if key not in _RESERVED or key == "retry_after"}
    kind = _BY_CODE.get(str(document.get("code", "")))
    if kind is errors.Retryable:
        return errors.Unavailable(**{"what": "The server"} | fields)
    if kind is not None:
        return kind(**fields)
    detail = str(document.get("detail") or document.get("title") or "unknown error")
    if document.get("retryable"):
        return errors.Unavailable(what=detail, **fields)
    return errors.InvalidRequest(message=detail, **fields)
