"""Carrying planned changes to the server: pushes into changesets, refusals back into what to do next.

Pushes of one group stand or fall together; the others share requests of at most `BATCH_MAX` changes, in order. When the server
refuses a changeset it names every change that was wrong, so the rest is sent again at once without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import structlog
from msgspec import Struct, field

from syncline.client.plan.steps import Push
from syncline.client.send.jobs import Prepared
from syncline.client.trees.trees import Trees
from syncline.model.entries import Kind
from syncline.model.errors import BlocksMissing, CommitRefused
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX
from syncline.ports.clock import Ids
from syncline.ports.remote import Remote
from syncline.protocol.changes import to_time
from syncline.protocol.commits import Change, CommitAnswer, CommitRequest, Op

log = structlog.get_logger(__name__)

RESENDS_MAX: Final = 5
Unit = tuple[Push, ...]
"""Pushes that stand or fall together."""


class Committed(Struct):
    """What came of a run of commits. `refused` maps nodes to the server's code; `answers` are those of accepted changesets."""

    done: list[Push] = field(default_factory=list)
    refused: dict[NodeId, str] = field(default_factory=dict)
    unsent_blocks: set[NodeId] = field(default_factory=set)
    answers: list[CommitAnswer] = field(default_factory=list)


class Committer:
    """Sends changesets for one device."""

    def __init__(self, remote: Remote, trees: Trees, ids: Ids) -> None:
        self._remote = remote
        self._trees = trees
        self._ids = ids

    async def commit(
        self, units: Sequence[Unit], prepared: Mapping[NodeId, Prepared], heads: Mapping[NamespaceId, int]
    ) -> Committed:
        """Commits units whose content is prepared. Raises what the remote raises, but for refusals."""
        outcome = Committed()
        for namespace, batch in _batches(units):
            left = batch
            for _ in range(RESENDS_MAX):
                if not left:
                    break
                left = await self._send(namespace, left, prepared, heads.get(namespace, 0), outcome)
        return outcome

    async def _send(
        self,
        namespace: NamespaceId,
        units: list[Unit],
        prepared: Mapping[NodeId, Prepared],
        head: int,
        outcome: Committed,
    ) -> list[Unit]:
        """One request; the units to send again."""
        pushes = [push for unit in units for push in unit]
        changes = [self._change(push, prepared.get(push.node), head) for push in pushes]
        try:
            answer = await self._remote.commit(CommitRequest(namespace=namespace, changes=changes), key=self._ids.fresh())
        except CommitRefused as refusal:
            return _without(units, refusal.fields.get("failures") or [], outcome)
        except BlocksMissing:
            outcome.unsent_blocks |= {push.node for push in pushes if push.content}
            return [unit for unit in units if not any(push.content for push in unit)]
        outcome.done += pushes
        outcome.answers.append(answer)
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


def _without(units: list[Unit], failures: list[dict[str, Any]], outcome: Committed) -> list[Unit]:
    """The units that the refusal does not name. A refusal that names nothing gives nothing to send again."""
    owners = [index for index, unit in enumerate(units) for _ in unit]
    bad: set[int] = set()
    for failure in failures:
        at = int(failure.get("index", -1))
        if not 0 <= at < len(owners):
            continue
        bad.add(owners[at])
        code = str(failure.get("code", "refused"))
        node = NodeId(str(failure.get("node_id", "")))
        if code == "blocks.missing":
            outcome.unsent_blocks.add(node)
        else:
            outcome.refused[node] = code
            log.info("commit.refused", node=node, code=code, detail=failure.get("detail", ""))
    if not bad:
        outcome.refused.update({push.node: "refused" for unit in units for push in unit})
        return []
    return [unit for index, unit in enumerate(units) if index not in bad]
