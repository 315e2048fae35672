"""`ports.leases.Leases` in memory."""

from __future__ import annotations

from syncline.ports.clock import Clock


class MemoryLeases:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[str, tuple[str, float]] = {}
        """Holder and end, by name."""

    async def hold(self, name: str, holder: str, ttl_s: float) -> bool:
        now_s = self._clock.monotonic_s()
        other, ends_s = self._held.get(name, (holder, 0.0))
        if other != holder and ends_s > now_s:
            return False
        self._held[name] = (holder, now_s + ttl_s)
        return True

    async def release(self, name: str, holder: str) -> None:
        if self._held.get(name, ("", 0.0))[0] == holder:
            del self._held[name]
