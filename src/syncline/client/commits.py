"""Carrying planned changes to the server: pushes into changesets, refusals back into what to do next.

Pushes of one group stand or fall together; the others share requests of at most `BATCH_MAX` changes, in order. When the server
refuses a changeset it names every change that was wrong, so the rest is sent again at once without them. A refusal that names none
(a quota, a limit) is narrowed down by halves, so that one change too many does not hold back a thousand others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import structlog
from msgspec import Struct, field

from syncline.client.intents import Intents
from syncline.client.plan.steps import Push
from syncline.client.send.jobs import Prepared
from syncline.client.trees.trees import Trees
from syncline.model.entries import Kind
from syncline.model.errors import BlocksMissing, CommitRefused, Conflict, Refused, Retryable, SynclineError, Unauthenticated
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX
from syncline.ports.clock import Ids
from syncline.ports.remote import Remote
from syncline.protocol.changes import to_time
from syncline.protocol.commits import Change, CommitAnswer, CommitRequest, Op

log = structlog.get_logger(__name__)

REQUESTS_MAX: Final = 32
"""Requests made of one batch at most: enough to find the one change in `BATCH_MAX` that an unnamed refusal is about."""
Unit = tuple[Push, ...]
"""Pushes that stand or fall together."""


class Booking(Struct, frozen=True):
    """A changeset of this device that the server has. Once the journal was read up to `sequence`, each push became the base both
    sides agree on, with its revision and the content that was sent (`plan.books.book_push`)."""

    namespace: NamespaceId
    sequence: int
    pushes: list[tuple[Push, int, Digest | None]]
    changes: list[Change] = field(default_factory=list)
    answer: CommitAnswer | None = None
    """What was asked and answered, from which the journal's rows can be rebuilt (`own`)."""


class Committed(Struct):
    """What came of a run of commits. `refused` maps nodes to the server's code, `failed` to why their changes cannot be made at
    all now; `unsent_blocks` holds nodes with blocks the server lacks. `lost` says that the server was lost on the way: what is in
    none of the others may have been committed or not, which the journal will tell."""

    done: list[Push] = field(default_factory=list)
    bookings: list[Booking] = field(default_factory=list)
    refused: dict[NodeId, str] = field(default_factory=dict)
    failed: dict[NodeId, SynclineError] = field(default_factory=dict)
    unsent_blocks: set[NodeId] = field(default_factory=set)
    lost: SynclineError | None = None


