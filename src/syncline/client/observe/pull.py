"""Reading the server: the journal by cursor into the remote tree, or a snapshot where the history was reset.

Laws (`docs/protocol.md`): the cursor and the rows it stands for are one transaction; the chain over the rows of every page and the
Merkle root at its end are recomputed here before a row of it is believed, and a page that does not add up is thrown away for a
snapshot, which must add up too. After a reset of the same epoch absences are deletes; under a new epoch, a history that diverged,
or one that is shorter than it was, the synced tree counts as empty, so that nothing is deleted on a server's account that lost its
memory.

This device's own changesets become the base at the very point of the journal where they stand, between what came before and what
came after: a later change of another device, read in the same breath, is then no conflict.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import structlog
from msgspec.structs import replace

from syncline.client.commits import Booking
from syncline.client.intents import Intents
from syncline.client.observe import shared
from syncline.client.observe.snapshot import REPLAY_PAGES_MAX, collect, remote_node
from syncline.client.own import own_rows
from syncline.client.plan.books import book_push
from syncline.client.proof import Roots
from syncline.client.trees.trees import Trees
from syncline.model.entries import RemoteNode, SyncedNode
from syncline.model.errors import Corrupt, CorruptCursor, CursorReset, HistoryExpired
from syncline.model.ids import DeviceId, Digest, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry, chain_over
from syncline.model.paths import key_rule
from syncline.ports.remote import Remote
from syncline.ports.tree_store import Changes, CursorRow, TreeStore
from syncline.protocol.sessions import Namespace

log = structlog.get_logger(__name__)

NAME_KEYS: Final = "name_key_version"
"""Where the store remembers by which rule names collide."""
_LOST_MEMORY: Final = frozenset(("history_diverged", "epoch_changed"))


class Puller:
    """Keeps the remote tree of every namespace at the server's head."""

    def __init__(
        self,
        remote: Remote,
        trees: Trees,
        store: TreeStore,
        cursors: Iterable[CursorRow],
        *,
        fresh_id: Callable[[], NodeId],
        user: UserId | None = None,
        device: DeviceId | None = None,
        intents: Intents | None = None,
    ) -> None:
        """`fresh_id` is for what cannot keep the id it had. With `user` and `device` given, this device's own changesets need not
        be read back; with `intents`, those whose answer it never heard are known for its own."""
        self._remote = remote
        self._fresh_id = fresh_id
        self._self = None if user is None or device is None else (user, device)
        self._trees = trees
        self._store = store
        self._intents = intents
        self.cursors: dict[NamespaceId, CursorRow] = {row.namespace: row for row in cursors}
        self.roots = Roots(trees.remote)
        self._spaces: dict[NamespaceId, Namespace] = {}
        self._bookings: dict[NamespaceId, list[Booking]] = {}
        self._doubted: set[NamespaceId] = set()
        self._mounts_moved = False
        self.resets = 0
        """How often history had to be observed anew."""
        self.last_reset = ""
        """What a person reads about the last time."""
        self._distrust_damage()

    async def refresh_namespaces(self) -> None:
        """Asks which namespaces this device may see, and with what access; those that were taken out of the tree are as good as
        lost. Raises `Corrupt` for an answer without the user's own:
        taking that at its word would unmount everything."""
        self._mounts_moved = False
        answer = await self._remote.namespaces()
        if all(str(space.id) != str(self._trees.root) for space in answer.namespaces):
            raise Corrupt(what="The list of namespaces", reason="this user's own is not in it")
        spaces = [space for space in answer.namespaces if space.mounted]
        self._trees.access = {space.id: space.access for space in spaces}
        await self._leave([row for row in self._followed() if row.namespace not in self._trees.access])
        for space in spaces:
            known = self.cursors.get(space.id)
            if known is not None and (known.access, known.name) != (space.access, space.name):
                self._stand(replace(known, name=space.name, access=space.access))
        self._spaces = {space.id: space for space in spaces}
        own = self._spaces[NamespaceId(self._trees.root)]
        rule = key_rule(own.name_key_version)
        if rule is not self._trees.key:
            await asyncio.to_thread(self._store.write, Changes(meta_put={NAME_KEYS: str(own.name_key_version)}))
            self._trees.use_key(rule)

    @property
    def wants_namespaces(self) -> bool:
        """Whether a mount came or went, so that it is to be asked anew what this device may see."""
        return self._mounts_moved

    def follows(self, namespace: NamespaceId) -> bool:
        """Whether the namespace's journal is being read."""
        row = self.cursors.get(namespace)
        return row is not None and bool(row.cursor)

    def _followed(self) -> list[CursorRow]:
        """Every namespace of which something is held; one that a folder became a moment ago may not have been read itself yet."""
        rows = [row for row in self.cursors.values() if row.cursor]
        unread = self.roots.namespaces() - {row.namespace for row in rows}
        return [*rows, *(shared.unread_row(self._trees, namespace) for namespace in sorted(unread))]

    async def _leave(self, lost: list[CursorRow]) -> None:
        """Namespaces this device may not see any more. What they held is unknown from now on, which the planner tells from deleted:
        changed files are kept, and if the access returns they are observed anew. Their names are still needed."""
        if not lost:
            return
        spaces = {row.namespace for row in lost}
        for node in [node for node in self._trees.remote if node.namespace in spaces]:
            self._trees.remove_remote(node.id)
        self._trees.open.update(base.id for base in self._trees.synced if base.namespace in spaces)
        for row in lost:
            self._stand(replace(row, cursor=""))
            self._bookings.pop(row.namespace, None)
            if self._intents is not None:
                self._intents.forget(row.namespace)
        self.roots = Roots(self._trees.remote)
        await self._write()

    def _stand(self, row: CursorRow) -> None:
        """A namespace's tree stands here now; whoever writes the tree next writes this along."""
        if row != self.cursors.get(row.namespace):
            self.cursors[row.namespace] = row
            self._trees.put_cursor(row)

    def expect(self, booking: Booking) -> None:
        """A changeset of this device is, or will be, in the journal."""
        self._bookings.setdefault(booking.namespace, []).append(booking)

    def _distrust_damage(self) -> None:
        """A remembered tree that does not add up to its own cursor's root was damaged where it was kept. What it lacks must not be
        read as deleted on the server, least of all while the server cannot be asked: so such nodes lose their base, and a snapshot
        is due."""
        for namespace, row in self.cursors.items():
            if not row.cursor or self.roots.text(namespace) == row.root:
                continue
            log.warning("remote.damaged", namespace=namespace, sequence=row.sequence)
            self.doubt([namespace])
            lacking = [base.id for base in self._trees.synced if base.namespace == namespace and base.id not in self._trees.remote]
            for node in lacking:
                self._trees.remove_synced(node)

    def doubt(self, namespaces: Iterable[NamespaceId]) -> None:
        """What is held of these is not what the server holds, whatever the sums say: the next pull takes a snapshot."""
        self._doubted.update(namespaces)

    async def take_own(self) -> bool:
        """Goes on over this device's own changesets without reading them; whether none is left that must be read."""
        moved = False
        for namespace, bookings in list(self._bookings.items()):
            for booking in sorted(bookings, key=lambda booking: booking.sequence):
                entries, answer, row = self._rebuilt(booking), booking.answer, self.cursors.get(namespace)
                if entries is None or answer is None or answer.cursor is None or row is None:
                    break
                chain, root = await asyncio.to_thread(self._sums, row, entries)
                if (chain, root) != (answer.chain, answer.root):
                    break
                row = replace(row, cursor=answer.cursor, sequence=answer.sequence, chain=answer.chain, root=answer.root)
                self._apply(row, entries)
                self._stand(row)
                moved = True
        if moved:
            await self._write()
        return not self._bookings

    def _rebuilt(self, booking: Booking) -> list[JournalEntry] | None:
        row = self.cursors.get(booking.namespace)
        if row is None or booking.answer is None or self._self is None:
            return None
        return own_rows(booking.changes, booking.answer, row, self._trees.remote, *self._self)

    async def pull(self, namespace: NamespaceId) -> bool:
        """Brings one namespace to the head; whether anything came. Raises `Unavailable` and what else the remote raises."""
        row = self.cursors.get(namespace)
        if row is None or not row.cursor:
            await self._observe_anew(namespace, forget_synced=False)
            return True
        try:
            if namespace not in self._doubted:
                return await self._follow(row)
            reason = "a check found the tree held here to be another"
        except CursorReset as reset:
            reason = str(reset.fields.get("reason", reset.code))
        except (HistoryExpired, CorruptCursor) as reset:
            reason = reset.code
        except Corrupt as damage:
            reason = str(damage)
        log.warning("history.reset", namespace=namespace, reason=reason)
        try:
            await self._observe_anew(namespace, forget_synced=reason in _LOST_MEMORY, reason=reason)
        except Corrupt:
            # A server that does not add up itself has nothing better to offer than what is held: going on beats asking for ever.
            self._doubted.discard(namespace)
            raise
        self._doubted.discard(namespace)
        return True

    async def _follow(self, row: CursorRow) -> bool:
        came = False
        for _ in range(REPLAY_PAGES_MAX):
            page = await self._remote.changes(row.namespace, row.cursor)
            if page.epoch != row.epoch:
                raise CursorReset(reason="epoch_changed", epoch=page.epoch)
            entries = [entry.row() for entry in page.entries]
            chain, root = await asyncio.to_thread(self._sums, row, entries)
            if chain != page.chain:
                raise CursorReset(reason="history_diverged")
            if root != page.root:
                raise Corrupt(what=f"The tree of {row.namespace}", reason="its Merkle root is not the server's")
            row = replace(row, cursor=page.cursor, sequence=page.sequence, chain=page.chain, root=page.root)
            booked = self._apply(row, entries)
            self._stand(row)
            if entries or booked:
                came = True
                await self._write()
            if not page.has_more:
                if self._intents is not None:
                    self._intents.caught_up(row.namespace)
                return came
        return came

    def _sums(self, row: CursorRow, entries: list[JournalEntry]) -> tuple[Digest, str]:
        """The chain and the Merkle root that these entries lead to, while the trees stay as they are."""
        remote = self._trees.remote
        changed = shared.after(row.namespace, entries, remote)
        root = self.roots.text_after(row.namespace, [(remote.get(node), new) for node, new in changed.items()])
        return chain_over(row.chain, entries), root

    def _apply(self, row: CursorRow, entries: list[JournalEntry]) -> bool:
        """Puts entries into the remote tree, and this device's own changesets into the synced tree as they are passed; whether
        there were any of these."""
        due = sorted(self._bookings.pop(row.namespace, ()), key=lambda booking: booking.sequence)
        passed = 0
        for entry in entries:
            while passed < len(due) and due[passed].sequence < entry.sequence:
                self._book(due[passed])
                passed += 1
            self._put(row.namespace, entry)
            self._book_unheard(row.namespace, entry)
        while passed < len(due) and due[passed].sequence <= row.sequence:
            self._book(due[passed])
            passed += 1
        if passed < len(due):
            self._bookings[row.namespace] = due[passed:]
        return passed > 0

    def _put(self, namespace: NamespaceId, entry: JournalEntry) -> None:
        old = self._trees.remote.get(entry.node_id)
        self._mounts_moved |= entry.mount
        if entry.deleted:
            self._trees.remove_remote(entry.node_id)
            self.roots.replace(old, None)
            return
        new = remote_node(namespace, entry)
        self._trees.put_remote(new)
        self.roots.replace(old, new)
        if entry.mount and old is not None and not old.mount:
            for before, now in self._became_shared(old, namespace):
                self.roots.replace(before, now)

    def _book(self, booking: Booking) -> None:
        for push, revision, content_hash in booking.pushes:
            book_push(self._trees, push, revision=revision, content_hash=content_hash)

    def _book_unheard(self, namespace: NamespaceId, entry: JournalEntry) -> None:
        if self._intents is not None and self._self is not None:
            for told in self._intents.match(namespace, entry, self._self[1]):
                book_push(self._trees, told.push, revision=entry.revision, content_hash=told.content_hash)

    async def _observe_anew(self, namespace: NamespaceId, *, forget_synced: bool, reason: str = "") -> None:
        """Collects a snapshot and the changes after it, then diffs the whole into the remote tree in one transaction. Raises
        `Corrupt`, and changes nothing, when they do not add up to the server's Merkle root."""
        staged, row = await self._collect(namespace)
        theirs = await asyncio.to_thread(lambda: Roots(staged.values()).text(namespace))
        if theirs != row.root:
            raise Corrupt(what=f"The snapshot of {namespace}", reason="its Merkle root is not the server's")
        known = self.cursors.get(namespace)
        forget = forget_synced or (known is not None and (known.epoch != row.epoch or row.sequence < known.sequence))
        await asyncio.to_thread(self._replace_all, namespace, staged, forget)
        self._bookings.pop(namespace, None)
        if self._intents is not None:
            self._intents.forget(namespace)
        self._stand(row)
        await self._write()
        if known is not None and known.cursor:
            deleted = "nothing was deleted on its account" if forget else "what it no longer has counts as deleted"
            self.last_reset = f"the server's history was observed anew ({reason}); {deleted}"
            self.resets += 1

    async def _collect(self, namespace: NamespaceId) -> tuple[dict[NodeId, RemoteNode], CursorRow]:
        """Every live node, and where the cursor then stands."""
        found = await collect(self._remote, namespace)
        space = self._spaces.get(namespace)
        row = CursorRow(
            namespace=namespace,
            name=space.name if space else "",
            access=self._trees.access[namespace],
            is_root=str(namespace) == str(self._trees.root),
            cursor=found.cursor,
            epoch=found.epoch,
            sequence=found.sequence,
            chain=found.chain,
            root=found.root,
        )
        return found.nodes, row

    def _replace_all(self, namespace: NamespaceId, staged: dict[NodeId, RemoteNode], forget_synced: bool) -> None:
        trees = self._trees
        if forget_synced:
            self._forget(namespace, staged)
        for node in staged.values():
            if node.mount and (old := trees.remote.get(node.id)) is not None and not old.mount:
                self._became_shared(old, namespace)
        gone = [node for node in trees.remote if node.namespace == namespace and node.id not in staged]
        for node in gone:
            trees.remove_remote(node.id)
        changed = [node for node in staged.values() if trees.remote.get(node.id) != node]
        for node in changed:
            trees.put_remote(node)
        # One that went and came back in between looks as it did, while what may be seen was asked for before.
        self._mounts_moved |= any(node.mount for node in (*gone, *changed))
        self._mounts_moved |= any(node.mount and NamespaceId(node.id) not in trees.access for node in staged.values())
        self.roots = Roots(trees.remote)

    def _became_shared(self, folder: RemoteNode, namespace: NamespaceId) -> list[tuple[RemoteNode, RemoteNode]]:
        """A folder of the user's own is a mount by now: what lies below goes along, each node as it was and as it is. Whose folder
        it was owns what it became, and what they may do there does not wait for the answer that says so."""
        self._trees.access.setdefault(NamespaceId(folder.id), self._trees.access[namespace])
        return shared.carry_over(self._trees, folder.id, namespace, self.cursors.keys())

    def _forget(self, namespace: NamespaceId, staged: dict[NodeId, RemoteNode]) -> None:
        """From a server that lost its memory: shared folders that it lacks were not taken from anybody, it forgot that they are. Or
        they are there still, where this device sees them no more: what it has of them must not come to be twice under one id."""
        trees = self._trees
        ours = (node for node in trees.remote if node.namespace == namespace and node.mount)
        forgotten = {namespace} | {NamespaceId(node.id) for node in ours if node.id not in staged}
        if str(namespace) == str(trees.root):
            forgotten |= {base.namespace for base in trees.synced} - trees.access.keys()
        for base in [base for base in trees.synced if base.namespace in forgotten and not self._moved_across(base)]:
            trees.remove_synced(base.id)
            of_others = base.namespace != namespace or NamespaceId(base.id) in self.cursors
            if of_others and base.id in trees.local and base.id not in staged:
                trees.rekey_local(base.id, self._fresh_id())

    def _moved_across(self, base: SyncedNode) -> bool:
        """Whether somebody here took it into another namespace, where it is to be something new: under the id it has, it could come
        to be in both."""
        if base.id not in self._trees.local:
            return False
        around = (NamespaceId(above) for above in self._trees.local.ancestors(base.id))
        return next((space for space in around if space in self.cursors), NamespaceId(self._trees.root)) != base.namespace

    async def _write(self) -> None:
        changes = self._trees.drain()
        changes.inflight_remove = self._intents.drain() if self._intents is not None else []
        try:
            await asyncio.to_thread(self._store.write, changes)
        except BaseException:
            self._trees.undrain(changes)
            if self._intents is not None:
                self._intents.undrain(changes.inflight_remove)
            raise
