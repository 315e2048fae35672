"""The noun of a conflict: two versions that both stand, one at the path and one as its copy, until somebody says which is right."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from syncline.model.ids import Digest, NamespaceId, NodeId


class Reason(StrEnum):
    """How two versions came to stand side by side."""

    BOTH_EDITED = "both_edited"
    NAME_TAKEN = "name_taken"
    CASE_TWIN = "case_twin"
    SELECTIVE_SYNC = "selective_sync"
    KEPT_ASIDE = "kept_aside"
    """Nothing may be sent to where it was made or changed, so it was moved to `Kept from NAME`."""
    FOUND = "found"
    """Known by its name alone: another device made it, or this one before it kept books of conflicts."""


class OpenConflict(Struct, frozen=True, kw_only=True, gc=False):
    """`copy` is the node that holds this device's bytes, `original` the one that stands where they were meant to be (None where
    there is none). Both are followed by id; the paths are those of the instant it was made. `base` is what both sides started from,
    as revision `base_revision` of the original, where they had anything in common. `is_kept` says that somebody wants both: it is
    closed, and remembered only so that the copy's name does not open it again."""

    copy: NodeId
    original: NodeId | None
    reason: Reason
    path: str
    copy_path: str
    device: str
    time_us: int
    namespace: NamespaceId | None = None
    base: Digest | None = None
    base_revision: int | None = None
    ours: Digest | None = None
    theirs: Digest | None = None
    theirs_revision: int | None = None
    is_kept: bool = False
