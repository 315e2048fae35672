"""Signing a device in: the one exchange that needs a password, which is kept nowhere."""

from __future__ import annotations

from syncline.adapters.http.caller import Caller
from syncline.adapters.http.retry import Backoff
from syncline.ports.clock import Chance, Clock
from syncline.ports.remote import Traffic
from syncline.protocol.sessions import Me, TokenAnswer, TokenRequest


async def login(
    url: str, email: str, password: str, device_name: str, clock: Clock, chance: Chance, *, backoff: Backoff | None = None
) -> tuple[TokenAnswer, Me]:
    """A new device's tokens, and who it belongs to. Raises `WrongPassword`, `Unavailable`. Not repeated by itself, since each
    success is one more device."""
    caller = Caller(url, None, lambda _: None, clock, backoff or Backoff(chance), Traffic())
    try:
        request = TokenRequest(email=email, password=password, device_name=device_name)
        answer = await caller.call("POST", "/v1/auth/token", TokenAnswer, request, repeatable=False)
        caller.adopt(answer)
        return answer, await caller.call("GET", "/v1/me", Me)
    finally:
        await caller.close()
