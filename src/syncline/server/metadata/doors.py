"""The tree's plain doors: what is asked by path or id becomes changesets, each entry of a request one transaction of its own.

A key makes every entry happen once: its answer is kept with what it wrote, and looked for before paths are, since after a move the
old one leads nowhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.errors import (
    AlreadyExists,
    CommitRefused,
    Conflict,
    Forbidden,
    IdempotencyMismatch,
    InvalidName,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    Retryable,
    ShareNested,
    SynclineError,
)
from syncline.model.ids import ChangesetId, NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.model.limits import BATCH_MAX
from syncline.model.paths import name_of, parent_of, split_path
from syncline.ports.clock import Clock, Ids
from syncline.ports.metadata_store import CommitTransaction, StoredAnswer
from syncline.ports.share_store import ShareStore
from syncline.protocol import doors as wire
from syncline.protocol.changes import Entry
from syncline.protocol.commits import Change, Op
from syncline.server.caller import Caller
from syncline.server.finishing import Finishing
from syncline.server.metadata import copying
from syncline.server.metadata.astray import redirect
from syncline.server.metadata.facts import gather
from syncline.server.metadata.lookup import Lookup
from syncline.server.metadata.record import Recorded, Stamp, record
from syncline.server.metadata.settle import settle
from syncline.server.sharing.access import NodeAccess
from syncline.server.sharing.rules import Act

_answers: Final = msgspec.json.Decoder(wire.Placed)
_encode: Final = msgspec.json.encode
Publish = Callable[[NamespaceId, int], None]
T = TypeVar("T")


class Once(Struct, frozen=True):
    """What makes one entry of a request happen once: a key and the SHA-256 of what was asked."""

    key: str
    body_hash: bytes

    @classmethod
    def of(cls, key: str, index: int, asked: object) -> Once:
        return cls(f"{key} {index}", hashlib.sha256(_encode(asked)).digest())


class Spot(Struct, frozen=True):
    """A folder to put something into."""

    namespace: NamespaceId
    folder: NodeId


class Doors:
    """`publish(namespace, head)` is called after each transaction, once for every journal that grew. What was begun goes on to its
    end even if the one who asked goes away."""

    def __init__(self, shares: ShareStore, lookup: Lookup, access: NodeAccess, clock: Clock, ids: Ids, publish: Publish) -> None:
        self._shares = shares
        self._lookup = lookup
        self._access = access
        self._clock = clock
        self._ids = ids
        self._publish = publish
        self._finishing = Finishing()

    async def drain(self) -> None:
        """Waits for what is under way."""
        await self._finishing.drain()

    # -- Folders ------------------------------------------------------------------------------------------------------------------

    async def make_folder(self, caller: Caller, request: wire.NewFolder, key: str | None) -> wire.Placed:
        """Raises `AlreadyExists`, `NotFound`, `Forbidden`, `InvalidName`, `InvalidRequest`, `IdempotencyMismatch`."""
        once = Once.of(key or self._ids.fresh(), 0, request)
        return await self._done_once(caller, once, lambda: self._make_folder(caller, request, once))

    async def _make_folder(self, caller: Caller, request: wire.NewFolder, once: Once) -> wire.Placed:
        if request.path is None:
            if request.name is None:
                raise InvalidRequest(message="Name the new folder by `path`, or by `parent_id` and `name`")
            spot = await self._spot(caller, request.parent_id, request.namespace)
            names: Sequence[str] = [request.name]
        else:
            wanted = split_path(request.path)
            there = await self._below(caller, wanted)
            if there is not None and (not request.parents or there.entry is None or there.entry.kind is not Kind.DIR):
                raise AlreadyExists(what=request.path)
            if there is not None:
                return there
            spot, names = await self._deepest(caller, wanted, parents=request.parents)
        changes, parent = list[Change](), spot.folder
        for name in names:
            node = NodeId(self._ids.fresh())
            changes.append(Change(op=Op.CREATE, node_id=node, parent_id=parent, name=name, kind=Kind.DIR))
            parent = node
        try:
            return await self._change(caller, spot.namespace, changes, parent, once)
        except CommitRefused as refusal:
            raise _plain(refusal, names[-1]) from refusal

    async def _deepest(self, caller: Caller, names: Sequence[str], *, parents: bool) -> tuple[Spot, Sequence[str]]:
        """The deepest folder that there is on the way down, and the names still to be made."""
        for depth in range(len(names) - 1, -1, -1):
            try:
                return await self._folder(caller, "/" + "/".join(names[:depth])), names[depth:]
            except NotFound:
                if not parents or depth == 0:
                    raise
        raise NotFound(what="The folder")

    async def _below(self, caller: Caller, names: Sequence[str]) -> wire.Placed | None:
        try:
            found = await self._lookup.by_path(caller, "/" + "/".join(names), None)
        except NotFound:
            return None
        return wire.Placed(namespace=found.namespace, entry=found.entry)

    # -- Moving and deleting -------------------------------------------------------------------------------------------------------

    async def move(self, caller: Caller, request: wire.MoveRequest, key: str | None) -> wire.PlacedAnswer:
        """Raises `LimitExceeded`; what is wrong with one is said in its own answer."""
        return await self._each(caller, request.files, key, self._move)

    async def delete(self, caller: Caller, request: wire.DeleteRequest, key: str | None) -> wire.PlacedAnswer:
        """As `move`."""
        return await self._each(caller, request.files, key, self._delete)

    async def _each(
        self,
        caller: Caller,
        asked: Sequence[T],
        key: str | None,
        act: Callable[[Caller, T, Once], Coroutine[Any, Any, wire.Placed]],
    ) -> wire.PlacedAnswer:
        if len(asked) > BATCH_MAX:
            raise LimitExceeded(what="The number of entries", limit=BATCH_MAX)
        files: list[wire.Placed] = []
        key = key or self._ids.fresh()
        for index, one in enumerate(asked):
            once = Once.of(key, index, one)
            try:
                files.append(await self._done_once(caller, once, partial(act, caller, one, once)))
            except SynclineError as error:
                if isinstance(error, Retryable):
                    raise
                files.append(failed(error))
        return wire.PlacedAnswer(files=files)

    async def _move(self, caller: Caller, asked: wire.Move, once: Once) -> wire.Placed:
        source, node = await self._node(caller, asked)
        spot, name = await self._target(caller, asked, source, node)
        _check_revision(node, asked.base_revision)
        if spot.namespace != source:
            return await self._move_over(caller, source, node, spot, name, once)
        revision = node.revision if node.kind is Kind.FILE else None
        change = Change(op=Op.MOVE, node_id=node.node_id, base_revision=revision, parent_id=spot.folder, name=name)
        return await self._change(caller, source, [change], node.node_id, once)

    async def _delete(self, caller: Caller, asked: wire.Delete, once: Once) -> wire.Placed:
        source, node = await self._node(caller, asked)
        _check_revision(node, asked.base_revision)
        return await self._change(caller, source, None, node.node_id, once, deleting=node, recursive=asked.recursive)

    async def _move_over(
        self, caller: Caller, source: NamespaceId, node: JournalEntry, spot: Spot, name: str, once: Once
    ) -> wire.Placed:
        """A copy there and a delete here, in one transaction."""
        async with self._shares.transaction({source: caller.user_id, spot.namespace: caller.user_id}) as transaction:
            here, there = transaction.of(source), transaction.of(spot.namespace)
            await check_first(there, caller, once)
            _check_writer(here)
            _check_writer(there)
            known = await here.nodes([node.node_id])
            if not known or known[0] != node:
                raise CommitRefused(failures=[{"index": 0, "code": "revision.stale", "detail": "it was changed meanwhile"}])
            stamp = self._stamp(caller)
            copy = await copying.plan(
                transaction, source, spot.namespace, node, parent=spot.folder, name=name, stamp=stamp, ids=self._ids, key=once.key
            )
            if copy.mounts:
                raise ShareNested(what=node.name, reason="a shared folder lies in it")
            answer = wire.Placed(namespace=spot.namespace, entry=Entry.of(copy.top))
            copy.written.stored = _stored(once, answer)
            await copy.write(transaction)
            gone = await self._settled(here, caller, [_deletion(node, here.head.sequence, recursive=True)], stamp, once)
            gone.written.stored = _stored(once, answer)
            await here.write(gone.written)
        self._publish(spot.namespace, copy.written.rows[-1].entry.sequence)
        self._publish(source, gone.answer.sequence)
        return answer

    async def _change(
        self,
        caller: Caller,
        namespace: NamespaceId,
        changes: Sequence[Change] | None,
        node: NodeId,
        once: Once,
        *,
        deleting: JournalEntry | None = None,
        recursive: bool = False,
    ) -> wire.Placed:
        """One changeset, and `node` as it leaves it."""
        async with self._shares.transaction({namespace: caller.user_id}) as transaction:
            commit = transaction.of(namespace)
            await check_first(commit, caller, once)
            _check_writer(commit)
            if deleting is not None:
                changes = [_deletion(deleting, commit.head.sequence, recursive=recursive)]
            done = await self._settled(commit, caller, changes or (), self._stamp(caller), once)
            row = next((row.entry for row in done.written.rows if row.entry.node_id == node), None)
            entry = row or next(iter(await commit.nodes([node])))
            answer = wire.Placed(namespace=namespace, entry=Entry.of(entry))
            done.written.stored = _stored(once, answer)
            await commit.write(done.written)
        if done.written.rows:
            self._publish(namespace, done.answer.sequence)
        return answer

    async def _settled(
        self, commit: CommitTransaction, caller: Caller, changes: Sequence[Change], stamp: Stamp, once: Once
    ) -> Recorded:
        facts = await gather(commit, caller.user_id, changes, stamp.time_us)
        settled = settle(facts, changes)
        if settled.failures:
            failures = await redirect(commit, caller.user_id, facts, changes, settled.failures)
            raise CommitRefused(failures=[msgspec.to_builtins(failure) for failure in failures])
        return record(commit.head, settled, changes, stamp, key=once.key, body_hash=once.body_hash)

    # -- Finding ------------------------------------------------------------------------------------------------------------------

    async def _done_once(self, caller: Caller, once: Once, act: Callable[[], Coroutine[Any, Any, wire.Placed]]) -> wire.Placed:
        """The answer of `act`, or the one that was given before, also where the same request is at work in another process and ends
        first: then its doing is what stood in the way of ours."""
        known = await self._answered(caller, once)
        if known is not None:
            return known
        try:
            return await self._finishing.finish(act())
        except SynclineError:
            known = await self._answered(caller, once)
            if known is None:
                raise
            return known

    async def _answered(self, caller: Caller, once: Once) -> wire.Placed | None:
        stored = await self._shares.answered(caller.user_id, caller.device_id, once.key)
        if stored is None:
            return None
        if stored.body_hash != once.body_hash:
            raise IdempotencyMismatch
        return _answers.decode(stored.answer)

    async def _node(self, caller: Caller, ref: wire.NodeRef) -> tuple[NamespaceId, JournalEntry]:
        """A live node that is none of the roots, where the caller may change it."""
        if (ref.path is None) == (ref.node_id is None):
            raise InvalidRequest(message="Name the node by `path` or by `node_id`")
        if ref.path is not None:
            found = await self._lookup.by_path(caller, ref.path, ref.namespace)
            namespace, entry = found.namespace, None if found.entry is None else found.entry.row()
        else:
            assert ref.node_id is not None
            reach = await self._access.may(Act.CHANGE, caller, ref.namespace, ref.node_id)
            namespace, entry = reach.namespace, reach.entry
        if entry is None:
            raise InvalidRequest(message="The root of a tree stays where it is")
        if entry.deleted:
            raise NotFound(what="The node")
        return namespace, entry

    async def _target(self, caller: Caller, asked: wire.Move, source: NamespaceId, node: JournalEntry) -> tuple[Spot, str]:
        if asked.to_path is not None:
            if asked.to_parent_id is not None or asked.name is not None:
                raise InvalidRequest(message="Say where to by `to_path`, or by `to_parent_id` and `name`")
            path = "/" + "/".join(split_path(asked.to_path))
            return await self._folder(caller, parent_of(path)), name_of(path)
        if asked.to_parent_id is None:
            if asked.name is None:
                raise InvalidRequest(message="Say where to by `to_path`, `to_parent_id` or `name`")
            return Spot(source, node.parent_id), asked.name
        namespace = asked.to_namespace
        if namespace is None and asked.to_parent_id != NodeId(source):
            namespace = (await self._access.may_read(caller, None, asked.to_parent_id)).namespace
        return await self._spot(caller, asked.to_parent_id, namespace or source), asked.name or node.name

    async def _spot(self, caller: Caller, folder: NodeId | None, namespace: NamespaceId | None) -> Spot:
        """A folder by its id; the top of the caller's own tree without one. The mount of a shared folder is that folder."""
        if folder is None:
            found = await self._lookup.by_path(caller, "/", namespace)
            return Spot(found.namespace, NodeId(found.namespace))
        reach = await self._access.may(Act.CHANGE, caller, namespace, folder)
        if reach.entry is not None and reach.entry.mount and not reach.entry.deleted:
            return Spot(NamespaceId(folder), folder)
        return Spot(reach.namespace, folder)

    async def _folder(self, caller: Caller, path: str) -> Spot:
        found = await self._lookup.by_path(caller, path, None)
        if found.entry is None:
            return Spot(found.namespace, NodeId(found.namespace))
        if found.entry.kind is not Kind.DIR:
            raise NotFound(what=f"The folder {path}")
        return Spot(NamespaceId(found.entry.node_id) if found.entry.mount else found.namespace, found.entry.node_id)

    def _stamp(self, caller: Caller) -> Stamp:
        return Stamp(caller, ChangesetId(self._ids.fresh()), self._clock.now_us())


