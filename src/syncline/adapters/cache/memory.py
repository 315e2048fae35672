"""`ports.cache.Cache` in this process's memory, bounded: what was used longest ago goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from syncline.ports.cache import NAMES_MAX, VALUE_MAX_BYTES
from syncline.ports.clock import Clock

BYTES_MAX: Final = 32 << 20


class MemoryCache:
    def __init__(self, clock: Clock, *, bytes_max: int = BYTES_MAX) -> None:
        self._clock = clock
        self._bytes_max = bytes_max
        self._bytes = 0
        self._groups: OrderedDict[str, tuple[float, dict[str, bytes]]] = OrderedDict()
        """Name → (until when, its values)."""

    async def get(self, group: str, names: Sequence[str]) -> list[bytes | None]:
        values = self._living(group)
        return [values.get(name) for name in names]

    async def put(self, group: str, name: str, value: bytes, ttl_s: int) -> None:
        if len(value) > VALUE_MAX_BYTES:
            return
        values = self._living(group)
        self._bytes += len(value) - len(values.get(name, b""))
        values[name] = value
        self._groups[group] = (self._clock.monotonic_s() + ttl_s, values)
        if len(values) > NAMES_MAX:
            await self.forget(group)
        while self._bytes > self._bytes_max:
            await self.forget(next(iter(self._groups)))

    async def forget(self, group: str) -> None:
        _, values = self._groups.pop(group, (0.0, {}))
        self._bytes -= sum(map(len, values.values()))

    def _living(self, group: str) -> dict[str, bytes]:
        until, values = self._groups.get(group, (0.0, {}))
        if values and self._clock.monotonic_s() >= until:
            del self._groups[group]
            self._bytes -= sum(map(len, values.values()))
            return {}
        if values:
            self._groups.move_to_end(group)
        return values
