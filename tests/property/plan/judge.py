"""What must hold when a case has come to rest (`sync-engine.md` §3.5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.property.plan.client import Client
from tests.property.plan.script import MOUNTED
from tests.property.plan.server import MOUNT, key_of
from tests.property.plan.world import Spoiled, World

from syncline.client.plan.steps import Report
from syncline.model.entries import RemoteNode, SyncedNode
from syncline.model.ids import NodeId

Traits = tuple[NodeId, str, str | None, bool]
"""(parent, name, content or None for a folder, executable)."""
State = dict[NodeId, Traits]


@dataclass
class Before:
    """Each side as its user left it, before the first plan."""

    base: State
    sides: dict[str, State]
    past: set[str]
    """Where views may be stale: contents that the server had, and that somebody had replaced or deleted there already."""


def state_of_server(world: World) -> State:
    return _state(world.server.nodes.values())


def _state(nodes: Iterable[RemoteNode | SyncedNode]) -> State:
    return {node.id: (node.parent, node.name, node.content_hash, node.executable) for node in nodes}


def state_of(world: World, name: str) -> State:
    """The disk of a device; where it cannot say whether a file is executable, the server's word stands."""
    client = world.named[name]
    bytes_of, trees = client.bytes.get, client.trees
    if client.has_bit:
        return {node.id: (node.parent, node.name, bytes_of(node.id), node.executable is True) for node in trees.local.nodes()}
    bits = {node.id: node.executable for node in trees.remote}
    return {node.id: (node.parent, node.name, bytes_of(node.id), bits.get(node.id, False)) for node in trees.local}


def before(world: World) -> Before:
    base = _state(world.base.values())
    sides = {client.name: state_of(world, client.name) for client in world.clients}
    if world.script.absent:
        away = world.excluded_from(world.base)
        sides["A"].update((node_id, base[node_id]) for node_id in away)  # Not on this disk on purpose: nobody deleted it.
    sides["server"] = state_of_server(world)
    past: set[str] = set()
    if world.mode == "stale view":
        past = world.server.history - {node.content_hash for node in world.server.nodes.values()}
    return Before(base, sides, past)


def judge(world: World, start: Before, *, acted_since: bool) -> None:
    _converged(world)
    live = {node.content_hash for node in world.server.nodes.values()}
    for client in world.clients:
        live.update(client.bytes.values())
    _nothing_lost(world, live)
    if acted_since:
        _no_copies_for_one_editor(world)
        return
    if world.mode != "lost mount":
        _changes_live(world, start, live)
    else:
        _kept_after_loss(world, start, live)
    if world.mode not in ("stale view", "two clients"):
        _no_needless_copies(world, start)
    if world.mode in ("local only", "remote only"):
        _as_the_one_side_left_it(world, start)
    if world.mode not in ("reset", "stale view", "selective", *MOUNTED):
        _nothing_resurrected(world, start)
        if len(world.clients) == 1:  # Of two, one may delete file by file before the other has told of its move.
            _whole_folders_back(world, start, live)
    if world.mode in ("client and server", "case-sensitive disk", "bitless disk", "reset"):
        _places_of_the_server(world, start)


def _converged(world: World) -> None:
    """P2: the same tree everywhere, and every base equal to it. P1: nothing left to do."""
    server = state_of_server(world)
    away = world.excluded_from(world.server.nodes)
    around = {above for node_id in away for above in _above(server, node_id)} if away else away
    for client in world.clients:
        trees = client.trees
        if set(trees.remote.ids()) != server.keys():
            raise Spoiled("the remote tree is not the server's")
        have = state_of(world, client.name)
        base = _state(trees.synced.nodes())
        left: set[NodeId] = set()
        if client.leftovers:
            left = {above for node_id in client.leftovers for above in (node_id, *trees.local.ancestors(node_id))} - server.keys()
        for node_id in left:
            _only_leftovers(client, node_id, have.pop(node_id, None))
            base.pop(node_id, None)
        kept = {node_id for node_id in around if node_id not in trees.local}  # Deleted here, but for what was never here.
        for node_id in kept:
            base.pop(node_id, None)
        want = {node_id: server[node_id] for node_id in server.keys() - away - kept} if away else server
        if have != want:
            raise Spoiled(f"disk of {client.name} is not the server:\n  disk {have}\n  server {want}")
        if base != want:
            raise Spoiled(f"the base of {client.name} is not what both agree on:\n  base {base}\n  server {want}")
        made = client.plan()
        if not made.is_empty or [step for step in made.steps if not isinstance(step, Report)]:
            raise Spoiled(f"not quiet: {made}")
        if trees.open - left - away - kept:
            raise Spoiled(f"still open: {trees.open}")


def _only_leftovers(client: Client, folder: NodeId, state: object) -> None:
    """A folder that the server deleted stays only for what lies in it."""
    below = {node.id for node in client.trees.local.descendants(folder)} | {folder}
    if state is not None and not below & client.untidy:
        raise Spoiled(f"kept, though nothing is left in it: {folder}")


