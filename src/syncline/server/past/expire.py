"""Forgetting by the policy, a bounded amount a call: the trash whose time is over, old versions, and what nothing names any more.

Versions and possession are gone through page by page, across namespaces; where a job stands is written down, so that a server that
is restarted often comes round too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from msgspec import Struct

from syncline.model.ids import NamespaceId, NodeId
from syncline.ports.clock import Clock
from syncline.ports.past_store import PastStore, VersionRow
from syncline.server.past.retention import DAY_S, Made, Retention, over

_HOUR_US: Final = 3600 * 1_000_000
ABANDONED_US: Final = 48 * _HOUR_US
"""Blocks that were sent and named by nothing since are given up."""
CONDEMNED_US: Final = 24 * _HOUR_US
"""Condemned blocks can be had again for so long."""
NODES_A_ROUND: Final = 5_000
VERSIONS_A_ROUND: Final = 10_000
BLOCKS_A_ROUND: Final = 20_000
_THINNED: Final = "past.thinned"
_SWEPT: Final = "past.swept"

assert DAY_S * 1_000_000 == CONDEMNED_US


class Expired(Struct):
    """What one round removed."""

    nodes: int = 0
    versions: int = 0
    blocks: int = 0


class Expiry:
    def __init__(self, store: PastStore, clock: Clock, policy: Retention) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy

    async def tend(self) -> Expired:
        return Expired(await self._empty_trash(), await self._thin(), await self._sweep())

    async def _empty_trash(self) -> int:
        now_us = self._clock.now_us()
        by_namespace: dict[NamespaceId, list[tuple[NodeId, int]]] = defaultdict(list)
        for namespace, node, sequence in await self._store.due(now_us - self._policy.trash_us, NODES_A_ROUND):
            by_namespace[namespace].append((node, sequence))
        removed = 0
        for namespace, nodes in by_namespace.items():
            removed += (await self._store.purge(namespace, nodes, now_us)).nodes
        return removed

    async def _thin(self) -> int:
        now_us = self._clock.now_us()
        namespace, _, node = (await self._store.remembered(_THINNED)).partition("/")
        rows = await self._store.version_rows((namespace, node), VERSIONS_A_ROUND)
        by_namespace: dict[NamespaceId, list[tuple[NodeId, int]]] = defaultdict(list)
        for of_node in _by_node(rows):
            first = of_node[0]
            present = next((row.revision for row in of_node if row.present), 0)
            made = [Made(row.revision, row.time_us, row.settled) for row in of_node]
            by_namespace[first.namespace] += [(first.node_id, gone) for gone in over(self._policy, made, present, now_us)]
        removed = 0
        for space, refs in by_namespace.items():
            if refs:
                removed += (await self._store.drop(space, refs, now_us)).nodes
        through = len(rows) < VERSIONS_A_ROUND
        await self._store.remember(_THINNED, "" if through or not rows else f"{rows[-1].namespace}/{rows[-1].node_id}")
        return removed

    async def _sweep(self) -> int:
        now_us = self._clock.now_us()
        swept = await self._store.sweep(
            await self._store.remembered(_SWEPT),
            BLOCKS_A_ROUND,
            abandoned_us=now_us - ABANDONED_US,
            removed_us=now_us - CONDEMNED_US,
            now_us=now_us,
        )
        await self._store.remember(_SWEPT, swept.next or "")
        return swept.removed


def _by_node(rows: Iterable[VersionRow]) -> Iterator[list[VersionRow]]:
    for _, group in groupby(rows, key=lambda row: (row.namespace, row.node_id)):
        yield list(group)
