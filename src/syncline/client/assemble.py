"""One device's engine put together from what it stands on: disk, watcher, store, server, clock and chance.

The order is a law: the root shows its marker, then what a crash cut short is finished, and only then may anything watch or scan.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from syncline.client.activity import Activity
from syncline.client.commits import Committer
from syncline.client.execute import Executor
from syncline.client.hashing import Hasher, hash_file
from syncline.client.intents import Intents
from syncline.client.merging import Merger
from syncline.client.observe.pull import NAME_KEYS, Puller
from syncline.client.observe.scan import Observer
from syncline.client.parking import Parking
from syncline.client.parts import Parts
from syncline.client.receive.apply import Applier
from syncline.client.receive.receiver import Receiver
from syncline.client.send.sender import Sender
from syncline.client.trees.trees import Trees
from syncline.model.entries import Access, Kind, Signature
from syncline.model.ids import DeviceId, Digest, NamespaceId, NodeId, UserId
from syncline.model.paths import EXACT_KEYS, key_rule
from syncline.ports.clock import Chance, Clock, Ids
from syncline.ports.local_files import LocalFiles
from syncline.ports.remote import Remote
from syncline.ports.tree_store import Remembered, TreeStore
from syncline.ports.watcher import Watcher


class Grounds(Struct, frozen=True, kw_only=True):
    """What an engine stands on. `spool` is a folder of this device's own for packs on their way."""

    files: LocalFiles
    watcher: Watcher | None
    store: TreeStore
    remote: Remote
    spool: Path
    clock: Clock
    chance: Chance


class Identity(Struct, frozen=True, kw_only=True):
    """Whose device this is, and which folder was linked. `fold_case` says that its disk takes `A` and `a` for one name."""

    namespace: NamespaceId
    user: UserId
    device: DeviceId
    device_name: str
    root_id: str
    fold_case: bool = False


def _access(remembered: Remembered) -> dict[NamespaceId, Access]:
    """What this device may do where, by what it remembers. A folder of the user's own that became a shared one, of which no more
    was read yet than that, has no cursor; whose folder it was owns it."""
    access = {row.namespace: row.access for row in remembered.cursors if row.cursor}
    known = {row.namespace for row in remembered.cursors}
    unread = {NamespaceId(node.id) for node in remembered.remote if node.mount} | {node.namespace for node in remembered.remote}
    return access | dict.fromkeys(unread - known, Access.OWNER)


def assemble(on: Grounds, who: Identity) -> Parts:
    """Everything an engine is made of. Blocking. Raises `NeedsDecision` when the folder is not the one that was linked, `Corrupt`
    when the store is damaged, `LocalIo`."""
    files, store, clock = on.files, on.store, on.clock
    ids = Ids(clock, on.chance)
    remembered = store.load()
    access = _access(remembered)
    rule = key_rule(int(remembered.meta.get(NAME_KEYS, EXACT_KEYS)))
    trees = Trees(who.namespace, access or None, key=rule)
    trees.load(remembered.remote, remembered.local, remembered.synced, remembered.conflicts)
    whereabouts = _Whereabouts(trees)
    applier = Applier(files, store, trees, ids, clock, who.device_name)
    applier.prepare_root(who.root_id)
    activity = Activity(clock)
    for line in applier.recover(remembered.inflight):
        activity.note("recovered", "", line)
    sender = Sender(files, on.remote, store, on.spool, clock, on.chance, whereabouts.known)
    receiver = Receiver(files, on.remote, store, clock, on.chance, whereabouts.locate)
    hasher = Hasher(files)
    parking = Parking(trees, clock)
    intents = Intents(store, ids, clock, remembered.inflight)
    return Parts(
        trees=trees,
        store=store,
        remote=on.remote,
        observer=Observer(files, on.watcher, trees, ids, clock, lambda path, signature: hash_file(files, path, signature)),
        watcher=on.watcher,
        puller=Puller(
            on.remote,
            trees,
            store,
            remembered.cursors,
            fresh_id=lambda: NodeId(ids.fresh()),
            user=who.user,
            device=who.device,
            intents=intents,
        ),
        applier=applier,
        sender=sender,
        receiver=receiver,
        hasher=hasher,
        executor=Executor(
            trees=trees,
            store=store,
            applier=applier,
            sender=sender,
            receiver=receiver,
            hasher=hasher,
            committer=Committer(on.remote, trees, ids, intents),
            parking=parking,
            activity=activity,
            merger=Merger(on.remote, files, trees, applier.resolver, clock, ids),
        ),
        parking=parking,
        activity=activity,
        clock=clock,
        chance=on.chance,
        ids=ids,
        device_name=who.device_name,
        root_id=who.root_id,
        fold_case=who.fold_case,
    )


class _Whereabouts(Struct):
    """Where content lies on this disk, by what the trees know."""

    trees: Trees

    def locate(self, content_hash: Digest) -> tuple[str, Signature] | None:
        for node_id in self.trees.local.with_content(content_hash):
            node, path = self.trees.local.get(node_id), self.trees.local_path(node_id)
            if node is not None and path is not None and node.kind is Kind.FILE:
                return path, node.signature
        return None

    def known(self, content_hash: Digest) -> bool:
        return bool(self.trees.remote.with_content(content_hash))
