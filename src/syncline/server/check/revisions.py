"""One namespace's revisions: each as the journal row that made it, its blocks gap-free and adding up, each possessed and readable.

Every stored revision is retained, so every one must be readable, of deleted files too. A revision whose hash is not known yet
(a plain upload that settles) has no blocks to look at, but a raw object that waits to be taken in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from syncline.model.ids import EMPTY_DIGEST
from syncline.model.journal import JournalEntry
from syncline.ports.check_store import CheckedBlock, CheckedNamespace, CheckedRevision
from syncline.server.check.findings import About, Finding
from syncline.server.check.folders import Folders
from syncline.server.check.tree import differences


class RevisionRule:
    """Fed, revision after revision, with `begin`, its blocks in order, `finish`."""

    def __init__(self, space: CheckedNamespace, folders: Folders) -> None:
        self._space = space
        self._about = About(space)
        self._folders = folders
        self._entry: JournalEntry | None = None
        self._count = 0
        self._size = 0
        self._gap = False
        self._raw = False
        self._first: CheckedBlock | None = None
        self._faults: dict[str, tuple[CheckedBlock, int]] = {}
        """By code: the first block at fault, and how many there are."""
        self.revisions = 0
        self.blocks = 0

    def begin(self, revision: CheckedRevision) -> Iterator[Finding]:
        self.revisions += 1
        self._entry, self._count, self._size, self._gap, self._first = revision.entry, 0, 0, False, None
        self._faults.clear()
        row = revision.row
        self._raw = revision.raw
        if row is not None and row.content_hash is None:
            # Born raw: the hash became known later, and the row that made the revision stays as it was.
            row = replace(row, content_hash=revision.entry.content_hash)
        if revision.entry.sequence > self._space.pruned_sequence and row != revision.entry:
            what = "is not there" if row is None else f"differs in {differences(revision.entry, row)}"
            message = f"the journal row that made it ({revision.entry.sequence}) {what}"
            yield self._finding("check.revision_differs", message)

    def block(self, block: CheckedBlock) -> None:
        self.blocks += 1
        self._gap = self._gap or block.index != self._count
        self._first = self._first or block
        self._count += 1
        self._size += block.size
        if block.held_size != block.size:
            self._fault("check.block_not_held", block)
        elif block.condemned:
            self._fault("check.block_condemned", block)
        if not block.readable:
            self._fault("check.block_unreadable", block)

    def finish(self) -> Iterator[Finding]:
        entry = self._entry
        assert entry is not None
        if entry.content_hash is None:
            if not self._raw:
                yield self._finding("check.content_unknown", "its hash is not known, and no raw object waits to be taken in")
            return
        if self._gap:
            yield self._finding("check.blocks_missing", f"its {self._count} blocks are not numbered without gaps")
        if self._size != entry.size:
            yield self._finding("check.blocks_missing", f"its blocks add up to {self._size} bytes, its size is {entry.size}")
        elif self._count == 1 and self._first is not None and self._first.hash != entry.content_hash:
            yield self._finding("check.content_wrong", "its only block does not have its content hash")
        elif not self._count and entry.content_hash != EMPTY_DIGEST:
            yield self._finding("check.content_wrong", "it is empty, and its content hash is not that of nothing")
        for code, (block, count) in self._faults.items():
            message = f"{_SENTENCES[code]} ({count} of {self._count} blocks, the first is number {block.index})"
            yield self._finding(code, message, block)

    def orphan(self, block: CheckedBlock) -> Finding:
        """Blocks of a revision that is not stored: told once, by the first."""
        message = "blocks are kept of a revision that is not stored"
        return self._about.finding(
            "check.blocks_orphaned", message, f"…/{block.node}", node=block.node, revision=block.revision, block=block.hash
        )

    def _fault(self, code: str, block: CheckedBlock) -> None:
        known = self._faults.get(code)
        self._faults[code] = (block, 1) if known is None else (known[0], known[1] + 1)

    def _finding(self, code: str, message: str, block: CheckedBlock | None = None) -> Finding:
        entry = self._entry
        assert entry is not None
        return self._about.finding(
            code,
            f"revision {entry.revision}: {message}",
            self._folders.path(entry.parent_id, entry.name),
            node=entry.node_id,
            revision=entry.revision,
            block=None if block is None else block.hash,
        )


_SENTENCES: Final = {
    "check.block_not_held": "its namespace does not possess what it is made of, so nobody may read it",
    "check.block_condemned": "what it is made of is condemned, and would be removed",
    "check.block_unreadable": "there is no copy of it in a pack that is done, so nobody can read it",
}
