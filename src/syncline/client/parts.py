"""What an engine is made of, and what can be said of it as a whole without the loop."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from syncline.client.activity import Activity
from syncline.client.execute import Executor
from syncline.client.hashing import Hasher, HashJob
from syncline.client.observe.pull import Puller
from syncline.client.observe.scan import Observer
from syncline.client.parking import Parking
from syncline.client.plan.planner import PlanContext, plan
from syncline.client.plan.steps import Hash, Plan
from syncline.client.receive.apply import Applier
from syncline.client.receive.receiver import Receiver
from syncline.client.send.sender import Sender
from syncline.client.trees.trees import Trees
from syncline.model.ids import NodeId
from syncline.model.limits import SCAN_HASH_BYTES
from syncline.ports.clock import Chance, Clock, Ids
from syncline.ports.remote import Remote
from syncline.ports.tree_store import TreeStore
from syncline.ports.watcher import Watcher


class Parts(Struct, kw_only=True):
    """Everything an engine is made of."""

    trees: Trees
    store: TreeStore
    remote: Remote
    observer: Observer
    watcher: Watcher | None
    puller: Puller
    applier: Applier
    sender: Sender
    receiver: Receiver
    hasher: Hasher
    executor: Executor
    parking: Parking
    activity: Activity
    clock: Clock
    chance: Chance
    ids: Ids
    device_name: str
    root_id: str
    fold_case: bool = False
    excluded: frozenset[NodeId] = frozenset()
    """Remote nodes that, with all below them, are kept off this disk."""
    merging: bool = False
    """Whether texts that both sides edited are merged where that is clean (`conflicts = merge`)."""


def make_plan(parts: Parts) -> Plan:
    """The next plan, leaving out what is busy or held, and files whose bytes the server is still taking in."""
    held = parts.executor.busy | parts.parking.held_from_plan() | parts.trees.settling
    context = PlanContext(
        device=parts.device_name,
        today=datetime.fromtimestamp(parts.clock.now_us() / 1e6, UTC).date().isoformat(),
        fresh_id=lambda: NodeId(parts.ids.fresh()),
        case_sensitive_disk=not parts.fold_case,
        excluded=parts.excluded,
        leftovers=parts.executor.leftovers,
        buried=parts.executor.buried,
        merge=parts.merging,
        unmerged=parts.executor.unmerged,
        seeking=parts.observer.is_seeking,
        kept_names={row.namespace: row.name for row in parts.puller.cursors.values() if not row.is_root},
    )
    return plan(parts.trees, context=context, busy=held)


def plan_with_reading(parts: Parts) -> Plan:
    """The next plan; what must be read before it can be told is read at once, up to a bound. For who only looks. Blocking."""
    planned = make_plan(parts)
    jobs: list[HashJob] = []
    room = SCAN_HASH_BYTES
    for step in planned.steps:
        local, path = parts.trees.local.get(step.node), parts.trees.local_path(step.node)
        if isinstance(step, Hash) and local is not None and path is not None and local.signature.size <= room:
            room -= local.signature.size
            jobs.append(HashJob(step.node, path, local.signature, local.racy))
    if not jobs:
        return planned
    for hashed in parts.hasher.hash_now(jobs):
        local = parts.trees.local.get(hashed.node)
        if hashed.content_hash is not None and local is not None:
            parts.trees.put_local(replace(local, content_hash=hashed.content_hash, racy=local.racy or hashed.racy))
    return make_plan(parts)


def purge_trash(parts: Parts) -> None:
    """Empties the trash of old things, but not of the last copy here of what the server should still have."""
    trees = parts.trees
    named = {node.content_hash for node in trees.remote if node.content_hash is not None}
    parts.applier.purge_trash(keep={content for content in named if not trees.local.with_content(content)})
