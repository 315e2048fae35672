"""Looking about: what changed below a path, one file's changes, names, sizes, and who did what.

The changes here are folded and have paths, for programs; devices read the journal itself (`protocol.changes`).
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.ids import ChangesetId, DeviceId, Digest, NamespaceId, NodeId, UserId
from syncline.protocol.changes import Entry

# -- Updates -----------------------------------------------------------------------------------------------------------------


class MovedPath(Struct, kw_only=True):
    """Where something was and is. `old` is None where the journal does not keep it any more."""

    old: str | None
    new: str


class Update(Struct, kw_only=True):
    """What became of one file or folder in the time asked for, folded into one entry.

    `status` is created, modified, moved or deleted. `filepath` is a path, or both where it changed. A folder's entry stands for all
    in it; only what comes into the path from elsewhere is listed one by one. `presignedUrl` is there for files whose bytes are new
    to the path, while this server can make one.
    """

    status: str
    filepath: str | MovedPath
    namespace: NamespaceId
    node_id: NodeId
    kind: Kind
    revision: int
    size: int
    content_hash: Digest | None
    executable: bool
    mtime: datetime
    time: datetime
    actor: UserId | None
    device: DeviceId | None
    presignedUrl: str | None = None


class Updates(Struct, kw_only=True):
    """`GET /v1/files/updates?path=&since=&until=&status=&page=&page_size=`.

    A page may have few entries or none and still a `next`: go on until it is None. The last page has `next_since`, which as the
    next `since` misses nothing and repeats nothing, whatever the clocks say.
    """

    path: str
    entries: list[Update]
    next: str | None
    next_since: str | None


class FileChanges(Struct, kw_only=True):
    """`GET /v1/files/{id}/changes?namespace=&since=&after=&limit=`: the journal rows of one node, in order; where there are more,
    `next` is the `after` to go on with."""

    namespace: NamespaceId
    node_id: NodeId
    entries: list[Entry]
    next: int | None


# -- Search ------------------------------------------------------------------------------------------------------------------


class Found(Struct, kw_only=True):
    """A file or folder whose name matches, and where it is."""

    path: str
    namespace: NamespaceId
    entry: Entry


class SearchPage(Struct, kw_only=True):
    """`GET /v1/search?q=&path=&kind=&page=&limit=`: exact names first, then beginnings, whole words, parts; the newest first in
    each."""

    entries: list[Found]
    next: str | None


# -- Sizes -------------------------------------------------------------------------------------------------------------------


class FolderUsage(Struct, kw_only=True):
    """What lies in a folder and below it."""

    path: str
    bytes: int
    files: int
    folders: int
    depth: int
    mount: bool = False


class HeldFor(Struct, kw_only=True):
    """What a namespace's bytes are held for, each counted once: present files, else older versions of them, else the trash;
    `pending` are those no file names yet, or any more."""

    live_bytes: int
    version_bytes: int
    trash_bytes: int
    pending_bytes: int


class UsageAnswer(Struct, kw_only=True):
    """`GET /v1/usage?path=&depth=&held=`: sizes as files have them. Entries are the folders down to `depth`, the largest first;
    `left_out` says how many small ones are not listed. `held` is there when it was asked for and `path` is the top of a
    namespace."""

    path: str
    bytes: int
    files: int
    folders: int
    entries: list[FolderUsage]
    left_out: int = 0
    held: HeldFor | None = None
    used_bytes: int
    quota_bytes: int | None


# -- Activity ----------------------------------------------------------------------------------------------------------------


class Example(Struct, kw_only=True):
    """One of the things a changeset touched. `what` is as in `Activity`."""

    what: str
    path: str
    kind: Kind
    node_id: NodeId
    old_path: str | None = None


class Activity(Struct, kw_only=True):
    """One changeset, said in one line: who did what, on which device, when, to how many things.

    `what` is created, edited, moved, deleted, restored, shared, joined, left, settled or rejected, or `changed` where a changeset
    did several. `examples` are a few of the things, those one would name first.
    """

    time: datetime
    namespace: NamespaceId
    changeset: ChangesetId
    what: str
    count: int
    counts: dict[str, int]
    examples: list[Example]
    actor: UserId | None
    actor_name: str | None
    device: DeviceId | None
    device_name: str | None


class ActivityPage(Struct, kw_only=True):
    """`GET /v1/activity?path=&actor=&device=&before=&limit=`: the latest first. `next` is the `before` to go on with; a page may
    have few entries or none and still a `next`."""

    entries: list[Activity]
    next: str | None
