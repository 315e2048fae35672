"""What keeps failing is parked with its reason, and holds back only its own node.

A parked node is left out of plans until its time to try again has come, or until either side of it changes. A node that ended well,
or on which all sides agree by now, is no longer parked: what is told here is true today.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from msgspec import Struct

from syncline.client.status import Problem
from syncline.client.trees.trees import Trees
from syncline.model.errors import ChangedWhileRead, DiskFull, SynclineError, Unreadable
from syncline.model.ids import NodeId
from syncline.model.limits import PARK_AFTER_FAILURES, PARK_RETRY_S
from syncline.ports.clock import Clock

RETRY_CAP_S: Final = 3600.0
FIRST_RETRY_S: Final = 1.0
RESTLESS_FREE: Final = 2
"""So often the disk may move on under a step before the next try waits: usually one look at the disk is all it takes."""
RESTLESS_TOLD: Final = 8
"""A file that moved on so often in a row is told, so that nobody waits for it in vain."""


class _Spot(Struct):
    """`state` None holds the node until its time whatever changes; `offered` says that its time has come and plans see it."""

    failures: int
    retry_at_s: float
    state: object
    problem: Problem | None
    offered: bool = False


class Parking:
    """Nodes that failed, each until its time."""

    def __init__(self, trees: Trees, clock: Clock) -> None:
        self._trees = trees
        self._clock = clock
        self._spots: dict[NodeId, _Spot] = {}

    def failed(self, node: NodeId, path: str, error: SynclineError) -> None:
        """Counts a failure. Early ones are retried after seconds and in silence; what a person can mend is told at once."""
        if isinstance(error, ChangedWhileRead):
            self.restless(node, path, free=0)
            return
        failures = self._failures(node)
        plain = isinstance(error, DiskFull | Unreadable)
        parked = failures >= PARK_AFTER_FAILURES or plain or not error.retryable
        delay = min(RETRY_CAP_S, (PARK_RETRY_S if parked else FIRST_RETRY_S) * 2 ** min(failures - 1, 6))
        if plain:
            delay = min(delay, PARK_RETRY_S / 2)
        problem = Problem(code=error.code, path=path, message=str(error)) if parked else None
        self._park(node, failures, delay, self._state(node) if parked else None, problem)

    def restless(self, node: NodeId, path: str, *, free: int = RESTLESS_FREE) -> None:
        """The file changed under our hands, or is not what the trees say. After `free` times each next try waits longer, since a
        program that never stops writing, or a disk that never tells the same twice, would keep us busy for ever."""
        failures = self._failures(node)
        if failures <= free:
            self._park(node, failures, float("-inf"), None, None)
            return
        delay = min(PARK_RETRY_S, FIRST_RETRY_S * 2 ** (failures - free - 1))
        problem = None
        if failures - free > RESTLESS_TOLD:
            problem = Problem(code=ChangedWhileRead.code, path=path, message="It keeps changing; it is tried again every minute.")
        self._park(node, failures, delay, None, problem)

    def held_by(self, node: NodeId, problem: Problem) -> None:
        """Something on this disk stands in the way: told at once, tried again every half minute."""
        self._park(node, self._failures(node), PARK_RETRY_S / 2, self._state(node), problem)

    def succeeded(self, node: NodeId) -> None:
        self._spots.pop(node, None)

    def held(self) -> set[NodeId]:
        """Nodes to leave alone now."""
        now = self._clock.monotonic_s()
        return {node for node, spot in self._spots.items() if self._is_held(node, spot, now)}

    def held_from_plan(self) -> set[NodeId]:
        """The same for a plan that is about to be made. The others are offered to it, so nobody need be woken for them again."""
        held = self.held()
        for node, spot in self._spots.items():
            if node not in held:
                spot.offered = True
        return held

    def _is_held(self, node: NodeId, spot: _Spot, now_s: float) -> bool:
        return spot.retry_at_s > now_s and (spot.state is None or spot.state == self._state(node))

    def retrying(self) -> bool:
        """Whether something that has not been given up yet waits for its next try."""
        return any(spot.problem is None and not spot.offered for spot in self._spots.values())

    def next_retry_s(self) -> float | None:
        """The monotonic instant of the next try that no plan was offered yet."""
        return min((spot.retry_at_s for spot in self._spots.values() if not spot.offered), default=None)

    def keep(self, open_nodes: Container[NodeId]) -> None:
        """Drops nodes on which all sides agree by now (those not open), however that came about."""
        for node in [node for node in self._spots if node not in open_nodes]:
            del self._spots[node]

    def release(self) -> None:
        """Everything may be tried again at once (a person asked, or the server is back)."""
        for spot in self._spots.values():
            spot.retry_at_s = float("-inf")
            spot.offered = False

    def problems(self) -> list[Problem]:
        return [spot.problem for spot in self._spots.values() if spot.problem is not None]

    def _failures(self, node: NodeId) -> int:
        spot = self._spots.get(node)
        return 1 if spot is None else spot.failures + 1

    def _park(self, node: NodeId, failures: int, delay_s: float, state: object, problem: Problem | None) -> None:
        self._spots[node] = _Spot(failures, self._clock.monotonic_s() + delay_s, state, problem)

    def _state(self, node: NodeId) -> object:
        local, remote = self._trees.local.get(node), self._trees.remote.get(node)
        return (local and (local.signature, local.parent, local.name), remote and (remote.revision, remote.parent, remote.name))
