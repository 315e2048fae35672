"""Passwords: Argon2id, in a thread, few at a time.

A verification for an unknown e-mail address costs the same as one for a wrong password, so timing says nothing of who has an
account. Parameters are OWASP's (19 MiB, two passes); stored hashes made with others are renewed at the next sign-in.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from syncline.model.errors import InvalidRequest, LimitExceeded, TooBusy

PASSWORD_MAX_BYTES: Final = 1024
_AT_ONCE: Final = 2
_WAITING_MAX: Final = 64
_MEMORY_KIB: Final = 19 * 1024
_PASSES: Final = 2

Result = TypeVar("Result")


def _blank(size: int) -> str:
    return b64encode(bytes(size)).decode().rstrip("=")


_DECOY: Final = f"$argon2id$v=19$m={_MEMORY_KIB},t={_PASSES},p=1${_blank(16)}${_blank(32)}"
"""A hash no password has: what is checked when there is no such account."""


class Passwords:
    """Hashes and checks passwords."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=1, hash_len=32, salt_len=16)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """The text to store for a password. Raises `InvalidRequest` for an empty one, `LimitExceeded` for an endless one."""
        if not password:
            raise InvalidRequest(message="The password is empty")
        if _size(password) > PASSWORD_MAX_BYTES:
            raise LimitExceeded(what="The password", limit=PASSWORD_MAX_BYTES)
        return await self._in_turn(lambda: self._hasher.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether `password` is the one behind `stored`; None (no such account) takes as long and is never right."""
        if _size(password) > PASSWORD_MAX_BYTES:
            return False
        return await self._in_turn(lambda: self._matches(stored or _DECOY, password)) and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False

    async def _in_turn(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= _WAITING_MAX:
            raise TooBusy(retry_after=2)
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


def _size(password: str) -> int:
    return len(password.encode(errors="replace"))
