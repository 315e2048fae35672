"""What a plan looks at: the trees, the context, and what was found out about them so far in this round.

Everything here answers questions and remembers answers; nothing walks more of the trees than the question needs.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Final, NamedTuple, TypeVar

from syncline.client.plan.context import PlanContext
from syncline.client.plan.decision import PUSH, Decision
from syncline.client.plan.steps import Report, Step
from syncline.client.trees.trees import Trees
from syncline.model.entries import DIR
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.model.paths import COPY_MARK, case_conflict_name, conflict_name, name_problem

NAMES_TRIED_MAX: Final = 10_000
CLIMB_MAX: Final = 4096
"""No path on a disk or a server has so many folders: what is longer is a ring."""
A = TypeVar("A")


class Above(NamedTuple):
    """No answer here: ask the folder above."""

    folder: NodeId


class View:
    """One round's question book. `books`, `reads`, `aside` and `reports` gather the steps that need no ordering."""

    __slots__ = (
        "_around_excluded",
        "_depths",
        "_excluded",
        "_held_open",
        "_local_only",
        "_named",
        "_namespaces",
        "_restored",
        "_revived",
        "access",
        "aside",
        "books",
        "busy",
        "context",
        "decisions",
        "detached",
        "kept",
        "kept_folders",
        "leaving",
        "links",
        "local",
        "plain",
        "reads",
        "remote",
        "reports",
        "reverted",
        "root",
        "synced",
        "trees",
        "waiting",
    )

    def __init__(self, trees: Trees, context: PlanContext, busy: Set[NodeId], reverted: Set[NodeId] = frozenset()) -> None:
        self.trees = trees
        self.remote = trees.remote
        self.local = trees.local
        self.synced = trees.synced
        self.root = trees.root
        self.access = trees.access
        self.context = context
        self.busy = busy
        self.reverted = reverted
        """Nodes whose local move is given up, since nothing else would go on."""
        self.plain = len(trees.access) == 1 and not context.kept_names
        """Only the root namespace, and none that is known to be lost."""
        self.decisions: dict[NodeId, Decision] = {}
        self.books: list[Step] = []
        self.links: list[Step] = []
        """Changes of identity: done last, so that every other step finds its parents by the ids it was planned with."""
        self.reads: list[Step] = []
        self.aside: list[Step] = []
        self.reports: list[Report] = []
        self.kept: list[NodeId] = []
        """Local nodes to be moved to a `Kept from NAME` folder."""
        self.kept_folders: dict[NamespaceId, NodeId] = {}
        self.leaving: set[NodeId] = set()
        """Local nodes (whole subtrees) that `aside` takes from where they are."""
        self.detached: set[NodeId] = set()
        """Local nodes about to become new ones, with all below them: the server is told of what is in them afterwards."""
        self.waiting = 0
        self._namespaces: dict[NodeId, NamespaceId] = {}
        self._local_only: dict[NodeId, bool] = {}
        self._revived: dict[NodeId, bool] = {}
        self._restored: dict[NodeId, bool] = {}
        self._excluded: dict[NodeId, bool] = {}
        self._depths: dict[NodeId, int] = {}
        self._named: dict[NodeId, set[str]] = {}
        self._around_excluded: set[NodeId] | None = None
        self._held_open: set[NodeId] | None = None

    # -- where a node is --------------------------------------------------------------------------------------------------

    def namespace_at(self, folder: NodeId) -> NamespaceId:
        """The namespace of what lies in a local folder; one that is not in `access` was lost."""
        if folder == self.root:
            return NamespaceId(folder)
        found = self._namespaces.get(folder)
        return self._climb(self._namespaces, folder, self._namespace_step, NamespaceId(self.root)) if found is None else found

    def _namespace_step(self, folder: NodeId) -> NamespaceId | Above:
        if folder == self.root or NamespaceId(folder) in self.access or self._is_lost_mount(folder):
            return NamespaceId(folder)
        node = self.local.get(folder)
        return NamespaceId(self.root) if node is None else Above(node.parent)

    def _is_lost_mount(self, folder: NodeId) -> bool:
        there = self.remote.get(folder)
        if there is not None:
            return there.mount  # A server that was put back may have it as a plain folder again.
        if NamespaceId(folder) in self.context.kept_names:
            return True
        return folder in self.synced and any(str(child.namespace) == folder for child in self.synced.children(folder)[:1])

    def is_mount(self, node_id: NodeId) -> bool:
        """Whether a folder is the root of a shared namespace, held or lost."""
        node = self.remote.get(node_id)
        return (
            (node is not None and node.mount)
            or (node_id != self.root and NamespaceId(node_id) in self.access)
            or self._is_lost_mount(node_id)
        )

    def may_write(self, namespace: NamespaceId) -> bool:
        access = self.access.get(namespace)
        return access is not None and access.may_write

    def local_only(self, folder: NodeId) -> bool:
        """Whether a local folder can never be on the server as it is, so nothing in it can."""
        return self._climb(self._local_only, folder, self._local_only_step, False)

    def _local_only_step(self, folder: NodeId) -> bool | Above:
        node = self.local.get(folder)
        if node is None or folder in self.remote:
            return False
        return True if name_problem(node.name) is not None else Above(node.parent)

    def depth(self, folder: NodeId) -> int:
        """How many folders deep a local folder lies; the root is 0."""
        if folder == self.root:
            return 0
        trail: list[NodeId] = []
        at = folder
        while at not in self._depths and len(trail) < CLIMB_MAX:
            trail.append(at)
            node = self.local.get(at)
            if node is None:
                self._depths[at] = 0
            else:
                at = node.parent
        depth = self._depths.get(at, 0)
        for each in reversed(trail):
            depth += each != at
            self._depths[each] = depth
        return self._depths[folder]

    def is_excluded(self, node_id: NodeId) -> bool:
        """Whether a node, or a folder above it on the server, is kept off this disk."""
        return bool(self.context.excluded) and self._climb(self._excluded, node_id, self._excluded_step, False)

    def _excluded_step(self, node_id: NodeId) -> bool | Above:
        node = self.remote.get(node_id)
        if node_id in self.context.excluded or node is None:
            return node_id in self.context.excluded
        return Above(node.parent)

    def holds_leftovers(self, folder: NodeId) -> bool:
        """Whether a folder cannot leave this disk, for what is left in it or in one below it."""
        if self._held_open is None:
            leftovers = self.context.leftovers
            self._held_open = {above for node_id in leftovers for above in (node_id, *self.local.ancestors(node_id))}
        return folder in self._held_open

    def holds_excluded(self, folder: NodeId) -> bool:
        """Whether a folder on the server holds something that is kept off this disk."""
        if not self.context.excluded:
            return False
        if self._around_excluded is None:
            self._around_excluded = {above for node_id in self.context.excluded for above in self.remote.ancestors(node_id)}
        return folder in self._around_excluded

    # -- whole subtrees that come back -------------------------------------------------------------------------------------

    def revived(self, folder: NodeId) -> bool:
        """Whether a folder was deleted remotely, but it or one above it was moved here: then all of it comes back."""
        return folder != self.root and self._climb(self._revived, folder, self._revived_step, False)

    def _revived_step(self, folder: NodeId) -> bool | Above:
        here, base = self.local.get(folder), self.synced.get(folder)
        if here is None or base is None or folder in self.remote:
            return False
        return True if here.parent != base.parent or here.name != base.name else Above(here.parent)

    def restored(self, folder: NodeId) -> bool:
        """Whether a folder was deleted here, but it or one above it was moved remotely: then all of it comes back. A folder with
        no base has lost it to just that."""
        return folder != self.root and self._climb(self._restored, folder, self._restored_step, False)

    def _restored_step(self, folder: NodeId) -> bool | Above:
        there, base = self.remote.get(folder), self.synced.get(folder)
        if there is None or folder in self.local:
            return False
        return True if base is None or there.parent != base.parent or there.name != base.name else Above(there.parent)

    @staticmethod
    def _climb(memo: dict[NodeId, A], start: NodeId, step: Callable[[NodeId], A | Above], otherwise: A) -> A:
        """The answer of the nearest folder that has one, remembered for all on the way there."""
        answer = memo.get(start)
        if answer is not None:
            return answer
        trail: list[NodeId] = []
        at = start
        while answer is None and len(trail) < CLIMB_MAX:
            trail.append(at)
            found = step(at)
            if isinstance(found, Above):
                at = found.folder
                answer = memo.get(at)
            else:
                answer = found
        if answer is None:
            answer = otherwise
        for each in trail:
            memo[each] = answer
        return answer

    # -- names ------------------------------------------------------------------------------------------------------------

    def _is_free(self, folder: NodeId, key: str) -> bool:
        return not self.local.keyed(folder, key) and not self.remote.keyed(folder, key) and key not in self._named.get(folder, ())

    def take_name(self, folder: NodeId, name: str, mark: str) -> str:
        """A free name in a folder, made from `name`; `mark` says how: "conflict", "case", "selective" or "plain" (as it is, if
        that is free)."""
        for number in range(NAMES_TRIED_MAX):
            if mark == "plain" and number == 0:
                tried = name
            elif mark == "case":
                tried = case_conflict_name(name, number + 1)
            elif mark == "selective":
                tried = _selective_name(name, number + 1)
            else:
                tried = conflict_name(name, self.context.device, self.context.today, number + (mark != "plain"))
            key = self.trees.key(tried)
            if self._is_free(folder, key):
                break
        self._named.setdefault(folder, set()).add(key)
        return tried

    def holds_already(self, folder: NodeId, content: Digest | None, *, copies_only: bool) -> bool:
        """Whether the server has a file (or a conflict copy) with exactly this content in this folder: another conflict copy would
        say nothing new."""
        if content is None:
            return False
        for node_id in self.remote.with_content(content):
            node = self.remote[node_id]
            if node.parent == folder and self._stays_as_it_is(node_id) and not (copies_only and COPY_MARK not in node.name):
                return True
        return False

    def holds_copies(self, folder: NodeId) -> bool:
        """Whether there are conflict copies in a folder on the server, so that another may say nothing new."""
        return any(COPY_MARK in node.name for node in self.remote.children(folder))

    def _stays_as_it_is(self, node_id: NodeId) -> bool:
        """Whether the server's bytes of a node are neither deleted nor replaced from here."""
        decision = self.decisions.get(node_id)
        if decision is None:
            return node_id not in self.busy
        return decision.exists and decision.content is not PUSH

    def report(self, node_id: NodeId, code: str, message: str, why: str) -> None:
        self.reports.append(Report(node=node_id, why=why, code=code, message=message))

    def is_absent(self, node_id: NodeId) -> bool:
        decision = self.decisions.get(node_id)
        return decision is not None and decision.absent

    def target_parent(self, node_id: NodeId) -> NodeId | None:
        """The parent a node will have; None for the root."""
        decision = self.decisions.get(node_id)
        if decision is not None:
            return decision.parent
        node = self.local.get(node_id) or self.remote.get(node_id)
        return None if node is None else node.parent

    def is_folder_here(self, node_id: NodeId) -> bool:
        node = self.local.get(node_id)
        return node is not None and node.kind is DIR


def _selective_name(name: str, number: int) -> str:
    """`stem (selective sync conflict).ext`: shaped as the other marks are."""
    marked = case_conflict_name(name, number)
    at = marked.rfind("(case conflict")
    return marked[:at] + "(selective sync conflict" + marked[at + len("(case conflict") :]
