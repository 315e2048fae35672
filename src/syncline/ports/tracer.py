"""Following one request through the rooms it passes. A span's name is a place in the code, never what the request is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Final, Protocol, TypeAlias

Closed: TypeAlias = Callable[[BaseException | None], None]
"""Ends a span, in the same task that began it; told of what ended it, if that was an error."""


TRACEPARENT: Final[ContextVar[str]] = ContextVar("traceparent", default="")
"""The span this task is in, as W3C `traceparent`, for other processes that are asked meanwhile; empty outside one. A process that
is asked sets it to what came with the question, and its first span lies below that."""


class Tracer(Protocol):
    def begin(self, name: str, /, *, parent: str = "", facts: Mapping[str, str] | None = None) -> Closed:
        """Begins a span below the one this task is in, or below a `traceparent` that came with a request."""
        ...

    def name(self, name: str, /, facts: Mapping[str, str]) -> None:
        """The span this task is in is called that, now that it is known, and this is known of it."""
        ...


class NoTracer:
    """Follows nothing."""

    def begin(self, name: str, /, *, parent: str = "", facts: Mapping[str, str] | None = None) -> Closed:
        return _nothing

    def name(self, name: str, /, facts: Mapping[str, str]) -> None:
        return


def _nothing(error: BaseException | None) -> None:
    return


NO_TRACER: Final = NoTracer()
