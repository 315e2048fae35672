"""Which peer is asked next: round robin over those that answer; one that does not is left out at once, and tried again ever less
often while it goes on so, by whoever looks after the ring.

Pure but for the clock and chance that are handed in; the links to the peers are whatever the caller keeps with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Generic, TypeVar

from syncline.ports.clock import Chance, Clock

RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 2.0

Link = TypeVar("Link")


class Peer(Generic[Link]):
    """One process of a role, as far as this process knows it."""

    __slots__ = ("failures", "link", "name", "out_until_s")

    def __init__(self, name: str, link: Link) -> None:
        self.name = name
        self.link = link
        self.failures = 0
        """In a row."""
        self.out_until_s = 0.0


class Ring(Generic[Link]):
    def __init__(self, clock: Clock, chance: Chance) -> None:
        self._clock = clock
        self._chance = chance
        self._peers: list[Peer[Link]] = []
        self._next = 0

    @property
    def peers(self) -> tuple[Peer[Link], ...]:
        return tuple(self._peers)

    def set(self, peers: Iterable[Peer[Link]]) -> None:
        self._peers = list(peers)

    def order(self) -> list[Peer[Link]]:
        """The peers to try for one question, the next in turn first. Those that are left out are not among them until they are due
        again, and then last: no question waits for one that may still be dead while there is another."""
        count = len(self._peers)
        self._next += 1
        turned = [self._peers[(self._next + index) % count] for index in range(count)]
        return [*(peer for peer in turned if not peer.failures), *self.due()]

    def due(self) -> list[Peer[Link]]:
        """Those that are left out and may be tried again now."""
        now_s = self._clock.monotonic_s()
        return [peer for peer in self._peers if peer.failures and peer.out_until_s <= now_s]

    def failed(self, peer: Peer[Link]) -> None:
        """Leaves it out, for a jittered time that grows with each failure."""
        pause_s = min(RETRY_MAX_S, RETRY_FIRST_S * (1 << min(peer.failures, 10)))
        peer.failures += 1
        peer.out_until_s = self._clock.monotonic_s() + pause_s * (0.5 + self._chance.fraction())

    def worked(self, peer: Peer[Link]) -> None:
        peer.failures = 0
