"""A server's stores in memory: the promises of the SQL adapter, at a speed that lets a simulation run the real rules over them.

What a simulation does to a server beyond its doors stands here: shared namespaces and mounts, a backup and putting it back, a
crash, and a step at each instant where the process could be cut off. With `step` unset nothing waits but for a namespace's lock.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from msgspec.structs import replace

from syncline.model.entries import Access, Kind
from syncline.model.errors import AlreadyExists, NotFound
from syncline.model.ids import ChangesetId, DeviceId, Digest, NamespaceId, NodeId, PackId, UserId
from syncline.model.journal import JournalEntry, chain_after, node_term, root_text
from syncline.model.paths import NAME_KEY_VERSION, key_rule
from syncline.ports.clock import Ids
from syncline.ports.metadata_store import ChainedRow, CommitTransaction, HeldBlock, StoredAnswer, Written
from syncline.testing.stores.accounts import MemoryAccounts
from syncline.testing.stores.metadata import MemoryMetadata
from syncline.testing.stores.packs import MemoryPacks
from syncline.testing.stores.shares import MemoryShares
from syncline.testing.stores.space import BrokenConstraint, Space
from syncline.testing.stores.state import Shared, State, Step

__all__ = ["BrokenConstraint", "MemoryStores", "Step"]


class MemoryStores:
    """The stores of one state."""

    def __init__(self, ids: Ids) -> None:
        server_id = ids.fresh()
        self._ids = ids
        self._shared = Shared()
        self._numbers = itertools.count(1)
        self.metadata = MemoryMetadata(self._shared, server_id)
        self.accounts = MemoryAccounts(self._shared, server_id, ids)
        self.packs = MemoryPacks(self._shared)
        self.shares = MemoryShares(self._shared)

    async def close(self) -> None:
        """Nothing to give back."""

    # -- What happens to the process -------------------------------------------------------------------------------------------

    @property
    def step(self) -> Step | None:
        """Awaited with the name of an instant: `lock` and `locked` around taking a namespace's lock, `commit.before` and
        `commit.after` around making a write visible, `read` before a read outside a transaction. What it raises comes out of the
        call: nothing has happened then, but for `commit.after`."""
        return self._shared.step

    @step.setter
    def step(self, step: Step | None) -> None:
        self._shared.step = step

    def abandon(self) -> None:
        """The process dies: open transactions are gone, locks are free, what was committed stays. A call of its life that is
        resumed all the same changes nothing and raises `Unavailable`."""
        self._shared.abandon()

    def snapshot(self) -> object:
        """A backup: everything committed at this instant."""
        return self._shared.state.copy()

    def restore(self, snapshot: object) -> None:
        """Puts a backup back, as often as one likes; the process that ran until now has died."""
        assert isinstance(snapshot, State)
        self._shared.abandon()
        self._shared.state = snapshot.copy()

    def new_epoch(self) -> None:
        """Declares that every namespace's history may not be the one its readers saw."""
        for space in self._shared.state.spaces.values():
            space.epoch = self._ids.fresh()

    # -- Sharing ---------------------------------------------------------------------------------------------------------------

    def add_namespace(
        self,
        namespace: NamespaceId,
        *,
        owner: UserId,
        name: str,
        members: Mapping[UserId, Access],
        epoch: str | None = None,
        name_keys: int = NAME_KEY_VERSION,
    ) -> None:
        """An empty namespace that is nobody's root. Its owner is a member whether named or not; its epoch is a ULID, a fresh one
        unless given. Raises `AlreadyExists`."""
        if namespace in self._shared.state.spaces:
            raise AlreadyExists(what="The namespace")
        space = Space(namespace, owner, name, is_root=False, epoch=epoch or self._ids.fresh(), name_keys=name_keys)
        space.members = {owner: Access.OWNER, **members}
        self._shared.state.spaces[namespace] = space

    def set_access(self, namespace: NamespaceId, user: UserId, access: Access | None) -> None:
        """Makes someone a member, changes what they may do, or (None) ends it. Raises `NotFound`."""
        space = self._shared.space(namespace)
        if access is None:
            space.members.pop(user, None)
        else:
            space.members[user] = access

    async def mount(
        self,
        root: NamespaceId,
        namespace: NamespaceId,
        name: str,
        *,
        parent: NodeId | None = None,
        time_us: int,
        device: DeviceId | None = None,
    ) -> int:
        """Writes into a user's root that `namespace` lies in their tree from now on: at the top, unless a parent is given. The
        journal's head after it. Raises `AlreadyExists` where something has the name."""
        owner, node = self._shared.space(root).owner, NodeId(namespace)
        async with self.metadata.commit(root, owner) as transaction:
            place = (parent or NodeId(root), key_rule(transaction.head.name_key_version)(name))
            before = next(iter(await transaction.nodes([node])), None)
            holders = await transaction.holders([place])
            if any(holder.node_id != node for holder in holders):
                raise AlreadyExists(what=name)
            entry = self._mount_entry(transaction, before, node, "create" if before is None else "undelete", time_us)
            entry = replace(entry, parent_id=place[0], name=name, deleted=False, actor=owner, device=device)
            await self._write_entry(transaction, before, entry, place[1])
        return entry.sequence

    async def unmount(self, root: NamespaceId, namespace: NamespaceId, *, time_us: int, device: DeviceId | None = None) -> int:
        """Writes into a user's root that `namespace` is no longer in their tree. The journal's head after it. Raises `NotFound`."""
        owner = self._shared.space(root).owner
        async with self.metadata.commit(root, owner) as transaction:
            before = next(iter(await transaction.nodes([NodeId(namespace)])), None)
            if before is None or before.deleted:
                raise NotFound(what="The mount")
            entry = self._mount_entry(transaction, before, before.node_id, "delete", time_us)
            entry = replace(entry, deleted=True, actor=owner, device=device)
            await self._write_entry(transaction, before, entry, None)
        return entry.sequence

    def _mount_entry(
        self, transaction: CommitTransaction, before: JournalEntry | None, node: NodeId, op: str, time_us: int
    ) -> JournalEntry:
        """The next row of the journal, for a mount."""
        fresh = JournalEntry(
            sequence=0, changeset=ChangesetId(""), op="", node_id=node, parent_id=node, name="", kind=Kind.DIR, mount=True
        )
        return replace(
            before or fresh,
            sequence=transaction.head.sequence + 1,
            changeset=ChangesetId(self._ids.fresh()),
            op=op,
            mtime_us=time_us if before is None else before.mtime_us,
            time_us=time_us,
        )

    async def _write_entry(
        self, transaction: CommitTransaction, before: JournalEntry | None, entry: JournalEntry, key: str | None
    ) -> None:
        head = transaction.head
        root = int(head.root, 16) + _term(entry) - (0 if before is None else _term(before))
        written = Written(
            rows=[ChainedRow(entry, chain_after(head.chain, entry), root_text(root))],
            keys=[key],
            fresh=set() if before else {entry.node_id},
            vacated=[entry.node_id] if before is not None and not before.deleted else [],
            device=DeviceId(""),
            key=f"mount {next(self._numbers)}",
            stored=StoredAnswer(body_hash=b"", answer=b""),
            time_us=entry.time_us,
        )
        await transaction.write(written)

    # -- What workers will do --------------------------------------------------------------------------------------------------

    def verify(self, pack: PackId) -> None:
        """The pack was read, and its copies are what they claim to be."""
        state = self._shared.state
        for block in state.declared.get(pack, ()):
            state.copies[block][pack] = replace(state.copies[block][pack], verified=True)

    def condemn(self, namespace: NamespaceId, block: Digest) -> None:
        """A block that the namespace possesses waits for removal."""
        space = self._shared.space(namespace)
        known = space.held[block]
        if not known.condemned:
            space.held[block] = HeldBlock(known.size, condemned=True)
            space.used_bytes -= known.size


def _term(entry: JournalEntry) -> int:
    """What a node adds to the Merkle root; deleted ones nothing."""
    if entry.deleted:
        return 0
    return node_term(entry.node_id, entry.parent_id, entry.name, entry.kind, entry.executable, entry.content_hash)
