"""The verdict on a world at rest: P2 convergence, P3 and P4 nothing lost, P5 no spurious conflict, P6 no resurrection, P7 moves
carry no bytes, P8 trees are trees, P12 what was committed can be fetched and is what it says, P16 who says "in sync" is.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from syncline.client.status import State
from syncline.content.seal import open_frame
from syncline.model.entries import Kind
from syncline.model.errors import SynclineError
from syncline.model.ids import EMPTY_DIGEST, Digest, NamespaceId, NodeId
from syncline.model.paths import exact_key
from syncline.protocol.blocks import ManifestsRequest, RevisionRef
from syncline.server.caller import Caller
from syncline.testing.sim.ledger import named
from syncline.testing.sim.script import ALONE
from syncline.testing.sim.user import Seen

if TYPE_CHECKING:
    from syncline.testing.sim.device import SimDevice
    from syncline.testing.sim.world import World

Tree = dict[str, Seen]
CONFLICT_MARKS = ("conflicted copy", "case conflict", "(selective sync conflict")


class Spoiled(AssertionError):
    """A property does not hold."""


async def judge(world: World) -> None:
    """Raises `Spoiled` with the first property that does not hold."""
    complaints = [complaint for device in world.devices for complaint in device.complaints]
    if complaints:
        raise Spoiled("; ".join(complaints[:3]))
    trees = [device.disk.user.tree() for device in world.devices]
    history = await _history(world)
    served = {device.who.namespace: await _served(world, device) for device in world.devices}
    for device, profile, tree in zip(world.devices, world.script.disks, trees, strict=True):
        right = served[device.who.namespace]
        if profile.names != "sensitive":
            # Such a disk finds a name under every spelling, so which one it shows is nobody's rename.
            tree, right = (
                {exact_key(path): seen for path, seen in tree.items()},
                {exact_key(path): seen for path, seen in right.items()},
            )
        _equal(f"{device.name}'s disk", tree, "the server", right, history)
    _debts(world, trees, history, await _out_of_sight(world))
    _alone(world, trees)


def honest(world: World) -> None:
    """P16: who says "in sync" is. Asked when the world has rested for a while and nobody looked anew, so that what watcher and
    long poll told is all that anybody knows. Raises `Spoiled`."""
    watching = [faults.watches_max is None for faults in world.script.watching]
    said = [
        device
        for device, hears in zip(world.devices, watching, strict=True)
        if hears and device.engine is not None and device.engine.state() is State.IN_SYNC
    ]
    # Disks that find a name under every spelling show one of their own.
    tells_spellings = all(disk.names == "sensitive" for disk in world.script.disks)
    trees = {device.name: _bytes_of(device.disk.user.tree(), exact=tells_spellings) for device in said}
    for one, other in pairwise(said):
        if one.who.namespace == other.who.namespace and (left := trees[one.name]) != (right := trees[other.name]):
            paths = sorted(path for path in left.keys() | right.keys() if left.get(path) != right.get(path))
            raise Spoiled(f"P16: {one.name} and {other.name} both say that they are in sync, and differ in {paths[:5]}")


def _bytes_of(tree: Tree, *, exact: bool) -> dict[str, object]:
    return {path if exact else exact_key(path): (kind, content) for path, (kind, content, _) in tree.items()}


def _equal(
    one: str, left: Tree, other: str, right: dict[str, tuple[Kind, Digest | None, bool]], history: dict[Digest, bytes]
) -> None:
    differ = []
    for path in sorted(left.keys() | right.keys()):
        here, there = left.get(path), right.get(path)
        if here is None or there is None:
            differ.append(f"{path!r} only at {one if there is None else other}")
            continue
        kind, content, executable = here
        digest = None if content is None else Digest(hashlib.sha256(content).hexdigest())
        if (kind, digest) != there[:2]:
            told = named(history.get(there[1])) if there[1] is not None and there[1] in history else there
            differ.append(f"{path!r} is {named(content)} at {one} and {told} at {other}")
        elif executable is not None and kind is Kind.FILE and executable != there[2]:
            differ.append(f"{path!r} is {'' if executable else 'not '}executable at {one} alone")
    if differ:
        raise Spoiled(f"P2: {len(differ)} differences between {one} and {other}: " + "; ".join(differ[:6]))


async def _served(world: World, device: SimDevice) -> dict[str, tuple[Kind, Digest | None, bool]]:
    """The server's live tree as this device's user sees it, by path. P8 on the way."""
    nodes: dict[NodeId, Any] = {}
    own = await world.server.stores.metadata.live(device.who.namespace, None, 100_000)
    mounted = {entry.node_id for entry in own if entry.mount}
    for head in await world.server.stores.metadata.heads(device.who.user):
        if head.namespace == device.who.namespace or NodeId(head.namespace) in mounted:
            for entry in await world.server.stores.metadata.live(head.namespace, None, 100_000):
                nodes[entry.node_id] = entry
    found: dict[str, tuple[Kind, Digest | None, bool]] = {}
    for entry in nodes.values():
        path = _path(entry, nodes, device.who.namespace)
        if path in found:
            raise Spoiled(f"P8: two live nodes at {path!r} on the server")
        found[path] = (entry.kind, entry.content_hash, entry.executable)
    return found


def _path(entry: Any, nodes: dict[NodeId, Any], root: NamespaceId) -> str:
    names = [entry.name]
    at = entry.parent_id
    for _ in range(300):
        if at == root:
            return "/".join(reversed(names))
        above = nodes.get(at)
        if above is None:
            raise Spoiled(f"P8: {entry.name!r} hangs below {at}, which is not alive on the server")
        names.append(above.name)
        at = above.parent_id
    raise Spoiled(f"P8: {entry.name!r} lies in a circle on the server")


async def _history(world: World) -> dict[Digest, bytes]:
    """Every revision the server keeps, read back through its own manifests and the store. P12 on the way. Revisions go with their
    file where a folder becomes a shared one, so what a journal tells of an earlier time may lie in another namespace now."""
    found: dict[Digest, bytes] = {EMPTY_DIGEST: b""}
    for user in dict.fromkeys(device.caller.user_id for device in world.devices):
        caller = next(device.caller for device in world.devices if device.caller.user_id == user)
        spaces = [head.namespace for head in await world.server.stores.metadata.heads(user)]
        for space in spaces:
            rows = (await world.server.stores.metadata.journal(space, 0, 1_000_000)).entries
            refs = {(row.node_id, row.revision): row.content_hash for row in rows if row.content_hash is not None}
            left = [ref for ref, content in refs.items() if content not in found]
            for place in (space, *(other for other in spaces if other != space)):
                left = await _read_back(world, caller, place, left, found)
            if left:
                raise Spoiled(f"P12: revision {left[0][1]} of {left[0][0]} cannot be fetched")
    return found


async def _read_back(
    world: World, caller: Caller, space: NamespaceId, refs: list[tuple[NodeId, int]], found: dict[Digest, bytes]
) -> list[tuple[NodeId, int]]:
    """Adds what these revisions hold; those that are not in this namespace."""
    rooms = world.server.rooms
    assert rooms is not None
    missing: list[tuple[NodeId, int]] = []
    for start in range(0, len(refs), 500):
        asked = [RevisionRef(node_id=node, revision=number) for node, number in refs[start : start + 500]]
        answer = await rooms.fetching.manifests(caller, ManifestsRequest(namespace=space, revisions=asked))
        for ref, manifest in zip(asked, answer.manifests, strict=True):
            if manifest.error == "not_found":
                missing.append((ref.node_id, ref.revision))
            else:
                found[manifest.content_hash] = await _assembled(world, manifest, answer.packs)
    return missing


async def _assembled(world: World, manifest: Any, packs: Any) -> bytes:
    if manifest.error is not None:
        raise Spoiled(f"P12: revision {manifest.revision} of {manifest.node_id} cannot be fetched: {manifest.error}")
    pieces = []
    try:
        for block in manifest.blocks:
            frame = await world.server.objects.get(packs[block.pack].get, block.offset, block.length)
            pieces.append(open_frame(frame, block.key, block.hash, block.size))
    except SynclineError as error:
        raise Spoiled(f"P12: revision {manifest.revision} of {manifest.node_id}: {error}") from error
    whole = b"".join(pieces)
    if hashlib.sha256(whole).hexdigest() != manifest.content_hash:
        raise Spoiled(f"P12: revision {manifest.revision} of {manifest.node_id} is not what its hash says")
    return whole


async def _out_of_sight(world: World) -> set[Digest]:
    """What lives at the server, so also in shared folders that a member took out of their tree: it comes back with those."""
    found: set[Digest] = set()
    for device in world.devices:
        for head in await world.server.stores.metadata.heads(device.who.user):
            for entry in await world.server.stores.metadata.live(head.namespace, None, 100_000):
                if entry.content_hash is not None:
                    found.add(entry.content_hash)
    return found


def _debts(world: World, trees: list[Tree], history: dict[Digest, bytes], out_of_sight: set[Digest]) -> None:
    ledger = world.ledger
    live = {content for tree in trees for _, content, _ in tree.values() if content}
    foreign = sorted(named(content) for content in live if content not in ledger.written)
    if foreign:
        raise Spoiled(f"P11: content that nobody wrote: {foreign[:5]}")
    dead = ledger.must_live() - live
    dead -= {history[digest] for digest in out_of_sight if digest in history}
    if dead:
        raise Spoiled("P4: written, destroyed by nobody, and not alive: " + ", ".join(sorted(map(named, dead))))
    kept = live | set(history.values())
    for device in world.devices:
        kept |= {content for _, content, _ in device.disk.user.everything().values() if content}
    lost = ledger.must_be_somewhere() - kept
    if lost:
        raise Spoiled("P3: lost: " + ", ".join(sorted(map(named, lost))))


def _alone(world: World, trees: list[Tree]) -> None:
    """Where one person acted: no conflict, nothing back from the dead, nothing else than they left."""
    if world.script.mode not in ALONE or world.memory_lost:
        return
    for device, person, tree in zip(world.devices, world.people, trees, strict=True):
        if person.alone is None:
            continue
        person.look_around(tree)
        if person.intruded is not None:
            raise Spoiled(f"P5/P6: {person.intruded}")
        if world.script.mode == "moves only" and device.remote is not None and device.remote.traffic.sent_bytes:
            raise Spoiled(f"P7: moves sent {device.remote.traffic.sent_bytes} bytes")
    copies = sorted(path for tree in trees for path in tree if any(mark in path for mark in CONFLICT_MARKS))
    if copies:
        raise Spoiled(f"P5: conflict copies where one person acted: {copies[:4]}")
