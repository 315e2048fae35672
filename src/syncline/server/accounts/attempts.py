"""Sign-in attempts: a token bucket per e-mail address and network address, in a bounded table.

An attempt is paid for before the password is looked at, so attempts made at once count too. The table forgets whoever it heard
of longest ago; a forgotten bucket is a full one.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final

from syncline.model.errors import TooBusy
from syncline.ports.clock import Clock

ATTEMPTS_AT_ONCE: Final = 10
ATTEMPT_EVERY_S: Final = 6.0
BUCKETS_MAX: Final = 10_000


class Attempts:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()
        """Key → (attempts left, when that was true)."""

    def take(self, email: str, address: str) -> None:
        """Pays for one attempt. Raises `TooBusy` with the seconds to wait when none is left."""
        key, now = (email, address), self._clock.monotonic_s()
        left, since = self._buckets.pop(key, (float(ATTEMPTS_AT_ONCE), now))
        left = min(float(ATTEMPTS_AT_ONCE), left + (now - since) / ATTEMPT_EVERY_S)
        if left < 1.0:
            self._buckets[key] = (left, now)
            raise TooBusy(retry_after=math.ceil((1.0 - left) * ATTEMPT_EVERY_S))
        self._buckets[key] = (left - 1.0, now)
        while len(self._buckets) > BUCKETS_MAX:
            self._buckets.popitem(last=False)

    def forgive(self, email: str, address: str) -> None:
        """A right password gives the attempts back."""
        self._buckets.pop((email, address), None)
