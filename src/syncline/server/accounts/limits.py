"""How often somebody may ask: by user, by device and by network address, and how often a sign-in may be tried.

Each limit is counted in a `Limiter`, which processes may share. Keys are digests, so that no e-mail address and no network address
lies in a memory of somebody else's. Whoever is over a limit gets `TooBusy` with the seconds to wait.
"""

from __future__ import annotations

import hashlib
import math
from typing import Final

from syncline.model.errors import TooBusy
from syncline.ports.limiter import Limiter, Rule
from syncline.ports.meter import NO_METER, Meter
from syncline.ports.metrics import LIMITED
from syncline.server.caller import Caller

MINUTE_S: Final = 60
SIGN_INS: Final = Rule("sign-in", 10, MINUTE_S)
_KEY_BYTES: Final = 16


class CallLimits:
    """`…_per_minute` None is no limit. `key` is a secret of the server's."""

    def __init__(
        self,
        limiter: Limiter,
        key: bytes,
        meter: Meter = NO_METER,
        *,
        user_per_minute: int | None = None,
        device_per_minute: int | None = None,
        address_per_minute: int | None = None,
    ) -> None:
        self._limiter = limiter
        self._key = key
        self._meter = meter
        self._user = _rule("user", user_per_minute)
        self._device = _rule("device", device_per_minute)
        self._address = _rule("address", address_per_minute)

    async def call(self, caller: Caller) -> None:
        """Raises `TooBusy`."""
        await self._take(self._device, caller.device_id)
        await self._take(self._user, caller.user_id)

    async def address(self, address: str) -> None:
        """Raises `TooBusy`."""
        await self._take(self._address, address)

    async def sign_in(self, email: str, address: str) -> None:
        """Raises `TooBusy`."""
        await self._take(SIGN_INS, f"{email}\0{address}")

    async def signed_in(self, email: str, address: str) -> None:
        """A right password gives the attempts back."""
        await self._limiter.forgive(SIGN_INS, self._digest(f"{email}\0{address}"))

    async def _take(self, rule: Rule | None, of: str) -> None:
        if rule is None:
            return
        wait_s = await self._limiter.take(rule, self._digest(of))
        if wait_s > 0:
            self._meter.add(LIMITED, 1, rule.name)
            raise TooBusy(retry_after=math.ceil(wait_s))

    def _digest(self, text: str) -> str:
        return hashlib.blake2b(text.encode(errors="replace"), key=self._key, digest_size=_KEY_BYTES).hexdigest()


def _rule(name: str, per_minute: int | None) -> Rule | None:
    return None if per_minute is None else Rule(name, per_minute, MINUTE_S)
