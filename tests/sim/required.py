"""What a large run of simulated worlds must have seen at least once: decisions, faults at each site, refusals of each kind.

A thing that must happen sometimes and never does is a blind spot, and fails the run. What worlds cannot bring about is named in
`ELSEWHERE` with the reason and the layer that does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from syncline.testing.sim.device import SITES, STORE
from syncline.testing.sim.network import KINDS
from tests.property.plan import cells

_CALLS: Final = (
    *("namespaces", "missing", "grant", "put_pack", "packs_done", "manifests", "read_object"),
    *("commit", "changes", "snapshot", "poll"),
)
_STEPS: Final = ("read", "lock", "locked", "commit.before", "commit.after")

FAULTS: Final = frozenset(
    (
        *(f"files.{op}:{kind}" for op, kinds in SITES.items() for kind in kinds),
        *(f"store.write:{kind}" for kind in STORE),
        *(f"net.{call}:{kind}" for call in _CALLS for kind in KINDS),
        *(f"server.{step}:{kind}" for step in _STEPS for kind in ("crash", "delay")),
    )
)
REFUSALS: Final = frozenset(
    f"refused:{code}"
    for code in (
        "commit.refused",
        "name.taken",
        "node.deleted",
        "parent.gone",
        "revision.stale",
        "subtree.changed",
        "blocks.missing",
        "access.denied",
        "not_found",
        "cursor.reset:epoch_changed",
        "cursor.reset:history_diverged",
        "unavailable",
    )
)


def _whys(named: Iterable[str]) -> frozenset[str]:
    """The decisions in a list of cells, without what is done about them."""
    return frozenset(f"why:{cell.rpartition(': ')[0]}" for cell in named)


_ONLY_PLANNER: Final[dict[str, str]] = {
    "why:excluded": "no device of a world leaves folders out; L0 does",
    "why:selective sync conflict": "no device of a world leaves folders out; L0 does",
    "why:parked": "a count of the planner's world, no decision",
    "why:one changeset": "a count of the planner's world, no decision; L0 counts the groups",
    "why:name taken, folder none/delete": "a folder with ignored leftovers: no world has rules to ignore; L0 does",
    "why:folder none/none": "needs a folder that was moved and moved back before a device looked; L0 does",
    "why:already held": "needs a lost memory and, from before, a copy of the very bytes: one or two of a thousand worlds; L0 does",
    "why:case conflict": "needs names that differ in case alone, which few worlds have; L0 does",
}
_SELDOM: Final = _whys(cells.SELDOM) | _whys(cell for cell in cells.EXPECTED if cell.startswith(("read-only: ", "lost: ")))
ELSEWHERE: Final[dict[str, str]] = {
    **_ONLY_PLANNER,
    **dict.fromkeys(
        sorted(_SELDOM - _ONLY_PLANNER.keys()), "rare: a few of a hundred thousand cases of L0, which requires it; counted here too"
    ),
    "store.spool_put:crash before": "only a pack whose grant is written down: four or five a world; the sender's tests fail it",
    "store.spool_remove:crash before": "only a pack that is done; the sender's tests fail it",
    "refused:auth.invalid": "no device is unlinked in a world; the gateway's tests unlink one in the middle of a poll",
    "refused:quota.exceeded": "no owner has a quota in a world; the commit's tests have",
    "refused:history.expired": "journals are pruned after ninety days, and a world lasts minutes; the history's tests prune",
    "refused:idempotency.mismatch": "the device takes a fresh key for each request; the commit's tests take one twice",
    "refused:tree.cycle": "needs folders moved into each other within one round trip: seen in some runs, required of L0 (`cycle`)",
    "refused:node.exists": "needs an undelete that lost a race: seen in some runs; the commit's tests",
    "refused:node.missing": "only after a server that was rolled back; the commit's tests",
    "refused:limit.exceeded": "no world is that deep or large; the commit's tests",
    "refused:name.invalid": "the device never sends such names; the commit's tests",
    "refused:request.invalid": "the device never sends such changes; the commit's tests",
}
DECISIONS: Final = _whys(cells.EXPECTED) - ELSEWHERE.keys()
REQUIRED: Final = FAULTS | REFUSALS | DECISIONS


def unseen(seen: Mapping[str, int]) -> list[str]:
    """What is required and was never seen."""
    return sorted(name for name in REQUIRED if not seen.get(name))
