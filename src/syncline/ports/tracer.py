"""Following one request through the rooms it passes. A span's name is a place in the code, never what the request is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeAlias

Closed: TypeAlias = Callable[[BaseException | None], None]
"""Ends a span, in the same task that began it; told of what ended it, if that was an error."""


class Tracer(Protocol):
    def begin(self, name: str, /, *, parent: str = "", facts: Mapping[str, str] | None = None) -> Closed:
        """Begins a span below the one this task is in, or below a W3C `traceparent` that came with a request."""
        ...

    def name(self, name: str, /, facts: Mapping[str, str]) -> None:
        """The span this task is in is called that, now that it is known, and this is known of it."""
        ...

    def traceparent(self) -> str:
        """What to send along to another process, so that its spans lie below this task's; empty outside a span."""
        ...


class NoTracer:
    """Follows nothing."""

    def begin(self, name: str, /, *, parent: str = "", facts: Mapping[str, str] | None = None) -> Closed:
        return _nothing

    def name(self, name: str, /, facts: Mapping[str, str]) -> None:
        return

    def traceparent(self) -> str:
        return ""


def _nothing(error: BaseException | None) -> None:
    return


NO_TRACER: Final = NoTracer()
