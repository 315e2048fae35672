"""Failures leave as problem documents, whoever raised them: our rules, Litestar's routing and validation, or a defect.

A defect is logged with its kind and its places in the code, never with its message: messages of databases quote their values.
"""

from __future__ import annotations

import traceback
from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from syncline.model.errors import InvalidRequest, LimitExceeded, NotFound, Refused, SynclineError, Unavailable
from syncline.protocol.problems import problem_answer

log: Final[Any] = structlog.get_logger("syncline.gateway")


class MethodRefused(Refused):
    """This door does not take {method}."""

    code = "method.not_allowed"
    status = 405


class EncodingRefused(Refused):
    """Bodies may be sent as they are or as zstd, not as {encoding}."""

    code = "request.encoding"
    status = 415


class Defect(SynclineError):
    """Something went wrong in the server; its log says what, under this request id."""

    code = "server.error"


def respond(request: Request[Any, Any, Any], error: SynclineError) -> Response[bytes]:
    """The answer that an error is."""
    status, headers, body = problem_answer(error, request_id(request))
    texts = {name.decode(): value.decode() for name, value in headers if name not in (b"content-type", b"content-length")}
    return Response(body, status_code=status, headers=texts, media_type="application/problem+json")


def respond_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Litestar's own refusals, as ours."""
    if error.status_code == 404:
        return respond(request, NotFound(what="This door"))
    if error.status_code == 405:
        return respond(request, MethodRefused(method=request.method))
    if error.status_code == 413:
        return respond(request, LimitExceeded(what="The body", limit="its bound"))
    if error.status_code >= 500:
        # Among these is Litestar's word for a client that left in the middle of its body.
        return respond(request, Unavailable(what="This door"))
    return respond(request, InvalidRequest(message=_explain(error)))


def respond_defect(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    log_defect(error, request_id(request), route_of(request))
    return respond(request, Defect())


def log_defect(error: Exception, request: str, route: str) -> None:
    """Says what kind of defect it was and where in the code, and nothing it was about."""
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)][-12:]
    log.error("defect", request_id=request, route=route, kind=type(error).__name__, places=places)


def request_id(request: Request[Any, Any, Any]) -> str:
    return str(request.scope.get("syncline.request_id", ""))


def route_of(request: Request[Any, Any, Any]) -> str:
    """The route's pattern, without what the caller filled in."""
    handler = request.scope.get("route_handler")
    return "|".join(sorted(handler.paths)) if handler is not None else ""


def _explain(error: HTTPException) -> str:
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        parts = [f"{part.get('key', 'body')}: {part.get('message', '')}" for part in error.extra if isinstance(part, dict)]
        return "; ".join(parts)[:500] or error.detail
    return error.detail[:500]
