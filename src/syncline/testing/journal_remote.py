"""A whole server in memory, as one device sees it: the journal of one namespace with its chain and Merkle roots, commits,
snapshots, changes by cursor and the long poll (`protocol.md` §3, §4), over the packs of `ContentRemote`.

It keeps the promises that clients build on and checks what they rely on being checked: stale revisions, taken names, deleted nodes,
changed subtrees, missing blocks. `calls` and `fault` are `ContentRemote`'s. What a server does wrong, tests do to it:
`truncate`, `new_epoch`, `prune`, `lies`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from syncline.model.blocks import Block, Manifest
from syncline.model.entries import Access, Kind
from syncline.model.errors import CommitRefused, CorruptCursor, CursorReset, HistoryExpired
from syncline.model.ids import EMPTY_DIGEST, ChangesetId, Digest, NamespaceId, NodeId, ulid
from syncline.model.journal import EMPTY_CHAIN, JournalEntry, chain_after, node_term, root_text
from syncline.model.limits import BATCH_MAX
from syncline.model.paths import name_key
from syncline.protocol.changes import ChangesPage, Entry, LatestAnswer, PollAnswer, SnapshotPage, to_us
from syncline.protocol.commits import Change, ChangeResult, CommitAnswer, CommitRequest, Op
from syncline.protocol.sessions import Namespace, Namespaces
from syncline.testing.content_remote import ContentRemote

HOME = NamespaceId(ulid(1, bytes(10)))


class _Refusal(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class JournalRemote(ContentRemote):
    """One namespace, `HOME` unless told otherwise. `page_entries` bounds pages, `checks_blocks` whether commits must name blocks
    that were sent."""

    def __init__(self, namespace: NamespaceId = HOME, *, page_entries: int = BATCH_MAX, checks_blocks: bool = False) -> None:
        super().__init__()
        self.namespace = namespace
        self.access = Access.OWNER
        self.epoch = "e1"
        self.page_entries = page_entries
        self.checks_blocks = checks_blocks
        self.nodes: dict[NodeId, JournalEntry] = {}
        """The last row of every node, of deleted ones too."""
        self.journal: list[JournalEntry] = []
        self.heads: list[tuple[Digest, str]] = [(EMPTY_CHAIN, root_text(0))]
        """Chain and root after each sequence."""
        self.pruned = 0
        self.lies: dict[str, Any] = {}
        """Fields of the answers to `changes` that are not what they should be."""
        self.polled: list[list[str]] = []
        self.commits: list[CommitRequest] = []
        self.poll_answers: list[PollAnswer] = []
        """Given as they are, before any honest answer."""
        self._moved = asyncio.Event()

    # -- what tests do to it -----------------------------------------------------------------------------------------------------

    @property
    def head(self) -> int:
        return len(self.journal)

    def change(self, *changes: Change) -> CommitAnswer:
        """A changeset by somebody else."""
        return self._apply(CommitRequest(namespace=self.namespace, changes=list(changes)))

    def put(self, name: str, *, parent: str | None = None, node: str | None = None, content: Digest = EMPTY_DIGEST) -> NodeId:
        """A new file by somebody else; its id."""
        node_id = NodeId(node or ulid(2, (len(self.nodes) + 1).to_bytes(10, "big")))
        place = NodeId(parent or self.namespace)
        made = Change(op=Op.CREATE, node_id=node_id, parent_id=place, name=name, kind=Kind.FILE, content_hash=content, size=0)
        self.change(made)
        return node_id

    def new_epoch(self) -> None:
        """The server was put back to a backup, and knows it."""
        self.epoch += "+"

    def truncate(self, sequence: int) -> None:
        """The server was put back to an older copy, and does not know it."""
        rows = self.journal[:sequence]
        self.journal, self.heads, self.nodes = [], [(EMPTY_CHAIN, root_text(0))], {}
        for row in rows:
            self._record(row)

    def prune(self, sequence: int) -> None:
        """History up to here is no longer kept."""
        self.pruned = sequence

    # -- the doors ---------------------------------------------------------------------------------------------------------------

    async def namespaces(self) -> Namespaces:
        self._enter("namespaces")
        chain, root = self.heads[-1]
        space = Namespace(
            id=self.namespace,
            name="",
            access=self.access,
            is_root=True,
            epoch=self.epoch,
            sequence=self.head,
            chain=chain,
            root=root,
        )
        return Namespaces(namespaces=[space], server_id="memory")

    async def changes(self, namespace: NamespaceId, cursor: str) -> ChangesPage:
        self._enter("changes")
        at = self._opened_cursor(cursor)
        end = min(self.head, at + self.page_entries)
        while end < self.head and self.journal[end].changeset == self.journal[end - 1].changeset:
            end += 1
        chain, root = self.heads[end]
        page = ChangesPage(
            namespace=self.namespace,
            epoch=self.epoch,
            entries=[Entry.of(row) for row in self.journal[at:end]],
            cursor=self._cursor(end),
            has_more=end < self.head,
            sequence=end,
            chain=chain,
            root=root,
            head_sequence=self.head,
        )
        self.fault("changes", True)
        return replace(page, **self.lies)

    async def snapshot(self, namespace: NamespaceId, page: str | None) -> SnapshotPage:
        self._enter("snapshot")
        at, after = (self._cursor(self.head), "") if page is None else page.split("|")
        live = sorted((row for row in self.nodes.values() if not row.deleted and row.node_id > after), key=lambda row: row.node_id)
        some = live[: self.page_entries]
        sequence = self._opened_cursor(at)
        answer = SnapshotPage(
            namespace=self.namespace,
            epoch=self.epoch,
            entries=[Entry.of(row) for row in some],
            next=f"{at}|{some[-1].node_id}" if len(live) > len(some) else None,
            cursor=at,
            sequence=sequence,
            chain=self.heads[sequence][0],
        )
        self.fault("snapshot", True)
        return answer

    async def latest(self, namespace: NamespaceId) -> LatestAnswer:
        self._enter("latest")
        chain, root = self.heads[-1]
        cursor = self._cursor(self.head)
        return LatestAnswer(namespace=self.namespace, epoch=self.epoch, cursor=cursor, sequence=self.head, chain=chain, root=root)

    async def poll(self, cursors: Sequence[str], timeout_s: int) -> PollAnswer:
        self._enter("poll")
        self.polled.append(list(cursors))
        if self.poll_answers:
            return self.poll_answers.pop(0)
        at = min(self._opened_cursor(cursor) for cursor in cursors)
        try:
            async with asyncio.timeout(timeout_s):
                while self.head <= at:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return PollAnswer(changed=False, sync=True)
        return PollAnswer(changed=True, namespaces={self.namespace: self.head})

    async def commit(self, request: CommitRequest, *, key: str) -> CommitAnswer:
        self._enter("commit")
        self.commits.append(request)
        answer = self._apply(request)
        self.fault("commit", True)
        return answer

    async def close(self) -> None:
        """Nothing to give back."""

    # -- cursors -----------------------------------------------------------------------------------------------------------------

    def _cursor(self, sequence: int) -> str:
        return f"{self.epoch}:{sequence}:{self.heads[sequence][0]}"

    def _opened_cursor(self, text: str) -> int:
        try:
            epoch, number, chain = text.split(":")
            sequence = int(number)
        except ValueError:
            raise CorruptCursor from None
        if epoch != self.epoch:
            raise CursorReset(reason="epoch_changed", epoch=self.epoch)
        if sequence > self.head or self.heads[sequence][0] != chain:
            raise CursorReset(reason="history_diverged", epoch=self.epoch)
        if sequence < self.pruned:
            raise HistoryExpired(namespace=self.namespace)
        return sequence

    # -- commits -----------------------------------------------------------------------------------------------------------------

    def _apply(self, request: CommitRequest) -> CommitAnswer:
        """All of it or nothing; names are checked on the final state."""
        overlay = dict(self.nodes)
        rows: list[JournalEntry] = []
        failures: list[dict[str, Any]] = []
        for index, change in enumerate(request.changes):
            try:
                for row in self._rows(change, overlay):
                    overlay[row.node_id] = row
                    rows.append(row)
            except _Refusal as refusal:
                failures.append({"index": index, "code": refusal.code, "node_id": change.node_id})
        failures += self._taken(request.changes, overlay) if not failures else []
        if failures:
            raise CommitRefused(failures=failures)
        changeset = ChangesetId(ulid(3, (self.head + 1).to_bytes(10, "big")))
        for row in rows:
            if row != self.nodes.get(row.node_id):
                self._record(replace(row, sequence=self.head + 1, changeset=changeset))
        self._moved.set()
        results = [self._result(change) for change in request.changes]
        chain, root = self.heads[-1]
        return CommitAnswer(sequence=self.head, chain=chain, root=root, changeset=changeset, results=results)

    def _rows(self, change: Change, overlay: dict[NodeId, JournalEntry]) -> Iterable[JournalEntry]:
        old = overlay.get(change.node_id)
        if change.op is Op.CREATE:
            if old is not None:
                raise _Refusal("node.deleted" if old.deleted else "node.exists")
            blank = JournalEntry(
                sequence=0,
                changeset=ChangesetId(""),
                op="create",
                node_id=change.node_id,
                parent_id=NodeId(""),
                name="",
                kind=change.kind or Kind.FILE,
            )
            return [self._changed(blank, change, overlay)]
        if old is None:
            raise _Refusal("node.missing")
        if old.deleted != (change.op is Op.UNDELETE):
            raise _Refusal("node.deleted" if old.deleted else "request.invalid")
        if change.base_revision is not None and change.base_revision != old.revision:
            raise _Refusal("revision.stale")
        if change.op is not Op.DELETE:
            return [self._changed(old, change, overlay)]
        doomed = [old, *_below(old.node_id, overlay)]
        if change.subtree_as_of is not None and any(row.sequence > change.subtree_as_of for row in doomed):
            raise _Refusal("subtree.changed")
        if len(doomed) > 1 and not change.recursive:
            raise _Refusal("request.invalid")
        return [replace(row, op="delete", deleted=True) for row in doomed]

    def _changed(self, old: JournalEntry, change: Change, overlay: dict[NodeId, JournalEntry]) -> JournalEntry:
        parent = change.parent_id or old.parent_id
        folder = overlay.get(parent)
        if parent != NodeId(self.namespace) and (folder is None or folder.deleted or folder.kind is not Kind.DIR):
            raise _Refusal("parent.gone")
        row = replace(old, op=change.op.value, parent_id=parent, name=change.name or old.name, deleted=False)
        if change.executable is not None:
            row = replace(row, executable=change.executable)
        if change.content_hash is None:
            return row
        self._keep_manifest(change, old.revision + 1)
        mtime_us = to_us(change.mtime) if change.mtime is not None else 0
        size = change.size or 0
        return replace(row, content_hash=change.content_hash, size=size, revision=old.revision + 1, mtime_us=mtime_us)

    def _keep_manifest(self, change: Change, revision: int) -> None:
        blocks = change.blocks or []
        held = self.held.get(self.namespace, set())
        if self.checks_blocks and not held.issuperset(blocks):
            raise _Refusal("blocks.missing")
        if all(name in self._copies for name in blocks):
            known = tuple(Block(name, self._copies[name][1].plain_size) for name in blocks)
            manifest = Manifest(change.content_hash or EMPTY_DIGEST, change.size or 0, change.cut or "", known)
            self.add_revision(self.namespace, change.node_id, revision, manifest)

    def _taken(self, changes: Sequence[Change], overlay: dict[NodeId, JournalEntry]) -> list[dict[str, Any]]:
        places: dict[tuple[NodeId, str], NodeId] = {}
        mine = {change.node_id: index for index, change in enumerate(changes)}
        failures = []
        for row in sorted((row for row in overlay.values() if not row.deleted), key=lambda row: row.node_id in mine):
            holder = places.setdefault((row.parent_id, name_key(row.name)), row.node_id)
            if holder != row.node_id and row.node_id in mine:
                failures.append({"index": mine[row.node_id], "code": "name.taken", "node_id": row.node_id})
        return failures

    def _result(self, change: Change) -> ChangeResult:
        row = self.nodes[change.node_id]
        return ChangeResult(node_id=row.node_id, revision=row.revision, sequence=row.sequence)

    def _record(self, row: JournalEntry) -> None:
        chain, root = self.heads[-1]
        total = int(root, 16) - _term(self.nodes.get(row.node_id)) + _term(row)
        self.journal.append(row)
        self.nodes[row.node_id] = row
        self.heads.append((chain_after(chain, row), root_text(total)))


def _below(node: NodeId, rows: dict[NodeId, JournalEntry]) -> list[JournalEntry]:
    found = [row for row in rows.values() if row.parent_id == node and not row.deleted]
    return [deeper for row in found for deeper in (row, *_below(row.node_id, rows))]


def _term(row: JournalEntry | None) -> int:
    if row is None or row.deleted:
        return 0
    return node_term(row.node_id, row.parent_id, row.name, row.kind, row.executable, row.content_hash)
