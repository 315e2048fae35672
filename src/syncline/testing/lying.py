"""A cache that is as bad as a cache may be, and a little worse: it remembers all it was ever told, and answers what it likes."""

from __future__ import annotations

import random
from collections.abc import Sequence


class LyingCache:
    """Of all values it was ever given it answers any: the newest under that name, an old one, one of another name or group, one
    with a bit turned over, garbage, or none. `forget` and times to live mean nothing to it. The same seed tells the same lies."""

    def __init__(self, seed: int, *, honest: float = 0.5) -> None:
        self._random = random.Random(seed)
        self._honest = honest
        self._kept: dict[tuple[str, str], list[bytes]] = {}
        self.told = 0
        """How often it gave something back."""

    async def get(self, group: str, names: Sequence[str]) -> list[bytes | None]:
        answers = [self._answer(group, name) for name in names]
        self.told += sum(answer is not None for answer in answers)
        return answers

    async def put(self, group: str, name: str, value: bytes, ttl_s: int) -> None:
        self._kept.setdefault((group, name), []).append(value)

    async def forget(self, group: str) -> None:
        return

    def _answer(self, group: str, name: str) -> bytes | None:
        mine = self._kept.get((group, name), [])
        if mine and self._random.random() < self._honest:
            return mine[-1]
        every = [value for values in self._kept.values() for value in values]
        match self._random.randrange(5):
            case 0 if mine:
                return self._random.choice(mine)
            case 1 if every:
                return self._random.choice(every)
            case 2 if every:
                value = bytearray(self._random.choice(every))
                value[self._random.randrange(len(value))] ^= 1 << self._random.randrange(8)
                return bytes(value)
            case 3:
                return self._random.randbytes(self._random.randrange(64))
        return None
