"""Changes that lead somewhere else: to another of the caller's namespaces, into a mount, or past what was granted to them.

A folder that became a shared one keeps its ids, so what a device still says about its old place is not wrong, only misdirected: the
answer `moved` names the namespace to say it to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from syncline.model.ids import NamespaceId, NodeId, UserId
from syncline.ports.metadata_store import CommitTransaction
from syncline.protocol.commits import Change, Failure, Op
from syncline.server.metadata.facts import Facts

_MISSES: Final = ("node.missing", "parent.gone")


async def redirect(
    transaction: CommitTransaction, user: UserId, facts: Facts, changes: Sequence[Change], failures: Sequence[Failure]
) -> list[Failure]:
    """The failures, where what was not found is elsewhere with the code that says where."""
    sought = {failure.index: _sought(failure, changes[failure.index]) for failure in failures if failure.code in _MISSES}
    unknown = [node for node in sought.values() if node is not None and node not in facts.nodes]
    found = await transaction.elsewhere(user, unknown) if unknown else {}
    return [_redirected(failure, changes[failure.index], sought.get(failure.index), facts, found) for failure in failures]


def _sought(failure: Failure, change: Change) -> NodeId | None:
    return change.node_id if failure.code == "node.missing" else change.parent_id


def _redirected(failure: Failure, change: Change, sought: NodeId | None, facts: Facts, found: dict[NodeId, NamespaceId]) -> Failure:
    if sought is None:
        return failure
    stored = facts.nodes.get(sought)
    inside = NamespaceId(sought) if stored is not None and stored.mount and not stored.deleted else found.get(sought)
    if inside is None:
        return failure
    if failure.code == "parent.gone" and change.op is Op.MOVE:
        # What is to move there has not moved itself: between namespaces it goes as a copy and a delete.
        moving = facts.nodes.get(failure.node_id)
        nested = moving is not None and moving.mount
        return replace(failure, code="mount.nested", detail="a shared folder cannot lie in another one") if nested else failure
    return replace(failure, code="moved", detail="it lies in a shared folder now", namespace=inside)


def beyond_grants(only: frozenset[NodeId], changes: Sequence[Change]) -> list[Failure]:
    """What someone asks for who was granted single files to write, and may not: all but new versions of those files."""
    failures: list[Failure] = []
    for index, change in enumerate(changes):
        if change.node_id not in only:
            failures.append(Failure(index=index, code="node.missing", node_id=change.node_id, detail="there is no such node"))
        elif change.op is not Op.EDIT:
            detail = "only new versions of this file may be made by those it was shared with"
            failures.append(Failure(index=index, code="access.denied", node_id=change.node_id, detail=detail))
    return failures
