"""The bus: hints that a namespace's journal moved, from whoever commits to every process that holds connections.

Contract: a published hint is kept before `publish` returns, and reaches every subscriber at least once, unless it was kept for
longer than the bus's bounds on age and size allow: then the subscriber is told that there is a gap. Hints of one namespace come in
the order in which they were published; between namespaces there is no order. A bus holds no state about its subscribers: each keeps
the position of what it has worked off, and goes on there after anything that befell it, in this process or the next. Whatever a bus
cannot do at the moment raises `Unavailable` within seconds, and nothing waits on it for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, NewType, Protocol

from msgspec import Struct

from syncline.model.ids import NamespaceId

Position = NewType("Position", str)
"""Where a subscriber stands: opaque, and of one kind of bus."""

PUBLISHED_MAX: Final = 1000
"""Hints in one call of `publish`, and about as many in one delivery."""


class Hint(Struct, frozen=True, gc=False):
    """A namespace's head was at `sequence`, or further."""

    namespace: NamespaceId
    sequence: int


class Delivery(Struct, frozen=True, kw_only=True):
    """Some hints, in the order of each namespace. Who has worked them off keeps `position`: that is their acknowledgement."""

    hints: Sequence[Hint]
    position: Position
    gap: bool = False
    """Earlier hints are gone: every namespace may have moved."""


class Subscription(Protocol):
    @property
    def position(self) -> Position:
        """Where it stands before its next delivery: of a new subscription, where it began."""
        ...

    async def next(self, timeout_s: float) -> Delivery | None:
        """What comes next; None when nothing came in time. Raises `Unavailable`: subscribe again, from the position you kept."""
        ...


class Bus(Protocol):
    async def publish(self, hints: Sequence[Hint]) -> None:
        """At most `PUBLISHED_MAX`. Raises `Unavailable` when some of them may not have been kept; to publish all of them again is
        right."""
        ...

    def subscribe(self, after: Position | None = None) -> AbstractAsyncContextManager[Subscription]:
        """What is published from now on, or what was published after a position. Raises `Unavailable`."""
        ...

    async def close(self) -> None:
        """Lets go of every connection."""
        ...
