"""What waits in the database, counted now and then for whoever operates a server."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Backlog(Struct, frozen=True, kw_only=True):
    """Counts stop at `COUNTED_MAX`. Ages are of the oldest one, None where there is none."""

    uploads_open: int
    ingest_waiting: int
    ingest_oldest_us: int | None
    relay_waiting: int
    relay_oldest_us: int | None
    """When the oldest entry was made that the relay has not told yet."""


class BacklogStore(Protocol):
    async def look(self, *, relay: bool) -> Backlog:
        """Without a `relay` nothing waits for one, and it is not asked. Raises `Unavailable`."""
        ...
