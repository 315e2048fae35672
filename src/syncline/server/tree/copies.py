"""The door for copies: what is asked by path or id becomes a planned copy, each entry of a request one transaction of its own.

New ids, no bytes: blocks are shared, and a namespace the copy goes to comes to possess them. A copied folder is as it was at one
instant. Whoever may read a folder may copy it; single files that were granted to somebody are not copied out of where they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.errors import (
    AlreadyExists,
    Forbidden,
    IdempotencyMismatch,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    SynclineError,
)
from syncline.model.ids import ChangesetId, NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.model.limits import BATCH_MAX, COMMIT_NODES_MAX, NAME_MAX_BYTES
from syncline.model.paths import key_rule, name_of, parent_of, split_path
from syncline.ports.clock import Clock, Ids
from syncline.ports.metadata_store import CommitTransaction, MetadataStore, StoredAnswer
from syncline.ports.share_store import ShareStore
from syncline.protocol.changes import Entry
from syncline.protocol.copies import Copied, Copy, CopyAnswer, CopyRequest
from syncline.server.caller import Caller
from syncline.server.finishing import Finishing
from syncline.server.metadata import copying
from syncline.server.metadata.doors import Once, check_first, failed
from syncline.server.metadata.lookup import Lookup
from syncline.server.metadata.record import Stamp
from syncline.server.sharing.access import NodeAccess
from syncline.server.sharing.rules import Act

COPIES_MAX: Final = 100
NUMBERS_MAX: Final = 1000
"""How many numbers `autorename` tries."""
_NUMBERS_AT_ONCE: Final = 100
_answers: Final = msgspec.json.Decoder(Copied)


class _Source(Struct, frozen=True):
    """What is copied: `entry`, as a plain folder where it is the top of a shared one, and then what lies directly in it."""

    namespace: NamespaceId
    entry: JournalEntry
    seeds: Sequence[NodeId] | None = None


class _Target(Struct, frozen=True):
    namespace: NamespaceId
    folder: NodeId
    name: str


class Copies:
    def __init__(
        self,
        shares: ShareStore,
        store: MetadataStore,
        lookup: Lookup,
        access: NodeAccess,
        clock: Clock,
        ids: Ids,
        publish: Callable[[NamespaceId, int], None],
    ) -> None:
        self._shares = shares
        self._store = store
        self._lookup = lookup
        self._access = access
        self._clock = clock
        self._ids = ids
        self._publish = publish
        self._finishing = Finishing()

    async def drain(self) -> None:
        """Waits for what is under way."""
        await self._finishing.drain()

    async def copy(self, caller: Caller, request: CopyRequest, key: str | None) -> CopyAnswer:
        """Raises `LimitExceeded`, `Unavailable`, `IdempotencyMismatch`; what is wrong with one is said in its own answer."""
        if len(request.files) > COPIES_MAX:
            raise LimitExceeded(what="The number of copies", limit=COPIES_MAX)
        key = key or self._ids.fresh()
        files: list[Copied] = []
        for index, one in enumerate(request.files):
            once = Once.of(key, index, one)
            try:
                files.append(await self._done_once(caller, one, once))
            except SynclineError as error:
                if error.retryable or isinstance(error, IdempotencyMismatch):
                    raise
                wrong = failed(error)
                files.append(Copied(error=wrong.error, detail=wrong.detail))
        return CopyAnswer(files=files)

    async def _done_once(self, caller: Caller, asked: Copy, once: Once) -> Copied:
        """As `Doors` do it: what the same request did in another process is the answer, not what stands in the way."""
        known = await self._answered(caller, once)
        if known is not None:
            return known
        try:
            return await self._finishing.finish(self._copy(caller, asked, once))
        except SynclineError:
            known = await self._answered(caller, once)
            if known is None:
                raise
            return known

    async def _answered(self, caller: Caller, once: Once) -> Copied | None:
        stored = await self._shares.answered(caller.user_id, caller.device_id, once.key)
        if stored is None:
            return None
        if stored.body_hash != once.body_hash:
            raise IdempotencyMismatch
        return _answers.decode(stored.answer)

    async def _copy(self, caller: Caller, asked: Copy, once: Once) -> Copied:
        source = await self._source(caller, asked)
        target = await self._target(caller, asked, source)
        async with self._shares.transaction({source.namespace: caller.user_id, target.namespace: caller.user_id}) as transaction:
            there = transaction.of(target.namespace)
            await check_first(there, caller, once)
            if (
                not there.head.access.may_write
                or there.head.only is not None
                or transaction.of(source.namespace).head.only is not None
            ):
                raise Forbidden(what="copy")
            name = await _free_name(there, target, source.entry.kind) if asked.autorename else target.name
            copy = await copying.plan(
                transaction,
                source.namespace,
                target.namespace,
                source.entry,
                parent=target.folder,
                name=name,
                stamp=Stamp(caller, ChangesetId(self._ids.fresh()), self._clock.now_us()),
                ids=self._ids,
                key=once.key,
                seeds=source.seeds,
            )
            answer = Copied(namespace=target.namespace, entry=Entry.of(copy.top), nodes=copy.nodes, left_out=copy.mounts)
            copy.written.stored = StoredAnswer(body_hash=once.body_hash, answer=msgspec.json.encode(answer))
            await copy.write(transaction)
        self._publish(target.namespace, copy.written.rows[-1].entry.sequence)
        return answer

    # -- What and where to -----------------------------------------------------------------------------------------------------

    async def _source(self, caller: Caller, asked: Copy) -> _Source:
        """Raises `NotFound`, `InvalidRequest`."""
        if (asked.path is None) == (asked.node_id is None):
            raise InvalidRequest(message="Name what to copy by `path` or by `node_id`")
        if asked.path is not None:
            found = await self._lookup.by_path(caller, asked.path, asked.namespace)
            namespace, entry = found.namespace, None if found.entry is None else found.entry.row()
        else:
            assert asked.node_id is not None
            reach = await self._access.may(Act.READ, caller, asked.namespace, asked.node_id)
            namespace, entry = reach.namespace, reach.entry
        if entry is None:
            raise InvalidRequest(message="Copy what lies in it: the top of a tree itself is no folder of it")
        if entry.deleted:
            raise NotFound(what="The node")
        if not entry.mount:
            return _Source(namespace, entry)
        shared = NamespaceId(entry.node_id)
        top = msgspec.structs.replace(entry, mount=False)
        return _Source(shared, top, [node async for node in self._directly_in(shared)])

    async def _directly_in(self, namespace: NamespaceId) -> AsyncIterator[NodeId]:
        """What lies at the top of a namespace. Raises `LimitExceeded` beyond what one copy takes."""
        after: str | None = None
        for _ in range(COMMIT_NODES_MAX // BATCH_MAX + 1):
            children = await self._store.children(namespace, NodeId(namespace), after, BATCH_MAX)
            for _, entry in children:
                yield entry.node_id
            if len(children) < BATCH_MAX:
                return
            after = children[-1][0]
        raise LimitExceeded(what="The number of nodes in one copy", limit=COMMIT_NODES_MAX)

    async def _target(self, caller: Caller, asked: Copy, source: _Source) -> _Target:
        """Raises `NotFound`, `Forbidden`, `InvalidRequest`, `InvalidName`."""
        if asked.to_path is not None:
            if asked.to_parent_id is not None or asked.name is not None:
                raise InvalidRequest(message="Say where to by `to_path`, or by `to_parent_id` and `name`")
            path = "/" + "/".join(split_path(asked.to_path))
            if path == "/":
                raise AlreadyExists(what="/")
            found = await self._lookup.by_path(caller, parent_of(path), None)
            entry = None if found.entry is None else found.entry.row()
            return self._in_folder(found.namespace, entry, name_of(path))
        if asked.to_parent_id is None:
            raise InvalidRequest(message="Say where to by `to_path` or `to_parent_id`")
        reach = await self._access.may(Act.CHANGE, caller, asked.to_namespace, asked.to_parent_id)
        return self._in_folder(reach.namespace, reach.entry, asked.name or source.entry.name)

    def _in_folder(self, namespace: NamespaceId, folder: JournalEntry | None, name: str) -> _Target:
        """The mount of a shared folder is that folder."""
        if folder is None:
            return _Target(namespace, NodeId(namespace), name)
        if folder.kind is not Kind.DIR or folder.deleted:
            raise NotFound(what="The folder it would lie in")
        return _Target(NamespaceId(folder.node_id) if folder.mount else namespace, folder.node_id, name)


async def _free_name(there: CommitTransaction, target: _Target, kind: Kind) -> str:
    """The name asked for, or the first free one with a number. Raises `AlreadyExists` where a thousand are taken."""
    key = key_rule(there.head.name_key_version)
    for start in range(0, NUMBERS_MAX, _NUMBERS_AT_ONCE):
        names = [numbered(target.name, number, kind) for number in range(start, start + _NUMBERS_AT_ONCE)]
        taken = {key(holder.name) for holder in await there.holders([(target.folder, key(name)) for name in names])}
        free = next((name for name in names if key(name) not in taken), None)
        if free is not None:
            return free
    raise AlreadyExists(what=target.name)


def numbered(name: str, number: int, kind: Kind) -> str:
    """`name (2).ext`; number 0 is the name itself. A stem that gets too long gives way, on a character boundary."""
    if number == 0:
        return name
    stem, dot, ending = name.rpartition(".") if kind is Kind.FILE else (name, "", "")
    if not stem.strip("."):
        stem, dot, ending = name, "", ""
    tail = f" ({number}){dot}{ending}"
    room = NAME_MAX_BYTES - len(tail.encode())
    return stem.encode()[: max(0, room)].decode(errors="ignore") + tail
