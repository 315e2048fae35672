"""`ports.share_store.ShareTransaction` in memory: everything it does shows at its end, in all its namespaces at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from msgspec.structs import replace

from syncline.model.entries import Access
from syncline.model.ids import NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.ports.metadata_store import CommitTransaction, HeldBlock
from syncline.ports.share_store import Conversion, Copying, ShareTransaction
from syncline.ports.share_store import Space as SharedSpace
from syncline.testing.stores.commit import MemoryCommit
from syncline.testing.stores.space import BrokenConstraint, Grant, Invited, Revision, Space
from syncline.testing.stores.state import Shared, State


class MemoryShareTransaction:
    def __init__(self, shared: Shared, seen_by: Mapping[NamespaceId, UserId], locked: Iterable[NamespaceId]) -> None:
        self._shared = shared
        self._seen_by = dict(seen_by)
        self._namespaces = sorted({*seen_by, *locked})
        self._life = shared.life
        self._locks: list[asyncio.Lock] = []
        self._commits: dict[NamespaceId, MemoryCommit] = {}
        self._changes: list[Callable[[State], None]] = []

    async def __aenter__(self) -> ShareTransaction:
        try:
            for namespace in self._namespaces:
                self._shared.space(namespace)
                self._locks.append(await self._shared.lock(namespace, self._life))
                self._shared.space(namespace)
                user = self._seen_by.get(namespace)
                if user is not None:
                    self._commits[namespace] = MemoryCommit.within(self._shared, namespace, user, self._life)
        except BaseException:
            self._release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self._release()
            return
        await self._shared.publish(self._life, self._publish, self._locks)

    def _release(self) -> None:
        for lock in self._locks:
            lock.release()

    def _publish(self) -> None:
        for commit in self._commits.values():
            commit.publish()
        for change in self._changes:
            change(self._shared.state)

    def of(self, namespace: NamespaceId) -> CommitTransaction:
        return self._commits[namespace]

    async def space(self, namespace: NamespaceId) -> SharedSpace | None:
        space = self._shared.state.spaces.get(namespace)
        return None if space is None else seen(self._shared.state, space)

    async def member(self, namespace: NamespaceId, user: UserId) -> Access | None:
        return self._shared.space(namespace).members.get(user)

    async def invited(self, namespace: NamespaceId, user: UserId) -> Access | None:
        invited = self._shared.space(namespace).invitations.get(user)
        return None if invited is None else invited.access

    async def tree(self, namespace: NamespaceId, folder: NodeId, limit: int) -> list[JournalEntry]:
        space = self._shared.space(namespace)
        found: list[JournalEntry] = []
        frontier = [folder]
        while frontier and len(found) < limit:
            at = frontier.pop(0)
            below = [*space.children.get(at, {}).values(), *space.gone.get(at, ())]
            found += [space.nodes[node] for node in below]
            frontier += below
        return found[:limit]

    async def convert(self, conversion: Conversion) -> None:
        self._changes.append(lambda state: _convert(state, conversion))

    async def copy(self, source: NamespaceId, target: NamespaceId, copies: Sequence[Copying], now_us: int) -> None:
        commit = self._commits[target]
        commit.after_writing(lambda space: _copy(self._shared.state, source, space, copies))

    async def set_member(self, namespace: NamespaceId, user: UserId, access: Access, now_us: int) -> None:
        def put(state: State) -> None:
            space = state.spaces[namespace]
            space.members[user] = access
            space.since.setdefault(user, now_us)

        self._changes.append(put)

    async def drop_member(self, namespace: NamespaceId, user: UserId) -> None:
        def drop(state: State) -> None:
            space = state.spaces[namespace]
            space.members.pop(user, None)
            space.since.pop(user, None)
            space.grants = {key: grant for key, grant in space.grants.items() if user not in (grant.by, key[1])}

        self._changes.append(drop)

    async def set_owner(self, namespace: NamespaceId, user: UserId) -> None:
        self._changes.append(lambda state: setattr(state.spaces[namespace], "owner", user))

    async def set_invitation(self, namespace: NamespaceId, user: UserId, access: Access, by: UserId, now_us: int) -> None:
        def put(state: State) -> None:
            waiting = state.spaces[namespace].invitations
            known = waiting.get(user)
            waiting[user] = Invited(access, by, now_us if known is None else known.created_us)

        self._changes.append(put)

    async def drop_invitation(self, namespace: NamespaceId, user: UserId) -> None:
        self._changes.append(lambda state: _forget(state.spaces[namespace].invitations, user))

    async def set_grant(self, namespace: NamespaceId, node: NodeId, user: UserId, access: Access, by: UserId, now_us: int) -> None:
        def put(state: State) -> None:
            given = state.spaces[namespace].grants
            known = given.get((node, user))
            given[node, user] = Grant(access, by, now_us if known is None else known.created_us)

        self._changes.append(put)

    async def drop_grant(self, namespace: NamespaceId, node: NodeId, user: UserId) -> None:
        self._changes.append(lambda state: _forget(state.spaces[namespace].grants, (node, user)))


def seen(state: State, space: Space) -> SharedSpace:
    """A namespace as sharing sees it."""
    return SharedSpace(
        namespace=space.id,
        name=space.name,
        owner=space.owner,
        owner_email=state.users[space.owner].email,
        is_root=space.is_root,
        name_key_version=space.name_keys,
        used_bytes=space.used_bytes,
        members=len(space.members),
    )


def _forget(rows: dict[Any, Any], key: Any) -> None:
    rows.pop(key, None)


def _convert(state: State, conversion: Conversion) -> None:
    source, made = state.spaces[conversion.source], NamespaceId(conversion.folder)
    if made in state.spaces:
        raise BrokenConstraint(f"{made} is a namespace already")
    space = Space(
        made,
        conversion.owner,
        conversion.name,
        is_root=False,
        epoch=conversion.epoch,
        name_keys=conversion.name_key_version,
    )
    space.members, space.since = {conversion.owner: Access.OWNER}, {conversion.owner: conversion.time_us}
    keys = {row.entry.node_id: source.keys.get(row.entry.node_id) for row in conversion.rows}
    for node in reversed(keys):
        source.remove(node)
    space.extend(list(conversion.rows), list(keys.values()))
    for node in keys:
        revisions = source.revisions.pop(node, {})
        if revisions:
            space.revisions[node] = {
                number: Revision(replace(one.entry, sequence=0), one.cut, one.blocks) for number, one in revisions.items()
            }
    for place in [place for place in source.grants if place[0] in keys]:
        space.grants[place] = source.grants.pop(place)
    state.spaces[made] = space
    _take_over(state, source, space, list(space.revisions))
    source.rename_blocks()
    for block in [block for block in space.held if block in source.held and block not in source.named]:
        gone = source.held.pop(block)
        source.used_bytes -= 0 if gone.condemned else gone.size


def _copy(state: State, source: NamespaceId, target: Space, copies: Sequence[Copying]) -> None:
    origin = target if source == target.id else state.spaces[source]
    for one in copies:
        base = origin.revisions[one.node][one.revision]
        made = target.revisions[one.new][1]
        target.revisions[one.new] = {1: Revision(made.entry, base.cut, base.blocks)}
    _take_over(state, origin, target, [one.new for one in copies])


def _take_over(state: State, source: Space, target: Space, nodes: Sequence[NodeId]) -> None:
    """`target` possesses the blocks of these nodes of its own; what is new comes from `source`."""
    for node in nodes:
        for revision in target.revisions[node].values():
            for block in revision.blocks:
                target.named[block.hash] = max(block.size, target.named.get(block.hash, 0))
                held = target.held.get(block.hash)
                if held is None:
                    target.used_bytes += block.size
                    served = source.served_by(block.hash)
                    packs = {
                        state.packs[pack].namespace for pack, copy in state.copies.get(block.hash, {}).items() if not copy.verified
                    }
                    target.sources[block.hash] = (served & packs) - {target.id}
                    target.held[block.hash] = HeldBlock(block.size)
                else:
                    target.revive(block.hash)
