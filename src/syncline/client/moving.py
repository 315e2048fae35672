"""What is still to be read, done or waited for: one line each, with a path where there is one. Cheap enough for every question."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Final

from syncline.client.contact import Contact
from syncline.client.observe.notes import shown
from syncline.client.status import Problem
from syncline.client.trees.trees import Trees
from syncline.model.ids import NodeId

PATHS_SHOWN: Final = 10


def of_the_disk(*, unread: bool, scanning: bool, dirty: bool, unquiet: Sequence[str]) -> Iterable[Problem]:
    """`unread`: the watcher saw something. `scanning`: a scan runs, or a full one is due. `dirty`: something waits for a look."""
    if unread:
        yield Problem(code="hints.pending", path="", message="Something just changed in the folder and is about to be looked at.")
    if scanning:
        yield Problem(code="scan.pending", path="", message="The folder is being scanned, or is due to be.")
    for path in islice(unquiet, PATHS_SHOWN if dirty else 0):
        yield Problem(code="file.unquiet", path=shown(path), message="It is still being written to; it is synced when it rests.")
    if dirty and not unquiet:
        yield Problem(code="scan.pending", path="", message="Changed folders are about to be looked at.")


def of_the_server(contact: Contact) -> Iterable[Problem]:
    """Contact that is lost is a problem of its own, not told here."""
    if contact.offline is None and (contact.wanted or contact.looking):
        yield Problem(code="journal.pending", path="", message="The server's journal has moved, or is due to be asked.")


def of_the_work(trees: Trees, busy: Collection[NodeId]) -> Iterable[Problem]:
    """Transfers and what waits for them, here and at the server, and what the disk keeps on the way between two places."""
    if trees.settling:
        path = trees.remote_path(next(iter(trees.settling))) or ""
        more = f", and {len(trees.settling) - 1:,} more" if len(trees.settling) > 1 else ""
        message = f"It was uploaded by another program, and the server is still taking it in{more}."
        yield Problem(code="upload.settling", path=shown(path), message=message)
    for node in islice(trees.away, PATHS_SHOWN):
        message = "It is between two places, and the disk lets it go neither on nor back; that is tried again."
        yield Problem(code="work.pending", path=shown(trees.local_path(node) or ""), message=message)
    if busy:
        first = next(iter(busy))
        path = trees.local_path(first) or trees.remote_path(first) or ""
        more = f", and {len(busy) - 1:,} more" if len(busy) > 1 else ""
        yield Problem(code="work.pending", path=shown(path), message=f"It is being read, sent or fetched{more}.")