def _nothing_lost(world: World, live: set[str | None]) -> None:
    """P3: what a person wrote and left is alive, in the server's history, or in a local trash."""
    trashes = [client.trash for client in world.clients]
    for client in world.clients:
        lost = client.written.difference(live, world.server.history, world.destroyed, *trashes)
        if lost:
            raise Spoiled(f"lost: {sorted(lost)}")


def _changes_live(world: World, start: Before, live: set[str | None]) -> None:
    """P4: what somebody made, changed or moved, and what nobody deleted, is alive."""
    base = start.base if world.mode != "reset" else {}
    required: set[tuple[NodeId, str]] = set()
    sides = list(start.sides.values())
    overwritten = world.server.overwritten
    for node_id in set().union(*sides):
        was = base.get(node_id)
        if was is not None and was[2] is None:  # A folder: its files speak for themselves.
            continue
        states = [side.get(node_id) for side in sides]
        if was is not None and states.count(was) == len(states):  # Nobody touched it.
            if was[2] is not None and node_id not in overwritten:
                required.add((node_id, was[2]))
            continue
        edited = [state for state in states if state is not None and (was is None or state[2] != was[2])]
        required.update((node_id, state[2]) for state in edited if state[2] is not None)
        if was is None or edited or node_id in overwritten:
            continue
        moved = any(state is not None and _differs(world, was, state) for state in states)
        fixed = world.mode == "read mount" and (_in_mount(base, node_id) or _in_mount(start.sides["A"], node_id))
        raced = world.mode == "stale view"  # A move makes no revision, so a delete that has not seen it is accepted.
        if all(states) or (fixed and node_id in start.sides["server"]) or (moved and not fixed and not raced):
            # What is done in a READ mount, or takes something into it, is undone.
            required.add((node_id, was[2]))
    missing = {content for node_id, content in required if content not in live and not _taken_over(world, start, node_id, content)}
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


def _differs(world: World, was: Traits, state: Traits) -> bool:
    """Whether a node is not as it was. Where its folder was merged into a new one of the same name, and it lies in that by the name
    it had, it has not moved: bases follow such a folder, so a delete on the other side meets no change."""
    if state[1:] != was[1:]:
        return True
    became = ((was[0], state[0]) == (old, new) for client in world.clients for old, new, _ in client.became)
    return state[0] != was[0] and not any(became)


def _taken_over(world: World, start: Before, node_id: NodeId, content: str) -> bool:
    """Whether, of two devices, the other's person replaced these very bytes in a node that a file became, for its name and bytes.

    One device had told that it moved a node there, and not yet that it had edited it. Equal bytes under one name are one file (P5),
    and are from then on that node's: who replaced them there by hand is who P4 excepts, and the server's history holds them."""
    for client in world.clients if world.mode == "two clients" else ():
        for was, became, bytes_ in client.became:
            base = start.base.get(became)
            if (was, bytes_) == (node_id, content) and base is not None and base[2] == content:
                others = [side.get(became) for name, side in start.sides.items() if name != client.name]
                return any(state is not None and state[2] != content for state in others)
    return False


def _kept_after_loss(world: World, start: Before, live: set[str | None]) -> None:
    """What was changed or made here is alive; what was unchanged in the mount went to the trash, nothing was deleted upwards."""
    base, here = start.base, start.sides["A"]
    changed = {state[2] for node_id, state in here.items() if state[2] and (node_id not in base or base[node_id][2] != state[2])}
    if changed - live:
        raise Spoiled(f"not kept: {sorted(changed - live)}")


def _above(state: State, node_id: NodeId) -> Iterator[NodeId]:
    at = node_id
    while at in state:
        at = state[at][0]
        yield at


def _in_mount(state: State, node_id: NodeId) -> bool:
    return MOUNT in _above(state, node_id)


def _as_the_one_side_left_it(world: World, start: Before) -> None:
    """P5: changed on one side only: exactly that is everywhere, and there is no conflict copy."""
    side = start.sides["A" if world.mode == "local only" else "server"]
    now = state_of_server(world)
    if now != side:
        raise Spoiled(f"one side changed, but the end is not as it was left:\n  left {side}\n  now {now}")
    if any(client.conflicts for client in world.clients):
        raise Spoiled("a conflict copy without a conflict")