async def check_first(commit: CommitTransaction, caller: Caller, once: Once) -> None:
    """Under the namespace's lock: raises `Conflict` where the same request was answered since it was last looked at."""
    if await commit.stored_answer(caller.device_id, once.key) is not None:
        raise Conflict


def _plain(refusal: CommitRefused, name: str) -> SynclineError:
    """The refusal of a single new folder as what it is about."""
    first = refusal.fields["failures"][0]
    match first["code"]:
        case "name.taken":
            return AlreadyExists(what=name)
        case "name.invalid":
            return InvalidName(name=name, reason=first.get("detail", ""))
        case "parent.gone":
            return NotFound(what="The folder it would lie in")
        case _:
            return refusal


def failed(error: SynclineError) -> wire.Placed:
    """An entry's own error: of a refused change the reason itself."""
    if isinstance(error, CommitRefused) and error.fields.get("failures"):
        first = error.fields["failures"][0]
        return wire.Placed(
            namespace=first.get("namespace"), error=str(first["code"]), detail=str(first.get("detail") or error.title)
        )
    return wire.Placed(error=error.code, detail=str(error))


def _deletion(node: JournalEntry, as_of: int, *, recursive: bool) -> Change:
    if node.kind is Kind.FILE:
        return Change(op=Op.DELETE, node_id=node.node_id, base_revision=node.revision)
    whole = recursive and not node.mount
    return Change(op=Op.DELETE, node_id=node.node_id, recursive=whole, subtree_as_of=as_of if whole else None)


def _check_writer(commit: CommitTransaction) -> None:
    if not commit.head.access.may_write or commit.head.only is not None:
        raise Forbidden(what="write")


def _check_revision(node: JournalEntry, base: int | None) -> None:
    if base is not None and base != node.revision:
        detail = f"revision {base} is not the present one, which is {node.revision}"
        raise CommitRefused(failures=[{"index": 0, "code": "revision.stale", "detail": detail}])


def _stored(once: Once, answer: wire.Placed) -> StoredAnswer:
    return StoredAnswer(body_hash=once.body_hash, answer=_encode(answer))
