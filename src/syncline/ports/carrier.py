"""Carriers: questions to another process of the same server, and their answers.

Contract: a question is delivered to one peer of a role, whole, at most once unless it may be asked again; the answer comes whole or
not at all. Who answers is proven to be of this server, and so is who asks. Peers that are dead, gone or going are left out.
"""

from __future__ import annotations

from typing import Protocol


class Carrier(Protocol):
    async def call(self, address: str, question: bytes, *, again: bool, within_s: float) -> bytes:
        """The answer of whoever keeps `address` (`room/method`), within so many seconds. `again`: the question may be asked a
        second time when it is not known what became of the first.

        Raises `Unavailable` when nobody could be asked or the answer was lost, `TooBusy`, `LimitExceeded` for messages that are
        too large.
        """
        ...
