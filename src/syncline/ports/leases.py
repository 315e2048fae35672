"""Leases: which of many processes does what only one should.

Contract: at most one holder has a name at any instant of the store's own clock. A lease is an economy, not a lock: a holder that
was stopped may still be at work when another has taken over, so what is done under one must be harmless when done twice. A store
that cannot be reached raises `Unavailable`.
"""

from __future__ import annotations

from typing import Protocol


class Leases(Protocol):
    async def hold(self, name: str, holder: str, ttl_s: float) -> bool:
        """Takes the lease when it is free or run out, and prolongs it for its holder: for so long from now. False while another
        holds it."""
        ...

    async def release(self, name: str, holder: str) -> None:
        """Lets another take it at once; nothing where it is not the holder's any more."""
        ...
