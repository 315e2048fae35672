"""The executor's way up: files read and sent, changesets committed, refusals turned into what to do next.

Prepared uploads are a cache: each is good while the file is what it was when it was read, and while the plan asks for it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence, Set
from typing import Final

from msgspec import Struct, field

from syncline.client.activity import Activity
from syncline.client.commits import Booking, Committed, Committer, Unit, units_of
from syncline.client.guard import Direction
from syncline.client.parking import Parking
from syncline.client.plan.steps import Push
from syncline.client.send.jobs import Prepared, SendJob
from syncline.client.send.sender import Sender
from syncline.client.status import Problem, Progress
from syncline.client.trees.trees import Trees
from syncline.model.entries import Kind
from syncline.model.errors import BlocksMissing, InvalidRequest, SynclineError
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.model.limits import GIB
from syncline.ports.tree_store import TreeStore
from syncline.protocol.commits import Op

REFUSALS_MAX: Final = 4


class Ran(Struct):
    """What running steps led to: `moved` says the trees or the server changed, so a new plan is due at once. `deleted` and
    `returned` tell files by their content, for the delete guard."""

    moved: bool = False
    committed: bool = False
    refused: bool = False
    """The server saw it otherwise: the trees are behind."""
    rescan: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    lost_contact: SynclineError | None = None
    bookings: list[Booking] = field(default_factory=list)
    deleted: list[tuple[Direction, Digest | None]] = field(default_factory=list)
    returned: list[tuple[Direction, Digest]] = field(default_factory=list)


class Outgoing:
    """What is on its way to the server. `busy` is the executor's set of nodes in a pipeline."""

    def __init__(
        self,
        *,
        trees: Trees,
        store: TreeStore,
        sender: Sender,
        committer: Committer,
        parking: Parking,
        activity: Activity,
        progress: Progress,
        busy: set[NodeId],
    ) -> None:
        self._trees = trees
        self._store = store
        self._sender = sender
        self._committer = committer
        self._parking = parking
        self._activity = activity
        self._progress = progress
        self._busy = busy
        self.prepared: dict[NodeId, Prepared] = {}
        self._uncertain: set[NodeId] = set()
        self._refusals: Counter[NodeId] = Counter()
        self.buried: set[NodeId] = set()
        """Nodes that the server knows as deleted, by its word."""

    async def push(self, pushes: Sequence[Push], heads: dict[NamespaceId, int], ran: Ran) -> None:
        units: list[Unit] = []
        for unit in units_of(pushes):
            lacking = [push for push in unit if push.content and not self._is_prepared(push.node)]
            for push in lacking:
                await self._send(push)
            if not lacking:
                units.append(unit)
        if not units:
            return
        self._answered(await self._committer.commit(units, self.prepared, heads), ran)

    def _answered(self, outcome: Committed, ran: Ran) -> None:
        """What the server said to this plan's pushes."""
        ran.committed = ran.committed or bool(outcome.done or outcome.refused)
        ran.refused = ran.refused or bool(outcome.refused)
        ran.moved = ran.moved or bool(outcome.failed or outcome.unsent_blocks)
        ran.bookings += outcome.bookings
        ran.lost_contact = outcome.lost
        for push in outcome.done:
            self._note_push(push, ran)
        for node, error in outcome.failed.items():
            self._parking.failed(node, self._path(node), error)
        for node in outcome.unsent_blocks:
            self.prepared.pop(node, None)
            if node in self._uncertain:
                self._refuse(node, BlocksMissing.code)
            self._uncertain.add(node)
        for node, code in outcome.refused.items():
            if (code == "access.denied" and self._is_of_others(node)) or self._is_elsewhere(node, code):
                self._begin_anew(node, ran)
                continue
            if code == "node.deleted" and node not in self._trees.remote:
                self.buried.add(node)
            self._refuse(node, code)

    def _is_of_others(self, node: NodeId) -> bool:
        """Whether what the server knows under this id, and will not let come back, is not this user's any more: a shared folder
        that was taken away while it was moved here, or while the device had lost its memory of it."""
        known = node in self.buried or node in self._trees.synced
        return known and node not in self._trees.remote and node not in self._busy

    def _is_elsewhere(self, node: NodeId, code: str) -> bool:
        """Whether the id is that of what is not in this device's tree, as of a look at the server since the first refusal: of a
        shared folder that is not mounted any more, or of something in the trash of another namespace."""
        told = code == "node.exists" or (code in ("moved", "node.missing") and node in self._trees.synced)
        return told and self._refusals[node] > 0 and node not in self._trees.remote and node not in self._busy

    def _begin_anew(self, node: NodeId, ran: Ran) -> None:
        """What lies here is a thing of its own from now on."""
        self.buried.discard(node)
        self._trees.remove_synced(node)
        self.prepared.pop(node, None)
        self._refusals.pop(node, None)
        self._trees.rekey_local(node, self._committer.fresh_id())
        ran.moved = True

    def _refuse(self, node: NodeId, code: str) -> None:
        """A refusal usually means that the trees are behind; one that repeats means something else."""
        self._refusals[node] += 1
        if self._refusals[node] > REFUSALS_MAX:
            self._parking.failed(node, self._path(node), InvalidRequest(message=f"The server refuses this change ({code})."))

    def _path(self, node: NodeId) -> str:
        return self._trees.local_path(node) or self._trees.remote_path(node) or ""

    def _note_push(self, push: Push, ran: Ran) -> None:
        self._refusals.pop(push.node, None)
        self._parking.succeeded(push.node)
        prepared = self.prepared.pop(push.node, None) if push.content else None
        self._uncertain.discard(push.node)
        self.buried.discard(push.node)
        path = self._path(push.node) or push.name or ""
        if push.op is Op.DELETE:
            ran.deleted += [(Direction.UP, content) for content in self._contents_below(push.node)]
        if prepared is not None:
            ran.returned.append((Direction.UP, prepared.content_hash))
            self._progress.uploaded_files += 1
            self._progress.uploaded_bytes += prepared.size
            self._activity.note("uploaded", path)
        elif push.op is not Op.CREATE:
            self._activity.note({Op.DELETE: "deleted", Op.MOVE: "moved"}.get(push.op, push.op.value), path, "on the server")

    def _contents_below(self, node: NodeId) -> list[Digest | None]:
        """The files that the delete of a node takes away on the server."""
        remote = self._trees.remote
        found = remote.get(node)
        nodes = [*([] if found is None else [found]), *remote.descendants(node)]
        return [each.content_hash for each in nodes if each.kind is Kind.FILE]

    def _is_prepared(self, node: NodeId) -> bool:
        prepared, local = self.prepared.get(node), self._trees.local.get(node)
        # A signature alone may hide a write in the same tick: a file whose content is in doubt again is read again.
        if (
            prepared is not None
            and local is not None
            and (prepared.signature, prepared.content_hash)
            == (
                local.signature,
                local.content_hash,
            )
        ):
            return True
        self.prepared.pop(node, None)
        return False

    async def _send(self, push: Push) -> None:
        local, path = self._trees.local.get(push.node), self._trees.local_path(push.node)
        if local is None or path is None or push.node in self._busy:
            return
        base = self._trees.synced.get(push.node)
        previous = None
        if base is not None and base.content_hash is not None and local.signature.size > GIB:
            previous = await asyncio.to_thread(self._store.manifest, base.content_hash)
        self._busy.add(push.node)
        await self._sender.submit(
            SendJob(
                node=push.node,
                namespace=push.namespace,
                path=path,
                signature=local.signature,
                size=local.signature.size,
                previous_cut=previous.cut if previous is not None else None,
                mtime_us=local.signature.mtime_ns // 1000,
                executable=bool(local.executable),
                certain=push.node in self._uncertain,
                racy=local.racy,
            )
        )

    def agreed(self, node: NodeId) -> None:
        """Both sides agree on a node, however that came about."""
        self._refusals.pop(node, None)

    def forget(self, wanted: Set[NodeId]) -> None:
        """Keeps what is known of these nodes only."""
        memories: tuple[dict[NodeId, Prepared] | Counter[NodeId], ...] = (self.prepared, self._refusals)
        for memory in memories:
            for node in [node for node in memory if node not in wanted]:
                del memory[node]
        self._uncertain &= wanted
        self.buried &= wanted
