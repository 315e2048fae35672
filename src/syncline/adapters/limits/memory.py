"""`ports.limiter.Limiter` in this process: a bucket for each rule and key, in a bounded table.

The table forgets whoever it heard of longest ago; a forgotten bucket is a full one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from syncline.ports.clock import Clock
from syncline.ports.limiter import Rule

BUCKETS_MAX: Final = 100_000


class MemoryLimiter:
    def __init__(self, clock: Clock, *, buckets_max: int = BUCKETS_MAX) -> None:
        self._clock = clock
        self._buckets_max = buckets_max
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()
        """(rule, key) → (what is left, when that was true)."""

    async def take(self, rule: Rule, key: str) -> float:
        now, each_s = self._clock.monotonic_s(), rule.period_s / rule.amount
        left, since = self._buckets.pop((rule.name, key), (float(rule.amount), now))
        left = min(float(rule.amount), left + (now - since) / each_s)
        passes = left >= 1.0
        self._buckets[rule.name, key] = (left - 1.0 if passes else left, now)
        while len(self._buckets) > self._buckets_max:
            self._buckets.popitem(last=False)
        return 0.0 if passes else (1.0 - left) * each_s

    async def forgive(self, rule: Rule, key: str) -> None:
        self._buckets.pop((rule.name, key), None)
