"""What a device says of itself: the nouns of `syncline status --json`, stable for scripts."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field

from syncline.model.ids import NamespaceId
from syncline.ports.remote import Traffic


class State(StrEnum):
    """`in_sync` is said only when it is proven: nothing planned, nothing unread, and a Merkle root over what is here that equals
    the server's."""

    IN_SYNC = "in_sync"
    SYNCING = "syncing"
    PAUSED = "paused"
    OFFLINE = "offline"
    ATTENTION = "attention"
    DEGRADED = "degraded"


class Problem(Struct, frozen=True, kw_only=True):
    """One clear line: a stable code, the path it is about ("" for the whole device), and what to do about it.

    `blocking` says that a person's decision is needed before syncing goes on (exit code 3).
    """

    code: str
    path: str
    message: str
    blocking: bool = False


class Pending(Struct, kw_only=True):
    """What is left to do, as far as it is known now."""

    uploads: int = 0
    upload_bytes: int = 0
    downloads: int = 0
    download_bytes: int = 0
    other: int = 0
    unquiet: int = 0
    """Files still being written to."""


class Progress(Struct, kw_only=True):
    """What this run has carried so far; `*_bytes` are plain bytes of files, not of the wire."""

    uploaded_files: int = 0
    uploaded_bytes: int = 0
    downloaded_files: int = 0
    downloaded_bytes: int = 0
    conflicts: int = 0
    merges: int = 0
    """Texts in which the changes of both sides were merged."""


class NamespaceStatus(Struct, kw_only=True):
    """`root` is this device's own Merkle root, summed over what is here; `verified_at` (RFC 3339) when it last equalled the
    server's, which is known up to `sequence`."""

    id: NamespaceId
    name: str
    sequence: int
    root: str
    verified_at: str | None = None
    not_here: int = 0
    """Nodes of the server without a counterpart here. Only those kept off this disk on purpose leave `in_sync` standing."""


class Status(Struct, kw_only=True):
    state: State
    folder: str
    server: str
    device: str
    pending: Pending = field(default_factory=Pending)
    progress: Progress = field(default_factory=Progress)
    traffic: Traffic = field(default_factory=Traffic)
    namespaces: list[NamespaceStatus] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unproven: list[Problem] = field(default_factory=list)
    """Every reason why `in_sync` is not said, each with its code and path: problems, and what is still moving. Empty in `in_sync`
    alone."""
    scanned_at: str | None = None
    """When the last complete scan of the whole folder began."""
    asked_at: str | None = None
    """When the server last said where its heads are."""
    audited_at: str | None = None
    """When everything was last compared whole: at start, then daily."""
    offline_since: str | None = None


class Side(StrEnum):
    """Where a planned step takes effect."""

    CONFLICT = "conflict"
    HERE = "here"
    THERE = "there"
    NOTED = "noted"
    """Nowhere but in this device's books."""
    LEFT = "left"
    """Nowhere: it is left alone, and says why."""


class PlannedStep(Struct, kw_only=True):
    """A line of `syncline plan`: what would be done (`upload`, `download`, `move` …), to what, and why. `why` is the cell of the
    decision table, `because` the same in words; `says` tells what becomes of which version. `held` steps wait for the answer to the
    delete guard."""

    action: str
    path: str
    why: str
    target: str | None = None
    side: Side = Side.HERE
    says: str = ""
    because: str = ""
    held: bool = False


class Planned(Struct, kw_only=True):
    """Steps in the order in which they would be done. `guard` is the delete guard's question, where it has one."""

    steps: list[PlannedStep]
    guard: Problem | None = None
