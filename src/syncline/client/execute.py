"""From a plan's steps to effects: trees, disk, transfers, commits.

Runs inside the engine's control task, the only writer of the trees; what blocks goes to a thread that the task awaits. Transfers
are handed to their pipelines, their nodes stay busy until the result is absorbed, and the next plan decides anew whether what they
brought is still wanted: a prepared upload or fetched file is a cache, never a promise.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from syncline.client.activity import Activity
from syncline.client.commits import Committer
from syncline.client.guard import Direction
from syncline.client.hashing import Hashed, Hasher, HashJob
from syncline.client.inbox import close_settled, place_of
from syncline.client.merging import Merger
from syncline.client.outgoing import Outgoing, Ran
from syncline.client.parking import Parking
from syncline.client.plan import steps as plan_steps
from syncline.client.plan.books import keep_books
from syncline.client.plan.steps import Fetch, Hash, Merge, Push, Step
from syncline.client.receive.apply import Applier, Outcome
from syncline.client.receive.fetched import Fetched, FetchFailed, Wanted
from syncline.client.receive.receiver import Receiver
from syncline.client.send.jobs import Prepared, SendFailed
from syncline.client.send.sender import Sender
from syncline.client.status import Problem, Progress
from syncline.client.trees.trees import Trees
from syncline.model.blocks import Manifest
from syncline.model.entries import Kind
from syncline.model.errors import ChangedWhileRead, SynclineError, Unauthenticated, Unavailable
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX, MERGES_A_ROUND
from syncline.model.paths import join, parent_of
from syncline.ports.tree_store import TreeStore

BOOKKEEPING: Final = (plan_steps.Adopt, plan_steps.Forget, plan_steps.Link, plan_steps.Rebase)


class Executor:
    """Carries out steps and absorbs what the transfer pipelines bring."""

    def __init__(
        self,
        *,
        trees: Trees,
        store: TreeStore,
        applier: Applier,
        sender: Sender,
        receiver: Receiver,
        hasher: Hasher,
        committer: Committer,
        parking: Parking,
        activity: Activity,
        merger: Merger | None = None,
    ) -> None:
        self._trees = trees
        self._store = store
        self._applier = applier
        self._sender = sender
        self._receiver = receiver
        self._hasher = hasher
        self._parking = parking
        self._activity = activity
        self._merger = merger
        self.unmerged: dict[NodeId, tuple[Digest, Digest]] = {}
        """Nodes whose contents, local and remote, have no clean merge."""
        self._fetched: dict[NodeId, Fetched] = {}
        self._manifests: list[Manifest] = []
        self._replaced: set[NodeId] = set()
        """Nodes whose fetched file the disk did not take once; the second time it is fetched anew."""
        self.busy: set[NodeId] = set()
        self.inbox: deque[Prepared | SendFailed | list[Fetched | FetchFailed] | list[Hashed]] = deque()
        """What the pipelines brought and the control task has not taken yet."""
        self.progress = Progress()
        self.leftovers: set[NodeId] = set()
        """Folders gone from the server that ignored or unknown files keep on this disk."""
        self._outgoing = Outgoing(
            trees=trees,
            store=store,
            sender=sender,
            committer=committer,
            parking=parking,
            activity=activity,
            progress=self.progress,
            busy=self.busy,
        )

    @property
    def buried(self) -> set[NodeId]:
        """Nodes that the server knows as deleted, by its word."""
        return self._outgoing.buried

    @property
    def has_results(self) -> bool:
        results = (self._sender.results, self._receiver.results, self._hasher.results)
        return bool(self.inbox) or not all(queue.empty() for queue in results)

    # -- what came of transfers --------------------------------------------------------------------------------------------

    def absorb(self) -> Ran:
        """Takes every result that is there. Sync: no effect but on the trees."""
        ran = Ran()
        while self.inbox:
            result = self.inbox.popleft()
            for item in result if isinstance(result, list) else (result,):
                self.busy.discard(item.node)
                if isinstance(item, SendFailed | FetchFailed):
                    self._failed(item.node, item.error, ran)
                elif isinstance(item, Prepared):
                    self._absorb_prepared(item, ran)
                elif isinstance(item, Fetched):
                    self._fetched[item.node] = item
                    if item.manifest is not None:
                        self._manifests.append(item.manifest)
                else:
                    self._absorb_hashed(item, ran)
        return ran

    def _absorb_hashed(self, hashed: Hashed, ran: Ran) -> None:
        if hashed.error is not None:
            self._failed(hashed.node, hashed.error, ran)
            return
        local = self._trees.local.get(hashed.node)
        if local is not None and local.signature == hashed.signature:
            self._trees.put_local(replace(local, content_hash=hashed.content_hash, racy=local.racy or hashed.racy))

    def _absorb_prepared(self, result: Prepared, ran: Ran) -> None:
        local = self._trees.local.get(result.node)
        if local is None or local.signature != result.signature:
            self._rescan_around(result.node, ran)
            return
        if local.content_hash != result.content_hash:
            self._trees.put_local(replace(local, content_hash=result.content_hash, racy=local.racy or result.racy))
        self._outgoing.prepared[result.node] = result
        if len(result.blocks) > 1:
            self._manifests.append(result.manifest)

    def _failed(self, node: NodeId, error: SynclineError, ran: Ran) -> None:
        if isinstance(error, Unavailable | Unauthenticated):
            ran.lost_contact = error
            return
        if isinstance(error, ChangedWhileRead):
            self._rescan_around(node, ran)
        path = self._path(node)
        self._parking.failed(node, path, error)
        self._activity.note("problem", path, str(error))

    def _rescan_around(self, node: NodeId, ran: Ran) -> None:
        path = self._trees.local_path(node)
        if path is not None:
            ran.rescan.add(parent_of(path))

    # -- steps ---------------------------------------------------------------------------------------------------------------

    async def run(self, steps: Sequence[Step], heads: dict[NamespaceId, int], *, online: bool) -> Ran:
        """Carries out the steps of one plan, in order; without a server, those that need none."""
        ran = Ran()
        pushes: list[Push] = []
        wanted: list[Wanted] = []
        merges: list[Merge] = []
        at = 0
        while at < len(steps):
            kind = _lane(steps[at])
            end = at
            while end < len(steps) and _lane(steps[end]) == kind:
                end += 1
            run = steps[at:end]
            at = end
            if kind == "book":
                for step in run:
                    assert isinstance(step, BOOKKEEPING)
                    self._bookkeep(step)
                ran.moved = True
            elif kind == "disk":
                await self._change_disk(run, ran)
            elif kind == "fetch":
                await self._fetch([step for step in run if isinstance(step, Fetch)], wanted, ran)
            elif kind == "merge":
                merges += [step for step in run if isinstance(step, Merge)]
            elif kind == "push":
                pushes += [step for step in run if isinstance(step, Push)]
            else:
                for step in run:
                    self._read(step, ran)
        await self._drop_unwanted({step.node for step in steps})
        if online:
            await self._merge(merges[:MERGES_A_ROUND], ran)
            if wanted:
                self.busy.update(want.node for want in wanted)
                await self._receiver.submit(wanted)
            if pushes:
                await self._outgoing.push(pushes, heads, ran)
        return ran

    def _bookkeep(self, step: plan_steps.Adopt | plan_steps.Forget | plan_steps.Link | plan_steps.Rebase) -> None:
        keep_books(self._trees, step)
        self._parking.succeeded(step.node)
        self._outgoing.agreed(step.node)

    def _read(self, step: Step, ran: Ran) -> None:
        if isinstance(step, plan_steps.Report):
            path = self._path(step.node)
            ran.problems.append(Problem(code=step.code, path=path, message=step.message))
            return
        local, place = self._trees.local.get(step.node), self._trees.local_path(step.node)
        if local is not None and place is not None:
            self.busy.add(step.node)
            self._hasher.submit(HashJob(step.node, place, local.signature, local.racy))

    async def _change_disk(self, run: Sequence[Step], ran: Ran) -> None:
        local = self._trees.local
        discards = [local.get(step.node) for step in run if isinstance(step, plan_steps.Discard)]
        before = {step.node: self._trees.local_path(step.node) or "" for step in run}
        outcome = await asyncio.to_thread(self._applier.disk, run)
        done = set(outcome.done)
        ran.deleted += [(Direction.DOWN, node.content_hash) for node in discards if node is not None and node.id in done]
        for step in run:
            if step.node in done:
                self._note_change(step, before[step.node])
        self._take(outcome, run, ran)

    def _note_change(self, step: Step, before: str) -> None:
        if isinstance(step, plan_steps.Discard | plan_steps.RemoveFolder):
            self._activity.note("deleted", before, "here")
        elif isinstance(step, plan_steps.Relocate) and step.new_id is None:
            self._activity.note("moved", self._path(step.node), f"here, from {before}")

    async def _fetch(self, run: Sequence[Fetch], wanted: list[Wanted], ran: Ran) -> None:
        ready: list[tuple[Fetch, Fetched]] = []
        for step in run:
            remote = self._trees.remote.get(step.node)
            if remote is None or remote.content_hash is None:
                continue
            got = self._fetched.pop(step.node, None)
            if got is not None and got.content_hash == remote.content_hash:
                ready.append((step, got))
                continue
            if got is not None:
                await asyncio.to_thread(self._applier.drop_temp, got.temp_path)
            wanted.append(
                Wanted(
                    node=step.node,
                    namespace=remote.namespace,
                    revision=remote.revision,
                    content_hash=remote.content_hash,
                    size=remote.size,
                    executable=remote.executable,
                    mtime_us=remote.mtime_us,
                )
            )
        for start in range(0, len(ready), BATCH_MAX):
            batch = ready[start : start + BATCH_MAX]
            outcome = await asyncio.to_thread(self._applier.place, batch)
            self._take(outcome, [step for step, _ in batch], ran)
            await self._keep_for_another_try(batch, outcome)
            done = set(outcome.done)
            for step, got in batch:
                if step.node in done:
                    ran.returned.append((Direction.DOWN, got.content_hash))
                    self.progress.downloaded_files += 1
                    self.progress.downloaded_bytes += got.size
                    path = self._trees.local_path(step.node) or step.name
                    self._activity.note("downloaded", path)
                    if step.aside_name is not None:
                        self.progress.conflicts += 1
                        self._activity.note("conflict", join(parent_of(path), step.aside_name), step.why)

    async def _merge(self, steps: Sequence[Merge], ran: Ran) -> None:
        """Merges, and puts the results in place. What has no clean merge is remembered, so that the next plan keeps a copy."""
        if not steps or self._merger is None:
            return
        merges = await self._merger.merge_all(steps)
        for node, error in merges.failed:
            self._failed(node, error, ran)
        for step, why in merges.unmerged:
            self.unmerged[step.node] = (step.ours, step.theirs)
            self._activity.note("not merged", self._path(step.node), why.value)
            ran.moved = True
        if not merges.ready:
            return
        outcome = await asyncio.to_thread(self._applier.place, merges.ready)
        self._take(outcome, [fetch for fetch, _ in merges.ready], ran)
        done = set(outcome.done)
        for fetch, merged in merges.ready:
            if fetch.node in done:
                self.progress.merges += 1
                self._activity.note("merged", self._path(fetch.node), "both sides' changes; this device's version is in its trash")
            else:
                await asyncio.to_thread(self._applier.drop_temp, merged.temp_path)

    async def _keep_for_another_try(self, batch: Sequence[tuple[Fetch, Fetched]], outcome: Outcome) -> None:
        """A file that something on this disk keeps from its place is not fetched again; one whose place is not what the trees say
        waits for one more plan, since its temporary file may be what is wrong."""
        done, stale = set(outcome.done), set(outcome.stale)
        for step, got in batch:
            if step.node in done:
                self._replaced.discard(step.node)
            elif step.node in stale and step.node in self._replaced:
                self._replaced.discard(step.node)
                await asyncio.to_thread(self._applier.drop_temp, got.temp_path)
            else:
                if step.node in stale:
                    self._replaced.add(step.node)
                self._fetched[step.node] = got

    def _take(self, outcome: Outcome, run: Sequence[Step], ran: Ran) -> None:
        ran.rescan |= outcome.rescan
        ran.moved = ran.moved or bool(outcome.done)
        done, stale = set(outcome.done), set(outcome.stale)
        by_path = {problem.path: problem for problem in outcome.problems}
        for step in run:
            if step.node in stale:
                self._parking.restless(step.node, self._path(step.node))
                continue
            if step.node in done:
                self._parking.succeeded(step.node)
                if isinstance(step, plan_steps.Relocate) and step.new_id is not None:
                    self.progress.conflicts += 1
                    self._activity.note("conflict", step.name, step.why)
                continue
            paths = (self._trees.local_path(step.node), self._trees.remote_path(step.node))
            problem = next((by_path[path] for path in paths if path in by_path), None)
            if isinstance(step, plan_steps.RemoveFolder) and problem is not None and problem.code == "folder.leftover":
                self.leftovers.add(step.node)
                ran.moved = True
            elif problem is not None or outcome.problems:
                self._parking.held_by(step.node, problem or outcome.problems[0])
                # What is parked is no step any more: only another plan tells whether anything else is left to do.
                ran.moved = True
            else:
                self._parking.restless(step.node, self._path(step.node))

    def _path(self, node: NodeId) -> str:
        return self._trees.local_path(node) or self._trees.remote_path(node) or ""

    async def _drop_unwanted(self, planned: set[NodeId]) -> None:
        """What the plan no longer asks for is forgotten: fetched files, preparations, and what was counted. What is parked is
        asked for again."""
        wanted = planned | self.busy | self._parking.held()
        for node in [node for node in self._fetched if node not in wanted]:
            await asyncio.to_thread(self._applier.drop_temp, self._fetched.pop(node).temp_path)
        self._outgoing.forget(wanted)
        self.unmerged = {node: found for node, found in self.unmerged.items() if node in wanted}
        self._replaced &= wanted

    async def save(self) -> None:
        """Writes what the trees gathered, and manifests learnt, in one transaction. Conflicts that are over are closed with it."""
        for conflict in close_settled(self._trees):
            self._activity.note("resolved", place_of(self._trees, conflict), f"the conflict with {conflict.copy_path} is over")
        changes = self._trees.drain()
        changes.manifest_put, self._manifests = self._manifests, []
        if not any(getattr(changes, name) for name in changes.__struct_fields__):
            return
        try:
            await asyncio.to_thread(self._store.write, changes)
        except BaseException:
            self._trees.undrain(changes)
            self._manifests += changes.manifest_put
            raise

    def forget_transfers(self) -> None:
        """A pipeline ended by surprise: nothing is busy any more, and the next plan asks again."""
        self.busy.clear()

    def files_synced(self) -> int:
        return sum(1 for base in self._trees.synced if base.kind is Kind.FILE)


def _lane(step: Step) -> str:
    if isinstance(step, BOOKKEEPING):
        return "book"
    if isinstance(step, Fetch):
        return "fetch"
    if isinstance(step, Push):
        return "push"
    if isinstance(step, Merge):
        return "merge"
    if isinstance(step, Hash | plan_steps.Report):
        return "read"
    return "disk"
