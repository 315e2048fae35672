"""One namespace's journal: gap-free, chained by hash, each row's Merkle root the one before it changed by the row, the last row the
head, and every row's node known to the table of nodes.

A wrong row is named once: the rows after it are judged by what is stored, so that one changed byte is one finding, no thousand.
"""

from __future__ import annotations

from collections.abc import Iterator

from syncline.model.ids import Digest, NodeId
from syncline.model.journal import EMPTY_CHAIN, MODULUS, JournalEntry, chain_after, node_term, root_text
from syncline.ports.check_store import CheckedNamespace, CheckedRow
from syncline.server.check.findings import About, Finding
from syncline.server.check.folders import Folders


class JournalRule:
    """Fed with every kept row in order, then `end`."""

    def __init__(self, space: CheckedNamespace, folders: Folders) -> None:
        self._space = space
        self._about = About(space)
        self._folders = folders
        whole = space.pruned_sequence == 0
        self._last = space.pruned_sequence
        self._chain: Digest | None = EMPTY_CHAIN if whole else None
        """The chain before the next row; None where that is not kept."""
        self._root: int | None = 0 if whole else None
        self._terms: dict[NodeId, int | None] = {}
        """What each node adds to the Merkle root by now; None where it cannot be known."""
        self._unseen: int | None = 0 if whole else None
        self._stale: set[NodeId] = set()
        self.rows = 0

    def row(self, row: CheckedRow) -> Iterator[Finding]:
        self.rows += 1
        entry = row.entry
        if entry.sequence > self._space.sequence:
            message = f"the journal has a row {entry.sequence}, and the head says that {self._space.sequence} is the last"
            yield self._finding("check.head_wrong", message, entry)
        if entry.sequence != self._last + 1:
            yield self._gap(self._last + 1, entry.sequence - 1)
            self._chain = self._root = self._unseen = None
            self._terms.clear()
        self._last = entry.sequence
        broken = self._chain is not None and chain_after(self._chain, entry) != row.chain
        if broken:
            message = f"the chain over journal row {entry.sequence} is not the stored one: this row, or the chain, was changed"
            yield self._finding("check.chain_broken", message, entry)
        yield from self._sum(row, broken)
        self._chain = row.chain
        yield from self._node(row)

    def end(self) -> Iterator[Finding]:
        space = self._space
        if self._last < space.sequence:
            yield self._gap(self._last + 1, space.sequence)
            return
        chain = EMPTY_CHAIN if not space.sequence else self._chain
        if chain is not None and chain != space.chain:
            message = f"the head's chain is not the one of its last journal row ({space.sequence})"
            yield self._about.finding("check.head_wrong", message, sequence=space.sequence)
        if self._root is not None and root_text(self._root) != space.root:
            message = f"the head's Merkle root is not the one of its last journal row ({space.sequence})"
            yield self._about.finding("check.head_wrong", message, sequence=space.sequence)

    def _sum(self, row: CheckedRow, broken: bool) -> Iterator[Finding]:
        entry, stored = row.entry, int(row.root, 16)
        term = (
            0
            if entry.deleted
            else node_term(entry.node_id, entry.parent_id, entry.name, entry.kind, entry.executable, entry.content_hash)
        )
        before = self._terms.get(entry.node_id, self._unseen)
        if before is None and entry.op == "create":
            before = 0
        # A live folder that becomes a shared one takes what lies below it along: only the whole tree tells what is left.
        converted = entry.op == "mount" and bool(before) and not entry.deleted
        judged = not broken and not converted
        if judged and self._root is not None and before is not None and (self._root + term - before) % MODULUS != stored:
            message = f"the Merkle root kept with journal row {entry.sequence} is not the one that the rows lead to"
            yield self._finding("check.row_root_wrong", message, entry)
        self._root = stored
        self._terms[entry.node_id] = None if broken else term

    def _node(self, row: CheckedRow) -> Iterator[Finding]:
        entry = row.entry
        if row.node_sequence is None:
            if not row.left and entry.node_id not in self._stale:
                self._stale.add(entry.node_id)
                yield self._finding("check.node_missing", "the journal names a node that the table of nodes does not have", entry)
        elif row.node_sequence < entry.sequence and entry.node_id not in self._stale:
            self._stale.add(entry.node_id)
            message = f"the node stands at sequence {row.node_sequence}, and the journal has a later row of it ({entry.sequence})"
            yield self._finding("check.node_differs", message, entry)

    def _gap(self, first: int, last: int) -> Finding:
        what = f"row {first} is" if first == last else f"rows {first} to {last} are"
        return self._about.finding("check.journal_gap", f"journal {what} missing", sequence=first)

    def _finding(self, code: str, message: str, entry: JournalEntry) -> Finding:
        path = self._folders.path(entry.parent_id, entry.name)
        return self._about.finding(code, message, path, node=entry.node_id, sequence=entry.sequence)
