"""What must hold when a case has come to rest (`sync-engine.md` §3.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.property.plan.world import MOUNT, MOUNTED, Spoiled, World

from syncline.client.plan.steps import Report
from syncline.model.entries import Kind
from syncline.model.ids import NodeId

State = dict[NodeId, tuple[NodeId, str, str | None, bool]]
"""id → (parent, name, content or None for a folder, executable)."""


@dataclass
class Before:
    """Each side as its user left it, before the first plan."""

    base: State
    sides: dict[str, State]
    past: set[str]
    """Contents that the server had, and that somebody had replaced or deleted there already."""


def state_of_server(world: World) -> State:
    return {node.id: (node.parent, node.name, node.content_hash, node.executable) for node in world.server.nodes.values()}


def state_of(world: World, name: str) -> State:
    client = world.named[name]
    bytes_of = client.bytes.get
    return {node.id: (node.parent, node.name, bytes_of(node.id), node.executable is True) for node in client.trees.local}


def before(world: World) -> Before:
    base = {node.id: (node.parent, node.name, node.content_hash, node.executable) for node in world.base.values()}
    sides = {client.name: state_of(world, client.name) for client in world.clients}
    sides["server"] = state_of_server(world)
    now = {node.content_hash for node in world.server.nodes.values()}
    return Before(base, sides, world.server.history - now)


def judge(world: World, start: Before, *, acted_since: bool) -> None:
    _converged(world)
    live = {node.content_hash for node in world.server.nodes.values()}
    for client in world.clients:
        live.update(client.bytes.values())
    _nothing_lost(world, live)
    if acted_since:
        return
    if world.mode != "lost mount":
        _changes_live(world, start, live)
    else:
        _kept_after_loss(world, start, live)
    if world.mode in ("local only", "remote only"):
        _as_the_one_side_left_it(world, start)
    if world.mode not in ("reset", "stale view", *MOUNTED):
        _nothing_resurrected(world, start)


def _converged(world: World) -> None:
    """P2: the same tree everywhere, and every base equal to it. P1: nothing left to do."""
    want = state_of_server(world)
    for client in world.clients:
        trees = client.trees
        if set(trees.remote.ids()) != want.keys():
            raise Spoiled("the remote tree is not the server's")
        have = state_of(world, client.name)
        if have != want:
            raise Spoiled(f"disk of {client.name} is not the server:\n  disk {have}\n  server {want}")
        base = {node.id: (node.parent, node.name, node.content_hash, node.executable) for node in trees.synced}
        if base != want:
            raise Spoiled(f"the base of {client.name} is not what both agree on:\n  base {base}\n  server {want}")
        made = client.plan()
        if not made.is_empty or [step for step in made.steps if not isinstance(step, Report)]:
            raise Spoiled(f"not quiet: {made}")
        if trees.open:
            raise Spoiled(f"still open: {trees.open}")


def _nothing_lost(world: World, live: set[str | None]) -> None:
    """P3: what a person wrote and left is alive, in the server's history, or in a local trash."""
    kept = live | world.server.history
    for client in world.clients:
        kept.update(client.trash)
    for client in world.clients:
        lost = client.written - kept - world.destroyed
        if lost:
            raise Spoiled(f"lost: {sorted(lost)}")


def _changes_live(world: World, start: Before, live: set[str | None]) -> None:
    """P4: what somebody made, changed or moved, and what nobody deleted, is alive."""
    base = start.base if world.mode != "reset" else {}
    required: set[str] = set()
    sides = list(start.sides.values())
    for node_id in set().union(*sides):
        states = [side.get(node_id) for side in sides]
        was = base.get(node_id)
        if was is not None and states.count(was) == len(states):  # Nobody touched it.
            if was[2] is not None and node_id not in world.server.overwritten:
                required.add(was[2])
            continue
        edited = [state for state in states if state is not None and (was is None or state[2] != was[2])]
        required.update(state[2] for state in edited if state[2] is not None)
        if was is None or was[2] is None or edited or node_id in world.server.overwritten:
            continue
        moved = any(state is not None and state != was for state in states)
        restored = world.mode == "read mount" and node_id in start.sides["server"]
        raced = world.mode == "stale view"  # A move makes no revision, so a delete that has not seen it is accepted.
        if all(states) or (moved and world.mode != "read mount" and not raced) or restored:
            required.add(was[2])
    missing = required - live
    if world.mode == "stale view":
        # Equal bytes made anew were taken for the old node, whose bytes others may have replaced or deleted since.
        missing -= start.past | {state[2] for state in start.base.values() if state[2] is not None}
    if missing:
        raise Spoiled(f"not alive: {sorted(missing)}")
    if world.mode == "read mount":
        want = {node_id: state for node_id, state in start.sides["server"].items() if _in_mount(start.sides["server"], node_id)}
        now = state_of_server(world)
        if {node_id: state for node_id, state in now.items() if _in_mount(now, node_id)} != want:
            raise Spoiled("the READ mount changed")


def _kept_after_loss(world: World, start: Before, live: set[str | None]) -> None:
    """What was changed or made here is alive; what was unchanged in the mount went to the trash, nothing was deleted upwards."""
    base, here = start.base, start.sides["A"]
    changed = {state[2] for node_id, state in here.items() if state[2] and (node_id not in base or base[node_id][2] != state[2])}
    if changed - live:
        raise Spoiled(f"not kept: {sorted(changed - live)}")


def _in_mount(state: Mapping[NodeId, tuple[NodeId, str, str | None, bool]], node_id: NodeId) -> bool:
    at = node_id
    while at in state:
        at = state[at][0]
        if at == MOUNT:
            return True
    return False


def _as_the_one_side_left_it(world: World, start: Before) -> None:
    """P5: changed on one side only: exactly that is everywhere, and there is no conflict copy."""
    side = start.sides["A" if world.mode == "local only" else "server"]
    now = state_of_server(world)
    if now != side:
        raise Spoiled(f"one side changed, but the end is not as it was left:\n  left {side}\n  now {now}")
    if any(client.conflicts for client in world.clients):
        raise Spoiled("a conflict copy without a conflict")


def _nothing_resurrected(world: World, start: Before) -> None:
    """P6: deleted on one side, it and the folders above untouched on the others: gone."""
    now = world.server.nodes
    for node_id, was in start.base.items():
        if was[2] is None or node_id not in now or all(node_id in side for side in start.sides.values()):
            continue
        others = [side for side in start.sides.values() if node_id in side]
        if others and all(_chain_untouched(start.base, side, node_id) for side in others):
            raise Spoiled(f"came back: {node_id}")


def _chain_untouched(base: State, side: State, node_id: NodeId) -> bool:
    at = node_id
    while at in base:
        if side.get(at) != base[at]:
            return False
        at = base[at][0]
    return True


__all__ = ["Before", "Kind", "before", "judge", "state_of", "state_of_server"]
