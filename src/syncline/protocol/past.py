"""Versions, trash, retention, and going back in time."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.ids import ChangesetId, DeviceId, NamespaceId, NodeId, UserId
from syncline.protocol.changes import Entry


class Author(Struct, kw_only=True, omit_defaults=True):
    """Who did something, at which device. Names are missing where the account or the device is no more."""

    user_id: UserId | None = None
    name: str | None = None
    email: str | None = None
    device_id: DeviceId | None = None
    device_name: str | None = None


# -- Versions ------------------------------------------------------------------------------------------------------------------


class Version(Entry, kw_only=True, omit_defaults=True):
    """One version of a file: the row that made it, who made it, and what it changed against the kept version before.

    `changed` ∈ created · content · executable · renamed · moved · restored. `restored_from` is an earlier version with the same
    content. `kept_until` is missing while there is no end.
    """

    author: Author
    changed: list[str]
    size_change: int = 0
    restored_from: int | None = None
    present: bool = False
    kept_until: datetime | None = None


class VersionsPage(Struct, kw_only=True):
    """`GET /v1/files/{id}/versions?namespace=&page=&limit=`: kept versions, newest first; `next` None ends it."""

    namespace: NamespaceId
    entries: list[Version]
    next: str | None = None


class RestoreRequest(Struct, kw_only=True):
    """`POST /v1/files/{id}/restore`: that version again, as a new one. A deleted file comes back with it; where its name is taken,
    with `rename` as `name (restored)`."""

    revision: int
    namespace: NamespaceId | None = None
    rename: bool = False


class Restored(Struct, kw_only=True):
    """Where a node is now. `adopted`: it was so already."""

    namespace: NamespaceId
    node_id: NodeId
    path: str
    revision: int
    sequence: int
    adopted: bool = False


# -- Trash ---------------------------------------------------------------------------------------------------------------------


class TrashEntry(Struct, kw_only=True, omit_defaults=True):
    """Something deleted, with all that was deleted with it. `path` is where it was; `…/` stands for folders that were purged."""

    node_id: NodeId
    kind: Kind
    name: str
    path: str
    deleted: datetime
    purged_after: datetime
    by: Author
    changeset: ChangesetId
    size: int = 0
    revision: int = 0


class TrashPage(Struct, kw_only=True):
    """`GET /v1/trash?namespace=&page=&limit=`: newest deletion first; `next` None ends it."""

    namespace: NamespaceId
    entries: list[TrashEntry]
    next: str | None = None


class Undelete(Struct, kw_only=True):
    """One entry to bring back: to its old place, or into `parent_id`, or under `name`."""

    node_id: NodeId
    parent_id: NodeId | None = None
    name: str | None = None


class UndeleteRequest(Struct, kw_only=True):
    """`POST /v1/files/undelete`: each for itself, with what was deleted with it. `rename` gives `name (restored)` where the name is
    taken."""

    files: list[Undelete]
    namespace: NamespaceId | None = None
    rename: bool = False


class UndeleteResult(Struct, kw_only=True, omit_defaults=True):
    """What became of one entry, or the problem (its code, and a sentence) that it met."""

    node_id: NodeId
    restored: Restored | None = None
    code: str | None = None
    detail: str | None = None


class UndeleteAnswer(Struct, kw_only=True):
    """In request order."""

    results: list[UndeleteResult]


class PurgeRequest(Struct, kw_only=True):
    """`POST /v1/trash/purge`: these entries with all that was deleted with them, or `all`, for good."""

    node_ids: list[NodeId] = []
    all: bool = False
    namespace: NamespaceId | None = None


class PurgeResult(Struct, kw_only=True, omit_defaults=True):
    """How many nodes went with an entry; or the problem it met."""

    node_id: NodeId
    purged: int = 0
    code: str | None = None
    detail: str | None = None


class PurgeAnswer(Struct, kw_only=True):
    """`results` in request order (none for `all`). `more` says that the trash was larger than one request empties: ask again."""

    results: list[PurgeResult]
    purged: int
    freed_bytes: int
    more: bool = False


# -- Retention -----------------------------------------------------------------------------------------------------------------


class Policy(Struct, kw_only=True):
    """The server's policy, in days."""

    trash_days: int
    versions_days: int
    daily_versions_days: int


class KeptVersion(Struct, kw_only=True, omit_defaults=True):
    """Until when a version is kept (missing: no end), and why: present · recent · daily · settling."""

    revision: int
    made: datetime
    why: str
    text: str
    kept_until: datetime | None = None


class RetentionAnswer(Struct, kw_only=True, omit_defaults=True):
    """`GET /v1/retention?path=|node_id=&namespace=`: the policy, and what it means for one file or folder; in `lines` in words."""

    policy: Policy
    lines: list[str]
    namespace: NamespaceId | None = None
    node_id: NodeId | None = None
    path: str | None = None
    kind: Kind | None = None
    deleted: datetime | None = None
    purged_after: datetime | None = None
    versions: list[KeptVersion] = []
    more: bool = False


# -- Going back ----------------------------------------------------------------------------------------------------------------


class RewindRequest(Struct, kw_only=True):
    """`POST /v1/rewind`: a folder and everything in it (or one file's content) as it was at `to`, as new changes."""

    to: datetime
    path: str | None = None
    node_id: NodeId | None = None
    namespace: NamespaceId | None = None
    dry_run: bool = False


class UndoRequest(Struct, kw_only=True):
    """`POST /v1/undo`: takes back what one device did within a time, or one changeset; what others did later stands."""

    device: DeviceId | None = None
    since: datetime | None = None
    until: datetime | None = None
    changeset: ChangesetId | None = None
    namespace: NamespaceId | None = None
    dry_run: bool = False


class TravelCounts(Struct, kw_only=True):
    """How many nodes: come back, change their place, get earlier content, go to the trash; and how many are spared."""

    restored: int = 0
    moved: int = 0
    reverted: int = 0
    deleted: int = 0
    spared: int = 0


class TravelItem(Struct, kw_only=True, omit_defaults=True):
    """What happens to one node. `deeds` ∈ restored · moved · reverted · deleted; `path` is where it is or was, `new_path` where it
    will be; `revision` the one whose content it gets."""

    node_id: NodeId
    kind: Kind
    path: str
    deeds: list[str]
    new_path: str | None = None
    revision: int | None = None


class SparedItem(Struct, kw_only=True, omit_defaults=True):
    """Something left as it is, and why; `by` who changed it later.

    `reason` ∈ changed.later · deleted.later · folder.in_use · purged · revision.not_kept · moved.elsewhere · shared.folder ·
    place.gone · place.cycle.
    """

    node_id: NodeId
    path: str
    reason: str
    detail: str
    by: Author | None = None


class TravelAnswer(Struct, kw_only=True, omit_defaults=True):
    """What a rewind or an undo did (or, dry, would do). Paths count from the namespace's root. `items` and `spared` show the first
    thousand of each; `counts` are of all. No `changeset`: nothing was to be done, or it was a dry run."""

    namespace: NamespaceId
    dry_run: bool
    counts: TravelCounts
    items: list[TravelItem]
    spared: list[SparedItem]
    changeset: ChangesetId | None = None
    sequence: int | None = None
    more: bool = False