def _no_needless_copies(world: World, start: Before) -> None:
    """P5, P15: a conflict copy for a file whose bytes both sides made theirs, and no more of them. Equal bytes make none, and after
    a reset none is made of bytes that another copy in the folder holds."""
    here, there = start.sides["A"], start.sides["server"]
    copies_made = world.named["A"].copies
    if copies_made:
        base = start.base if world.mode != "reset" else {}
        pairs = [
            node_id
            for node_id, (_, _, content, _) in here.items()
            if content is not None and node_id in there and there[node_id][2] not in (content, base.get(node_id, (0, 0, None))[2])
        ]
        if copies_made > len(pairs):
            raise Spoiled(f"{copies_made} conflict copies of {len(pairs)} files that both sides changed")
    if world.mode != "reset":
        return
    mine = [content for _, name, content, _ in here.values() if "conflicted copy" in name]
    held = _copies(there) if not world.script.delays else []  # What is busy is not counted on.
    copies = _copies(state_of_server(world))
    for spot in held:
        if copies.count(spot) > max(held.count(spot), mine.count(spot[1])):
            raise Spoiled(f"another copy of the same bytes: {spot}")
    if not world.script.ops and world.named["A"].conflicts:
        raise Spoiled("nobody changed anything, but there is a conflict")


def _copies(state: State) -> list[tuple[NodeId, str]]:
    """Folder and content of every conflict copy."""
    return [(parent, content) for parent, name, content, _ in state.values() if content and "conflicted copy" in name]


def _no_copies_for_one_editor(world: World) -> None:
    """P5, where people went on working: with one editor and one maker of files, whoever read last knew what was there."""
    editors = {who for _, who, op in world.script.ops if op[0] == "edit"}
    makers = {who for _, who, op in world.script.ops if op[0] == "create"}
    if (
        len(editors) <= 1
        and len(makers) <= 1
        and not any(client.unanswered for client in world.clients)
        and any(client.copies for client in world.clients)
    ):
        raise Spoiled("a conflict copy, but only one person edited")


def _whole_folders_back(world: World, start: Before, live: set[str | None]) -> None:
    """Moved on one side, deleted on another: the folder is back with all that was in it and stayed in it."""
    for node_id, was in start.base.items():
        if was[2] is None or was[2] in live or node_id in world.server.overwritten:
            continue
        for mover in start.sides.values():
            chain = _moved_with(start.base, mover, node_id)
            top = chain[-1] if chain else None
            gone = [side for side in start.sides.values() if side is not mover and side.keys().isdisjoint(chain)]
            if top in world.server.nodes and gone and mover[node_id] == was:  # Else it was merged into another of its name.
                raise Spoiled(f"{top} was moved, but {node_id} did not come back with it")


def _moved_with(base: State, side: State, node_id: NodeId) -> list[NodeId]:
    """The folders from that of a node up to the nearest that a side moved, with the node staying in it; none if there is none."""
    chain = [node_id]
    while chain[-1] in base and chain[-1] in side:
        at = chain[-1]
        if side[at][:2] != base[at][:2]:
            return chain if at != node_id else []
        chain.append(base[at][0])
    return []


def _places_of_the_server(world: World, start: Before) -> None:
    """Moved on both sides, or nobody knows by whom since the base is gone: the place on the server wins."""
    here, there = start.sides["A"], start.sides["server"]
    based = world.mode != "reset"
    for node_id, node in world.server.nodes.items():
        was, mine, others = start.base.get(node_id), here.get(node_id), there.get(node_id)
        if mine is None or others is None or (based and (was is None or was[:2] in (mine[:2], others[:2]))):
            continue
        if (node.parent, node.name) != others[:2]:
            raise Spoiled(f"{node_id} was moved on both sides, and is not where the server had it")


def _nothing_resurrected(world: World, start: Before) -> None:
    """P6: deleted on one side, it and the folders above untouched on the others: gone."""
    now, sides = world.server.nodes, list(start.sides.values())
    for node_id, was in start.base.items():
        if was[2] is None or node_id not in now:
            continue
        others = [side for side in sides if node_id in side]
        if len(others) < len(sides) and others and all(_chain_untouched(start.base, side, node_id) for side in others):
            raise Spoiled(f"came back: {node_id}")


def _chain_untouched(base: State, side: State, node_id: NodeId) -> bool:
    at = node_id
    while at in base:
        if side.get(at) != base[at]:
            return False
        at = base[at][0]
    return True


def held_back_alone(world: World) -> None:
    """A transfer that fails for good holds back its own node, what is above and below it, and what wants the same place."""
    for client in world.clients:
        left = set(client.trees.open)
        reached = set(client.parked)
        frontier = list(reached)
        while frontier:
            at = frontier.pop()
            for other in _touching(client, at):
                if other not in reached:
                    reached.add(other)
                    frontier += [other] if other in left else []
        if left - reached - client.leftovers:
            raise Spoiled(f"{sorted(client.parked)} held back {sorted(left - reached)}")


def _touching(client: Client, node_id: NodeId) -> set[NodeId]:
    """What lies above, below or at the place of a node in any of the trees."""
    found: set[NodeId] = set()
    for tree in (client.trees.remote, client.trees.local, client.trees.synced):
        node = tree.get(node_id)
        if node is None:
            continue
        found.update(tree.ancestors(node_id), (below.id for below in tree.descendants(node_id)))
        for other in (client.trees.remote, client.trees.local, client.trees.synced):
            found.update(other.keyed(node.parent, key_of(node.name)))
    return found
