"""Who may hear of what, asked for many at once: what stands before every hint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from syncline.model.ids import DeviceId, NamespaceId

Ear = tuple[DeviceId, NamespaceId]
"""A device, and a namespace it wants to hear of."""

EARS_MAX: Final = 1000


class Audience(Protocol):
    async def may_hear(self, ears: Sequence[Ear]) -> dict[Ear, int | None]:
        """Of at most `EARS_MAX`, those whose device is linked and whose user is enabled: the namespace's head where the user is a
        member, None where not. As committed when asked; never from a copy that lags. Raises `Unavailable`."""
        ...
