"""Where the peers of a role are: addresses as they are configured, with names looked up again every so often.

A name may stand for many processes (a headless service of Kubernetes, a record with several addresses): each address is a peer.
What cannot be looked up now keeps the addresses it had.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

ADDRESSES_MAX: Final = 256
LOOK_UP_S: Final = 5.0


class Address(Struct, frozen=True):
    """`host` as it is configured, for TLS; `target` as gRPC takes it."""

    host: str
    target: str


class Names:
    def __init__(self, addresses: Sequence[tuple[str, int]]) -> None:
        self._addresses = addresses
        self._known: dict[tuple[str, int], list[Address]] = {}

    async def look_up(self) -> list[Address]:
        """All there are now, at most `ADDRESSES_MAX`."""
        for one in self._addresses:
            found = await _found(*one)
            if found:
                self._known[one] = found
        return [address for one in self._addresses for address in self._known.get(one, ())][:ADDRESSES_MAX]


async def _found(host: str, port: int) -> list[Address]:
    literal = _target(host, port)
    if literal is not None:
        return [Address(host, literal)]
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOK_UP_S):
            answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        return []
    targets = dict.fromkeys(_target(str(answer[4][0]), port) for answer in answers)
    return [Address(host, target) for target in targets if target is not None]


def _target(host: str, port: int) -> str | None:
    """The address of a literal IP; None for a name."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    return f"ipv4:{ip}:{port}" if ip.version == 4 else f"ipv6:[{ip}]:{port}"
