"""When a call is made again, and how long to wait before: bounded attempts, jittered exponential pauses, `retry_after` honoured.

Laws: only errors of the Retryable family are tried again. A refused connection fails fast, and a silent server soon, since whoever
holds this client has a loop of its own that waits for the server to come back. A pause the server asks for that is longer than
`PAUSE_MAX_S` is the caller's business: the error goes up at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from syncline.model.errors import Retryable
from syncline.model.limits import RETRY_ATTEMPTS
from syncline.ports.clock import Chance

PAUSE_FIRST_S: Final = 0.2
PAUSE_MAX_S: Final = 10.0
REFUSED: Final = "the connection was refused"
SILENT: Final = "it does not answer"
UNTRUSTED: Final = "its certificate is not trusted"
_ATTEMPTS: Final = {REFUSED: 3, SILENT: 2, UNTRUSTED: 1}
"""Fewer attempts where each is sure to cost much, or to tell the same again."""
_REFUSED_PAUSE_S: Final = 0.05

T = TypeVar("T")


class Backoff:
    """Runs attempts of one call; shared by all calls, without state of its own."""

    def __init__(self, chance: Chance, *, attempts: int = RETRY_ATTEMPTS, first_s: float = PAUSE_FIRST_S) -> None:
        self._chance = chance
        self._attempts = attempts
        self._first_s = first_s

    async def run(self, attempt: Callable[[], Awaitable[T]], *, repeatable: bool = True) -> T:
        """The first attempt's answer that comes; raises the last attempt's error."""
        number = 0
        while True:
            try:
                return await attempt()
            except Retryable as error:
                number += 1
                pause_s = self._pause_s(error, number)
                if not repeatable or pause_s is None:
                    raise
            await asyncio.sleep(pause_s)

    def _pause_s(self, error: Retryable, number: int) -> float | None:
        """How long to wait before attempt `number` (counted from 0); None when there should be none."""
        reason = error.fields.get("reason")
        if number >= _ATTEMPTS.get(str(reason), self._attempts):
            return None
        jitter = 0.5 + self._chance.fraction() / 2
        if reason == REFUSED:
            return _REFUSED_PAUSE_S * number * jitter
        asked_s = error.fields.get("retry_after")
        if isinstance(asked_s, int | float) and asked_s > 0:
            return None if asked_s > PAUSE_MAX_S else asked_s + self._first_s * jitter
        return min(self._first_s * 2.0 ** (number - 1), PAUSE_MAX_S) * jitter
