"""A cache that many processes share. It may forget anything at any time, be away, be slow, or give back what was put long ago.

Contract: no call ever raises, and none takes longer than some tens of milliseconds; `get` gives exactly bytes that were once put
under that name, or None. Laws for whoever asks: what comes back is no proof of anything. It may spare work whose outcome is checked
otherwise, against a version that the database just told or within an age that the value proves by itself; it never grants, never
counts as the state of anything, and never decides what is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

VALUE_MAX_BYTES = 1 << 20
"""What is larger is not kept."""
NAMES_MAX = 1000
"""In one group; a group that outgrows it may be forgotten as a whole."""


class Cache(Protocol):
    """Values lie in groups, which are forgotten together."""

    async def get(self, group: str, names: Sequence[str]) -> list[bytes | None]:
        """In order."""
        ...

    async def put(self, group: str, name: str, value: bytes, ttl_s: int) -> None:
        """The whole group lives on for so long, at most."""
        ...

    async def forget(self, group: str) -> None: ...


class NoCache:
    """Keeps nothing."""

    async def get(self, group: str, names: Sequence[str]) -> list[bytes | None]:
        return [None] * len(names)

    async def put(self, group: str, name: str, value: bytes, ttl_s: int) -> None:
        return

    async def forget(self, group: str) -> None:
        return
