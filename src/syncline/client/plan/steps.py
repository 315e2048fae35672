"""What a plan is made of. A step names nodes, never paths; each carries why it is there.

Steps of one plan are in the order in which they must be done; steps that need others to be *finished* first (a transfer, a commit)
are left for the next plan, which is cheap. Every step is idempotent, and checked against disk or server when it is done: a step
whose precondition no longer holds is dropped, and the trees, observed again, plan anew.
"""

from __future__ import annotations

from msgspec import Struct

from syncline.model.conflicts import Reason
from syncline.model.entries import Kind
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.protocol.commits import Op


class Step(Struct, frozen=True, kw_only=True, gc=False):
    """`node` is whose turn it is; `why` the decision cell, such as `edit/none` (local/remote)."""

    node: NodeId
    why: str


# -- Bookkeeping: only the trees change ----------------------------------------------------------------------------------


class Adopt(Step, frozen=True, kw_only=True, gc=False):
    """Both sides agree: the synced node becomes what they agree on."""


class Forget(Step, frozen=True, kw_only=True, gc=False):
    """Gone on both sides: the synced node goes."""


class Link(Step, frozen=True, kw_only=True, gc=False):
    """The local node `node` is the remote node `to`: it takes that identity, and what is here is its base (`books.keep_books`). A
    base that `node` had goes, and the bases of its children are below `to` then."""

    to: NodeId


class Rebase(Step, frozen=True, kw_only=True, gc=False):
    """The synced node's place or content becomes the remote's (local differs still): the local change stays a local change on top.

    Used where the server's version is taken as the base of what is pushed next."""


# -- Reading -------------------------------------------------------------------------------------------------------------


class Hash(Step, frozen=True, kw_only=True, gc=False):
    """The local file's content must be known before anything can be decided."""


# -- Disk ----------------------------------------------------------------------------------------------------------------


class MakeFolder(Step, frozen=True, kw_only=True, gc=False):
    """Create a folder on disk as node `node`."""

    parent: NodeId
    name: str


class Fetch(Step, frozen=True, kw_only=True, gc=False):
    """Bring the remote revision's bytes (and executable bit) to `parent`/`name` on disk. Where `node` is on disk already its file
    is at that place and is replaced (its signature must be the local tree's). `aside_name` given: the present local file is kept,
    renamed to it in its own folder as the new local node `aside_id`, at the moment the fetched bytes take the place."""

    parent: NodeId
    name: str
    aside_id: NodeId | None = None
    aside_name: str | None = None


class Merge(Step, frozen=True, kw_only=True, gc=False):
    """Both sides edited a text: its local content `ours` becomes the merge of both sides' changes since `base`, as a local edit on
    top of the remote revision. Where there is no clean merge the next plan keeps a conflict copy instead."""

    parent: NodeId
    name: str
    namespace: NamespaceId
    base: Digest
    base_revision: int
    ours: Digest
    theirs: Digest


class Relocate(Step, frozen=True, kw_only=True, gc=False):
    """Rename or move on disk. `new_id` given: the thing at the new place is a new node (a conflict copy, or kept aside), and `node`
    itself is no longer on disk (for a folder: every descendant whose id is in `fresh` is renamed so too). The place may be the one
    it has, where only the identity changes."""

    parent: NodeId
    name: str
    new_id: NodeId | None = None
    fresh: tuple[tuple[NodeId, NodeId], ...] = ()
    conflict: Reason | None = None
    beside: NodeId | None = None
    """Given a `conflict`, the thing is a conflict copy from now on, `beside` what stands where it was meant to be."""
    left: bool = False
    """A person took it away from where `node` was, which they may: what is no longer there counts as deleted by them."""


class Stage(Step, frozen=True, kw_only=True, gc=False):
    """First hop of a cycle of moves, or of a case-only rename on a disk that folds case: aside into `.syncline/stage`, from where a
    `Relocate` later in the same plan brings it to its place."""


class SetExecutable(Step, frozen=True, kw_only=True, gc=False):
    executable: bool


class Discard(Step, frozen=True, kw_only=True, gc=False):
    """Move a local file to the local trash."""


class RemoveFolder(Step, frozen=True, kw_only=True, gc=False):
    """Remove a local folder that should be empty; leftovers (ignored or unknown files) keep it, and are reported."""


# -- Server --------------------------------------------------------------------------------------------------------------


class Push(Step, frozen=True, kw_only=True, gc=False):
    """One change for the server. Steps with the same `group` (not None) stand or fall in one changeset; others may be batched
    freely, in order. Where a name or a place is freed by another change of the same plan, that one comes first or is of the same
    group. `content` says that the local file's bytes go along (create, edit, undelete with bytes): they are read,
    hashed and uploaded first."""

    op: Op
    namespace: NamespaceId
    kind: Kind
    parent: NodeId | None = None
    name: str | None = None
    base_revision: int | None = None
    content: bool = False
    content_hash: Digest | None = None
    """The local content hash where it is known already."""
    executable: bool | None = None
    recursive: bool = False
    group: int | None = None


class Report(Step, frozen=True, kw_only=True, gc=False):
    """Something the user should know: why a node is not synced."""

    code: str
    message: str


class Plan(Struct, frozen=True, kw_only=True):
    """Steps in order. `deletes_up` and `deletes_down` count the files whose deletion this plan would carry to the server or to
    disk, for the delete guard. `waiting` counts nodes that wait for busy ones."""

    steps: tuple[Step, ...]
    deletes_up: int = 0
    deletes_down: int = 0
    waiting: int = 0

    @property
    def is_empty(self) -> bool:
        """Nothing to do and nothing to wait for; reports alone are no work."""
        return not self.waiting and self.is_idle

    @property
    def is_idle(self) -> bool:
        """Nothing to do now, though something may be waited for."""
        for step in self.steps:  # noqa: SIM110 — asked of every plan: a loop is faster than a generator.
            if not isinstance(step, Report):
                return False
        return True
