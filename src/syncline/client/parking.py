"""What keeps failing is parked with its reason, and holds back only its own node.

A parked node is left out of plans until its time to try again has come, or until either side of it changes.
"""

from __future__ import annotations

from msgspec import Struct

from syncline.client.status import Problem
from syncline.client.trees.trees import Trees
from syncline.model.errors import ChangedWhileRead, DiskFull, SynclineError, Unreadable
from syncline.model.ids import NodeId
from syncline.model.limits import PARK_AFTER_FAILURES, PARK_RETRY_S
from syncline.ports.clock import Clock

RETRY_CAP_S = 3600.0
FIRST_RETRY_S = 1.0


class _Spot(Struct):
    failures: int
    retry_at_s: float
    state: object
    problem: Problem | None


class Parking:
    """Nodes that failed, each until its time."""

    def __init__(self, trees: Trees, clock: Clock) -> None:
        self._trees = trees
        self._clock = clock
        self._spots: dict[NodeId, _Spot] = {}

    def failed(self, node: NodeId, path: str, error: SynclineError) -> None:
        """Counts a failure. Early ones are retried after seconds and in silence; what a person can mend is told at once."""
        spot = self._spots.get(node)
        failures = 1 if spot is None else spot.failures + 1
        if isinstance(error, ChangedWhileRead):
            failures = 1
        plain = isinstance(error, DiskFull | Unreadable)
        parked = failures >= PARK_AFTER_FAILURES or plain or not error.retryable
        delay = min(RETRY_CAP_S, (PARK_RETRY_S if parked else FIRST_RETRY_S) * 2 ** min(failures - 1, 6))
        if plain:
            delay = min(delay, PARK_RETRY_S / 2)
        problem = Problem(code=error.code, path=path, message=str(error)) if parked else None
        self._spots[node] = _Spot(failures, self._clock.monotonic_s() + delay, self._state(node), problem)

    def held_by(self, node: NodeId, problem: Problem) -> None:
        """Something on this disk stands in the way: told at once, tried again every half minute."""
        spot = self._spots.get(node)
        retry_at_s = self._clock.monotonic_s() + PARK_RETRY_S / 2
        self._spots[node] = _Spot(1 if spot is None else spot.failures + 1, retry_at_s, self._state(node), problem)

    def succeeded(self, node: NodeId) -> None:
        self._spots.pop(node, None)

    def held(self) -> set[NodeId]:
        """Nodes to leave alone now."""
        now = self._clock.monotonic_s()
        return {
            node
            for node, spot in self._spots.items()
            if spot.retry_at_s > now and (spot.problem is None or spot.state == self._state(node))
        }

    def retrying(self) -> bool:
        """Whether something that has not been given up yet waits for its next try."""
        return any(spot.problem is None for spot in self._spots.values())

    def next_retry_s(self) -> float | None:
        """The monotonic instant of the next try."""
        return min((spot.retry_at_s for spot in self._spots.values()), default=None)

    def forget_absent(self) -> None:
        """Drops nodes that are in no tree any more."""
        for node in [node for node in self._spots if node not in self._trees.local and node not in self._trees.remote]:
            del self._spots[node]

    def release(self) -> None:
        """Everything may be tried again at once (a person asked, or the server is back)."""
        for spot in self._spots.values():
            spot.retry_at_s = float("-inf")

    def problems(self) -> list[Problem]:
        return [spot.problem for spot in self._spots.values() if spot.problem is not None]

    def _state(self, node: NodeId) -> object:
        local, remote = self._trees.local.get(node), self._trees.remote.get(node)
        return (local and (local.signature, local.parent, local.name), remote and (remote.revision, remote.parent, remote.name))
