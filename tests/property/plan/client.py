"""A device of the planner's world: three trees, a disk that is its local tree, and steps done exactly as their docstrings say.

Preconditions are asserted: in a world where nobody acts between plan and step, a step that cannot be done is a planner's fault.
"""

from __future__ import annotations

from collections.abc import Set

from msgspec.structs import replace
from tests.property.plan.cells import HELD_BACK, Cell, cell_of, changeset_cell
from tests.property.plan.chance import Chance
from tests.property.plan.server import ROOT, Refused, Server, key_of

from syncline.client.plan import steps as S
from syncline.client.plan.books import book_fetch, book_push, keep_books
from syncline.client.plan.planner import PlanContext, plan
from syncline.client.trees.trees import Trees
from syncline.model.entries import DIR, FILE, Access, LocalNode, Signature
from syncline.model.ids import NamespaceId, NodeId

SIGNATURE = Signature(1, 1, 1, 1, 1)
STAGE = NodeId(".stage")
BOOKS = frozenset((S.Adopt, S.Forget, S.Link, S.Rebase))
IDS_MADE = 100
IDS = {name: [NodeId(f"{name}{number:03d}") for number in range(IDS_MADE)] for name in "AB"}
"""The fresh ids of most cases, made once."""


class FreshIds:
    """Knows no client, so that a client is freed with its case: garbage in rings costs more than all the plans."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.given = 0

    def __call__(self) -> NodeId:
        self.given += 1
        return IDS[self.name][self.given] if self.given < IDS_MADE else NodeId(f"{self.name}{self.given:03d}")


class Client:
    def __init__(
        self,
        name: str,
        server: Server,
        *,
        case_sensitive: bool,
        access: dict[NamespaceId, Access],
        rng: Chance,
        delays: bool,
        has_bit: bool,
        excluded: Set[NodeId],
        untidy: set[NodeId],
        parks: bool,
    ) -> None:
        self.name = name
        self.server = server
        self.trees = Trees(NamespaceId("root"), access, key=key_of)
        self.case_sensitive = case_sensitive
        self.bytes: dict[NodeId, str] = {}
        self.trash: list[str] = []
        self.written: set[str] = set()
        self.cursor = 0
        self.rng = rng
        self.delays = delays
        self.has_bit = has_bit
        self.untidy = untidy
        """Folders that hold something which is not synced."""
        self.leftovers: set[NodeId] = set()
        self.parks = parks
        self.parked: set[NodeId] = set()
        """Nodes whose transfers fail until everything else has come to rest."""
        self.strict = True
        self.own: dict[int, tuple[list[S.Push], dict[NodeId, str]]] = {}
        """Changesets of this device that it has not read back yet, by their place in the journal: their nodes stay busy."""
        self.busy: dict[NodeId, S.Step] = {}
        self.homes: dict[NodeId, tuple[NodeId, str]] = {}
        """Where what was staged came from."""
        self.seen: list[Cell] = []
        self.conflicts = 0
        self.copies = 0
        """Conflict copies among them: local bytes that had to move aside."""
        self.refusals = 0
        self.unanswered = 0
        self.became: list[tuple[NodeId, NodeId, str | None]] = []
        """What became another node, for its name and bytes: what it was, what it is, and a file's bytes."""
        self.ids = FreshIds(name)
        self.buried: set[NodeId] = set()
        self.context = PlanContext(
            device=name,
            today="2026-01-01",
            fresh_id=self.ids,
            case_sensitive_disk=case_sensitive,
            buried=self.buried,
            excluded=excluded,
            leftovers=self.leftovers,
            kept_names={namespace: "m" for namespace in access if namespace != self.trees.root},
        )

    # -- observing -----------------------------------------------------------------------------------------------------------

    def pull(self, limit: int | None = None) -> None:
        journal = self.server.journal
        end = len(journal) if limit is None else min(len(journal), self.cursor + limit)
        if end == self.cursor:
            return
        trees = self.trees
        for at, changeset in enumerate(journal[self.cursor : end], self.cursor):
            for node_id, node in changeset:
                if node is None:
                    trees.remove_remote(node_id)
                elif node.namespace in trees.access:
                    trees.put_remote(node)
            if at not in self.own:
                continue
            unit, contents = self.own.pop(at)
            for push in unit:
                state = trees.remote.get(push.node)
                revision = state.revision if state is not None else 0
                book_push(trees, push, revision=revision, content_hash=contents.get(push.node))
        self.cursor = end

    def user(self, op: tuple) -> bool:
        """A person's change on this disk, seen by the scanner at once; whether it was possible."""
        kind, node_id, *rest = op
        local = self.trees.local
        node = local.get(node_id)
        if kind == "create":
            parent, name, what, content = rest
            if node is not None or not self._folder(parent) or not self._free(parent, name, None):
                return False
            self._put(
                LocalNode(id=node_id, parent=parent, name=name, kind=what, signature=SIGNATURE, executable=self.bit(False)), content
            )
            return True
        if node is None or node.parent == STAGE:
            return False
        if kind == "edit":
            self._put(replace(node, content_hash=None), rest[0])
        elif kind == "chmod":
            if not self.has_bit:
                return False
            self.trees.put_local(replace(node, executable=not node.executable))
        elif kind == "touch":
            self.trees.put_local(replace(node, content_hash=None))
        elif kind == "move":
            parent, name = rest
            if not self._folder(parent) or not self._free(parent, name, node_id):
                return False
            if parent == node_id or local.is_below(parent, node_id) or (node.parent, node.name) == (parent, name):
                return False
            self.trees.put_local(replace(node, parent=parent, name=name))
        else:
            for below in (*local.descendants(node_id), node):
                self.trees.remove_local(below.id)
                self.bytes.pop(below.id, None)
        return True

    def _put(self, node: LocalNode, content: str | None) -> None:
        if content is not None:
            self.bytes[node.id] = content
            self.written.add(content)
            if self.rng.random() < 0.5:
                node = replace(node, content_hash=content)
        self.trees.put_local(node)

    def bit(self, executable: bool) -> bool | None:
        """What this disk can say of an executable bit."""
        return executable if self.has_bit else None

    def _folder(self, parent: NodeId) -> bool:
        if parent == ROOT:
            return True
        node = self.trees.local.get(parent)
        return node is not None and node.kind is DIR and node.parent != STAGE

    def _free(self, parent: NodeId, name: str, me: NodeId | None) -> bool:
        local = self.trees.local
        for other in local.keyed(parent, key_of(name)):
            if other != me and (not self.case_sensitive or local[other].name == name):
                return False
        return True

    # -- planning and doing ----------------------------------------------------------------------------------------------------

    def plan(self) -> S.Plan:
        busy: Set[NodeId] = self.busy.keys()
        if self.own:
            busy = busy | {push.node for unit, _ in self.own.values() for push in unit}
        return plan(self.trees, context=self.context, busy=busy)

    def plan_twice(self) -> S.Plan:
        """Two plans of the same trees are equal."""
        ids, open_ = self.ids.given, set(self.trees.open)
        first = self.plan()
        self.ids.given, self.trees.open = ids, open_
        second = self.plan()
        assert first == second, "two plans of one state differ"
        return second

    def do(self, made: S.Plan) -> None:
        strict = self.strict
        units: dict[int, list[S.Push]] = {}
        later: list[S.Step] = []
        for index, step in enumerate(made.steps):
            self.seen.append(cell_of(step))
            kind = step.__class__
            if kind is S.Push:
                units.setdefault(-1 - index if step.group is None else step.group, []).append(step)
            elif kind is S.Fetch:
                later.append(step)
            elif kind is not S.Report:
                self.step(step)
        for node in self.trees.local.children(STAGE) if self.homes else ():
            assert not self.strict, "something was left on the stage"
            parent, name = self.homes[node.id]
            self.trees.put_local(replace(node, parent=parent, name=name))
        if self.delays:
            self.rng.shuffle(later)
        for step in later:
            if self.delays and self.rng.random() < 0.4:
                self._begin(step.node, step)
            else:
                self.fetch(step)
        for unit in units.values():
            if len(unit) > 1:
                self.seen.append(changeset_cell(unit))
            if self.delays and self.rng.random() < 0.1:
                self.strict = False  # The request is lost, and what builds on it may be refused.
            else:
                self.push(unit)
        self.strict = strict

    def _begin(self, node_id: NodeId, step: S.Step) -> None:
        """A transfer that takes longer than this plan; in some worlds it may fail until everything else is at rest."""
        self.busy[node_id] = step
        if self.parks and self.rng.random() < 0.5:
            self.parked.add(node_id)

    def heal(self) -> bool:
        """Nothing fails any more; whether something did."""
        failed = bool(self.parked)
        if failed:
            self.seen.append(HELD_BACK)
        self.parked.clear()
        self.parks = False
        return failed

    def deliver(self, everything: bool = False) -> bool:
        """Transfers that end now; whether there was one."""
        done = [node for node in self.busy if node not in self.parked and (everything or self.rng.random() < 0.5)]
        for node in done:
            step = self.busy.pop(node)
            if isinstance(step, S.Fetch):
                strict, self.strict = self.strict, False
                self.fetch(step)
                self.strict = strict
        return bool(done)

    def demand(self, condition: object, step: S.Step) -> bool:
        """A precondition: it must hold, but where somebody may have acted since the plan."""
        if not condition and self.strict:
            raise AssertionError(f"cannot be done: {step}")
        return bool(condition)

    def step(self, step: S.Step) -> None:
        trees, local = self.trees, self.trees.local
        kind = step.__class__
        if kind in BOOKS:
            self._book(step)
            return
        if kind is S.MakeFolder:
            if self.demand(step.node not in local and self._folder(step.parent) and self._free(step.parent, step.name, None), step):
                trees.put_local(LocalNode(id=step.node, parent=step.parent, name=step.name, kind=DIR, signature=SIGNATURE))
                self.agree(step.node)
            return
        node = local.get(step.node)
        if not self.demand(node is not None, step):
            return
        assert node is not None
        if kind is S.Hash:
            trees.put_local(replace(node, content_hash=self.bytes[node.id]))
        elif kind is S.Relocate:
            self._relocate(step, node)
        elif kind is S.Stage:
            self.homes[node.id] = (node.parent, node.name)
            trees.put_local(replace(node, parent=STAGE, name=node.id))
        elif kind is S.SetExecutable:
            assert self.has_bit, step
            trees.put_local(replace(node, executable=step.executable))
        elif kind is S.Discard:
            assert node.kind is FILE
            self.trash.append(self.bytes.pop(node.id))
            trees.remove_local(node.id)
            trees.remove_synced(node.id)
        elif kind is S.RemoveFolder:
            if node.id in self.untidy or self.leftovers & {child.id for child in local.children(node.id)}:
                self.leftovers.add(node.id)
                self.strict = False  # What wanted its place finds it taken, and is planned anew.
            elif self.demand(node.kind is DIR and not local.has_children(node.id), step):
                trees.remove_local(node.id)
                trees.remove_synced(node.id)
        else:
            raise AssertionError(step)

    def _book(self, step: S.Adopt | S.Forget | S.Link | S.Rebase) -> None:
        trees = self.trees
        if isinstance(step, S.Adopt):
            r, l = trees.remote[step.node], trees.local[step.node]  # noqa: E741
            assert (r.parent, r.name, r.kind) == (l.parent, l.name, l.kind), step
            assert r.kind is DIR or r.content_hash == self.bytes[step.node], step
        elif isinstance(step, S.Link):
            assert step.to in trees.remote, step
            assert step.to not in trees.local, step
            keep_books(trees, step)
            self.became.append((step.node, step.to, self.bytes.get(step.node)))
            if step.node in self.bytes:
                self.bytes[step.to] = self.bytes.pop(step.node)
            return
        keep_books(trees, step)

    def _relocate(self, step: S.Relocate, node: LocalNode) -> None:
        trees = self.trees
        free = self._folder(step.parent) and self._free(step.parent, step.name, node.id)
        ring = step.parent == node.id or trees.local.is_below(step.parent, node.id)
        if node.parent != STAGE and not self.case_sensitive and not step.new_id:
            same_key = node.parent == step.parent and key_of(node.name) == key_of(step.name)
            assert not same_key, f"a case-only rename without a hop: {step}"
        if not self.demand(free and not ring, step):
            return
        if "conflict" in step.why or "name taken" in step.why:
            self.conflicts += 1
        trees.put_local(replace(node, parent=step.parent, name=step.name))
        if step.new_id is None:
            self.follow(step, node)
        self.agree(node.id)
        for old, new in ((node.id, step.new_id), *step.fresh):
            if new is not None:
                trees.rekey_local(old, new)
                if not step.left:
                    trees.remove_synced(old)
                if old in self.bytes:
                    self.bytes[new] = self.bytes.pop(old)

    def follow(self, step: S.Relocate, node: LocalNode) -> None:
        """The base's place goes along with what the engine itself moved, so that it is not read as a person's move."""
        trees = self.trees
        base, remote = trees.synced.get(node.id), trees.remote.get(node.id)
        if base is None:
            return
        was = self.homes.get(node.id, (node.parent, node.name))
        home = (step.parent, step.name)
        if home == (remote.parent, remote.name) if remote is not None else was == (base.parent, base.name):
            trees.put_synced(replace(base, parent=step.parent, name=step.name))

    def agree(self, node_id: NodeId) -> None:
        """The base follows at once where the engine itself made both sides equal."""
        r, l = self.trees.remote.get(node_id), self.trees.local.get(node_id)  # noqa: E741
        if r is None or l is None or (r.parent, r.name, r.kind) != (l.parent, l.name, l.kind):
            return
        if r.kind is DIR or (l.content_hash == r.content_hash and l.executable in (None, r.executable)):
            keep_books(self.trees, S.Adopt(node=node_id, why=""))

    def fetch(self, step: S.Fetch) -> None:
        trees = self.trees
        remote, node = trees.remote.get(step.node), trees.local.get(step.node)
        if not self.demand(remote is not None and remote.content_hash is not None, step):
            return
        assert remote is not None
        content = remote.content_hash
        assert content is not None
        ok = self._folder(step.parent) and self._free(step.parent, step.name, step.node)
        ok = ok and (node is None or (node.parent, node.name) == (step.parent, step.name))
        ok = ok and (node is None or (node.content_hash is not None and node.content_hash == self.bytes[node.id]))
        if not self.demand(ok, step):
            return
        if node is not None:
            base = trees.synced.get(step.node)
            if step.aside_name is not None:
                assert step.aside_id is not None
                if not self.demand(self._free(node.parent, step.aside_name, None), step):
                    return
                self.conflicts += 1
                self.copies += 1
                self.bytes[step.aside_id] = self.bytes[node.id]
                trees.put_local(replace(node, id=step.aside_id, name=step.aside_name))
            else:
                self.trash.append(self.bytes[node.id])
                if self.strict and base is not None:
                    assert base.content_hash == self.bytes[node.id], f"changed bytes are replaced: {step}"
        self.bytes[step.node] = content
        trees.put_local(
            LocalNode(
                id=step.node,
                parent=step.parent,
                name=step.name,
                kind=FILE,
                signature=SIGNATURE,
                content_hash=content,
                executable=self.bit(remote.executable),
            )
        )
        book_fetch(trees, step.node, step.parent, step.name)

    def push(self, unit: list[S.Push]) -> None:
        trees = self.trees
        contents: dict[NodeId, str] = {}
        unread = False
        for push in unit:
            if not push.content:
                continue
            node = trees.local[push.node]
            contents[push.node] = self.bytes[push.node]
            if node.content_hash is None:
                trees.put_local(replace(node, content_hash=self.bytes[push.node]))
                unread = push.op is not S.Op.CREATE
            assert push.content_hash is None or push.content_hash == self.bytes[push.node]
        if unread:
            self.strict = False  # What builds on it may be refused.
            return
        if contents and self.delays and self.rng.random() < 0.3:
            for node_id in contents:
                self._begin(node_id, unit[0])
            self.strict = False
            return
        try:
            self.server.commit(unit, contents, self.cursor)
        except Refused as refused:
            self.refusals += 1
            if str(refused) == "node.deleted" and unit[0].op is S.Op.CREATE:
                self.buried.update(push.node for push in unit if push.op is S.Op.CREATE)
                return
            if str(refused) == "node.exists" and unit[0].op is S.Op.UNDELETE:
                return  # A recursive undelete just brought it back with a folder it had been moved into.
            if self.strict and not self.buried:
                raise AssertionError(f"refused ({refused}): {unit}") from refused
            return
        if self.delays and self.rng.random() < 0.05:
            self.unanswered += 1  # The answer is lost: what came of it is only read.
        else:
            self.own[self.server.head - 1] = (unit, contents)
