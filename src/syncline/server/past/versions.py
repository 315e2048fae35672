"""The versions of a file: who made them, when, where, what they changed, how long they are kept; and one of them as the newest."""

from __future__ import annotations

import msgspec

from syncline.model.entries import Kind
from syncline.model.errors import CommitRefused, CorruptCursor, InvalidRequest, RevisionNotKept
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.model.limits import BATCH_MAX
from syncline.ports.past_store import PastStore
from syncline.protocol.changes import Entry, to_time
from syncline.protocol.commits import Change, CommitAnswer, CommitRequest, Op
from syncline.protocol.past import Restored, RestoreRequest, Version, VersionsPage
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata
from syncline.server.past.authors import Authors
from syncline.server.past.once import Attempt, once
from syncline.server.past.places import Places, refused
from syncline.server.past.retention import Kept, Made, Retention, judge


class Versions:
    def __init__(self, metadata: Metadata, store: PastStore, policy: Retention) -> None:
        self._metadata = metadata
        self._store = store
        self._policy = policy
        self._places = Places(store)

    async def page(
        self, caller: Caller, namespace: NamespaceId | None, node: NodeId, page: str | None, limit: int = BATCH_MAX
    ) -> VersionsPage:
        """Kept versions, newest first; none of a folder. Raises `NotFound`, `CorruptCursor`."""
        found = await self._metadata.metadata_by_id(caller, node, namespace)
        if found.entry is None:
            return VersionsPage(namespace=found.namespace, entries=[])
        below = None if page is None else _number(page)
        # One row more at each end: what a version changed is told by the one before it, how long it is kept by the one after.
        rows = await self._store.versions(found.namespace, node, None if below is None else below + 1, limit + 2)
        newer = 0 if below is None else sum(row.revision >= below for row in rows)
        shown = rows[newer : newer + limit]
        more = len(rows) > newer + limit
        verdicts = self._verdicts(rows, found.entry.revision)
        authors = await Authors.of(self._store, shown)
        older = rows[newer + 1 :]
        entries = [
            _version(row, older[at:], authors, verdicts[row.revision], row.revision == found.entry.revision)
            for at, row in enumerate(shown)
        ]
        return VersionsPage(namespace=found.namespace, entries=entries, next=str(shown[-1].revision) if more and shown else None)

    def _verdicts(self, rows: list[JournalEntry], present: int) -> dict[int, Kept]:
        made = [Made(row.revision, row.time_us, row.content_hash is not None) for row in reversed(rows)]
        return {kept.revision: kept for kept in judge(self._policy, made, present)}

    async def restore(self, caller: Caller, node: NodeId, request: RestoreRequest, key: str) -> Restored:
        """That version's content again, as a new version; a deleted file comes back with it.

        Raises `NotFound`, `RevisionNotKept`, `NameTaken`, `Forbidden`, `InvalidRequest` for a folder, and as a commit does.
        """
        namespace = (await self._metadata.head(caller, request.namespace)).namespace

        async def make() -> Attempt[Restored]:
            found = await self._metadata.metadata_by_id(caller, node, namespace)
            entry = found.entry
            if entry is None or entry.kind is not Kind.FILE:
                raise InvalidRequest(message="Folders have no versions; rewind one, or bring it back from the trash")
            if not entry.deleted:
                changes = [
                    Change(op=Op.EDIT, node_id=node, base_revision=entry.revision, from_revision=request.revision),
                ]
                path = found.path
            else:
                head = await self._metadata.head(caller, namespace)
                back = await self._places.back(
                    head, entry.row(), parent=None, name=None, rename=request.rename, from_revision=request.revision
                )
                changes, path = back.changes, back.path

            def answer(commit: CommitAnswer | None) -> Restored:
                assert commit is not None
                result = commit.results[-1]
                return Restored(
                    namespace=namespace,
                    node_id=node,
                    path=path,
                    revision=result.revision,
                    sequence=result.sequence,
                    adopted=result.adopted,
                )

            return Attempt(CommitRequest(namespace=namespace, changes=changes), answer)

        asked = b"restore" + node.encode() + msgspec.json.encode(request)
        try:
            return await once(self._metadata, caller, namespace, key, asked, make, Restored)
        except CommitRefused as refusal:
            if refused(refusal) == "revision.not_kept":
                raise RevisionNotKept(revision=request.revision, what=node) from refusal
            raise


def _version(row: JournalEntry, older: list[JournalEntry], authors: Authors, kept: Kept, present: bool) -> Version:
    before = older[0] if older and older[0].revision == row.revision - 1 else None
    same = None if row.content_hash is None else next((one for one in older if one.content_hash == row.content_hash), None)
    restored = same.revision if same is not None and before is not None and same is not before else None
    changed = _changed(row, before)
    fields = {name: value for name, value in msgspec.structs.asdict(Entry.of(row)).items() if name != "kept_until"}
    return Version(
        **fields,
        author=authors.author(row),
        changed=[*changed, "restored"] if restored is not None and "restored" not in changed else changed,
        size_change=row.size if before is None and row.revision == 1 else (0 if before is None else row.size - before.size),
        restored_from=restored,
        present=present,
        kept_until=None if kept.until_us is None else to_time(kept.until_us),
    )


def _changed(row: JournalEntry, before: JournalEntry | None) -> list[str]:
    """Against the version before; of one whose predecessor is not kept only what its own row says."""
    if row.revision == 1:
        return ["created"]
    changed = ["restored"] if row.op == Op.UNDELETE.value else []
    if before is None:
        return changed
    facts = (
        ("content", row.content_hash != before.content_hash),
        ("executable", row.executable != before.executable),
        ("renamed", row.name != before.name),
        ("moved", row.parent_id != before.parent_id),
    )
    return changed + [name for name, is_so in facts if is_so]


def _number(page: str) -> int:
    if not page.isascii() or not page.isdigit() or not 0 < int(page) < 1 << 62:
        raise CorruptCursor
    return int(page)
