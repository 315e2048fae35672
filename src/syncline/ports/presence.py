"""Presence: which of a person's devices are connected, known to every process of a server.

Contract: a device is there for `ttl_s` after it was last seen. Presence is a courtesy and counts for nothing: where it cannot be
kept or read at the moment that raises `Unavailable`, and the caller does without.
"""

from __future__ import annotations

from typing import Protocol

from syncline.model.ids import DeviceId, UserId


class Presence(Protocol):
    async def seen(self, user: UserId, device: DeviceId, ttl_s: float) -> None: ...

    async def gone(self, user: UserId, device: DeviceId) -> None:
        """It was unlinked, or has taken its leave."""
        ...

    async def who(self, user: UserId) -> dict[DeviceId, int]:
        """The devices that are there, with the time each was last seen, in microseconds since 1970."""
        ...