class Committer:
    """Sends changesets for one device."""

    def __init__(self, remote: Remote, trees: Trees, ids: Ids, intents: Intents) -> None:
        self._remote = remote
        self._intents = intents
        self._trees = trees
        self._ids = ids

    def fresh_id(self) -> NodeId:
        """For what cannot keep the id it had."""
        return NodeId(self._ids.fresh())

    async def commit(
        self, units: Sequence[Unit], prepared: Mapping[NodeId, Prepared], heads: Mapping[NamespaceId, int]
    ) -> Committed:
        """Commits units whose content is prepared. Errors are part of what comes of it."""
        outcome = Committed()
        for namespace, batch in _batches(units):
            left = deque([batch])
            for _ in range(REQUESTS_MAX):
                if not left or outcome.lost is not None:
                    break
                again = await self._send(namespace, left.popleft(), prepared, heads.get(namespace, 0), outcome)
                left.extendleft(part for part in reversed(again) if part)
        return outcome

    async def _send(
        self,
        namespace: NamespaceId,
        units: list[Unit],
        prepared: Mapping[NodeId, Prepared],
        head: int,
        outcome: Committed,
    ) -> list[list[Unit]]:
        """One request; what to send again, each part in a request of its own."""
        pushes = [push for unit in units for push in unit]
        changes = [self._change(push, prepared.get(push.node), head) for push in pushes]
        contents = {push.node: prepared[push.node].content_hash for push in pushes if push.node in prepared}
        intent = await asyncio.to_thread(self._intents.begin, namespace, pushes, contents)
        again = await self._told(namespace, units, pushes, changes, prepared, outcome)
        if outcome.lost is None:
            self._intents.over(intent)
        return again

    async def _told(
        self,
        namespace: NamespaceId,
        units: list[Unit],
        pushes: list[Push],
        changes: list[Change],
        prepared: Mapping[NodeId, Prepared],
        outcome: Committed,
    ) -> list[list[Unit]]:
        """The request, and what the server makes of it."""
        try:
            answer = await self._remote.commit(CommitRequest(namespace=namespace, changes=changes), key=self._ids.fresh())
        except CommitRefused as refusal:
            left = _without(units, refusal.fields.get("failures") or [], outcome)
            return self._narrowed(units, refusal, outcome) if left is None else [left]
        except BlocksMissing:
            outcome.unsent_blocks |= {push.node for push in pushes if push.content}
            return [[unit for unit in units if not any(push.content for push in unit)]]
        except (Retryable, Unauthenticated) as error:
            outcome.lost = error
            return []
        except (Refused, Conflict) as refusal:
            return self._narrowed(units, refusal, outcome)
        outcome.done += pushes
        outcome.bookings.append(_booking(namespace, pushes, changes, prepared, answer))
        return []

    def _narrowed(self, units: list[Unit], refusal: SynclineError, outcome: Committed) -> list[list[Unit]]:
        """A refusal that names no change: what can be sent without bytes goes first (it may make room), then halves."""
        bare = [unit for unit in units if not any(push.content for push in unit)]
        if bare and len(bare) < len(units):
            return [bare, [unit for unit in units if any(push.content for push in unit)]]
        if len(units) > 1:
            return [units[: len(units) // 2], units[len(units) // 2 :]]
        log.info("commit.refused", nodes=[push.node for push in units[0]], code=refusal.code)
        outcome.failed.update((push.node, refusal) for push in units[0])
        return []

    def _change(self, push: Push, prepared: Prepared | None, head: int) -> Change:
        local = self._trees.local.get(push.node)
        content: dict[str, Any] = {}
        if push.content and prepared is not None:
            content = {
                "content_hash": prepared.content_hash,
                "size": prepared.size,
                "blocks": prepared.blocks,
                "cut": prepared.cut,
                "mtime": to_time(prepared.signature.mtime_ns // 1000),
            }
        executable = push.executable
        if executable is None and push.content and local is not None:
            executable = local.executable
        return Change(
            op=push.op,
            node_id=push.node,
            base_revision=push.base_revision,
            parent_id=push.parent,
            name=push.name,
            kind=push.kind if push.op in (Op.CREATE, Op.UNDELETE) else None,
            executable=executable if push.kind is Kind.FILE else None,
            recursive=push.recursive,
            subtree_as_of=head if push.op is Op.DELETE and push.kind is Kind.DIR else None,
            **content,
        )


def units_of(pushes: Sequence[Push]) -> list[Unit]:
    """Pushes in order, those of one group gathered at the place of its first."""
    gathered: dict[object, list[Push]] = {}
    for index, push in enumerate(pushes):
        gathered.setdefault(index if push.group is None else ("group", push.group), []).append(push)
    return [tuple(unit) for unit in gathered.values()]


def _batches(units: Sequence[Unit]) -> Iterator[tuple[NamespaceId, list[Unit]]]:
    batch: list[Unit] = []
    size = 0
    for unit in units:
        if batch and (size + len(unit) > BATCH_MAX or batch[0][0].namespace != unit[0].namespace):
            yield batch[0][0].namespace, batch
            batch, size = [], 0
        batch.append(unit)
        size += len(unit)
    if batch:
        yield batch[0][0].namespace, batch


def _without(units: list[Unit], failures: list[dict[str, Any]], outcome: Committed) -> list[Unit] | None:
    """The units that the refusal does not name; None where it names none. Its indexes say whom it means, not its node ids: these
    are the server's word, and what is counted against a node must be about a node that was sent."""
    owners = [(index, push.node) for index, unit in enumerate(units) for push in unit]
    bad: set[int] = set()
    for failure in failures:
        at = failure.get("index")
        if not isinstance(at, int) or not 0 <= at < len(owners):
            continue
        owner, node = owners[at]
        bad.add(owner)
        code = str(failure.get("code", "refused"))
        if code == BlocksMissing.code:
            outcome.unsent_blocks.add(node)
        else:
            outcome.refused[node] = code
            log.info("commit.refused", node=node, code=code, detail=failure.get("detail", ""))
    return [unit for index, unit in enumerate(units) if index not in bad] if bad else None


def _booking(
    namespace: NamespaceId,
    pushes: Sequence[Push],
    changes: list[Change],
    prepared: Mapping[NodeId, Prepared],
    answer: CommitAnswer,
) -> Booking:
    booked = [
        (push, result.revision, prepared[push.node].content_hash if push.content and push.node in prepared else None)
        for push, result in zip(pushes, answer.results, strict=False)
    ]
    return Booking(namespace, answer.sequence, booked, changes, answer)
