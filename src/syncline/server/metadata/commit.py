"""One changeset, one transaction (`protocol.md` §3): lock, replay, authorise, gather, settle, record, write.

A refused changeset leaves nothing, not even its refusal. A committed one is stored with its answer under (namespace, device, key),
so the same request sent again gets the same answer and nothing happens twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from syncline.model.errors import (
    CommitRefused,
    CursorReset,
    Forbidden,
    IdempotencyMismatch,
    InvalidRequest,
    LimitExceeded,
    QuotaExceeded,
)
from syncline.model.ids import EMPTY_DIGEST, ChangesetId, Digest, NamespaceId, NodeId
from syncline.model.journal import EMPTY_CHAIN
from syncline.model.limits import BATCH_MAX, COMMIT_NODES_MAX
from syncline.ports.clock import Clock, Ids
from syncline.ports.metadata_store import CommitTransaction, Head, MetadataStore, RawObject
from syncline.protocol.commits import CommitAnswer, CommitRequest, Expected, Failure
from syncline.server.caller import Caller
from syncline.server.metadata.astray import beyond_grants, redirect
from syncline.server.metadata.cursors import Cursor, CursorCodec
from syncline.server.metadata.facts import gather
from syncline.server.metadata.record import Recorded, Stamp, record
from syncline.server.metadata.settle import settle

KEY_MAX_CHARS: Final = 255
_encoder: Final = msgspec.json.Encoder()
_answers: Final = msgspec.json.Decoder(CommitAnswer)


class Outer(Struct, frozen=True):
    """The request that a commit answers: its Idempotency-Key, the SHA-256 of its body, and its answer made of the commit's."""

    key: str
    body_hash: bytes
    encode: Callable[[CommitAnswer], bytes]


class Commits:
    def __init__(self, store: MetadataStore, cursors: CursorCodec, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._cursors = cursors
        self._clock = clock
        self._ids = ids

    async def commit(
        self, caller: Caller, request: CommitRequest, key: str, raws: Mapping[NodeId, RawObject]
    ) -> tuple[CommitAnswer, bool]:
        """The answer, and whether the journal grew. `raws` are the contents of nodes that are created or edited without naming any
        blocks. Raises as `Metadata.commit` says."""
        if not request.changes:
            raise InvalidRequest(message="A changeset has at least one change")
        if len(request.changes) > BATCH_MAX:
            raise LimitExceeded(what="The number of changes", limit=BATCH_MAX)
        outer = Outer(key, hashlib.sha256(_encoder.encode(request)).digest(), _encoder.encode)
        done = await self._once(caller, request, outer, raws)
        if isinstance(done, bytes):
            return _answers.decode(done), False
        return done.answer, bool(done.written.rows)

    async def commit_wide(self, caller: Caller, request: CommitRequest, outer: Outer) -> tuple[bytes, CommitAnswer | None]:
        """The same for a changeset that the server itself made out of a smaller request, with up to `COMMIT_NODES_MAX` changes.
        What is stored and replayed is the outer answer; the commit's own comes with it unless it is a replay."""
        if not 0 < len(request.changes) <= COMMIT_NODES_MAX:
            raise LimitExceeded(what="The number of files and folders changed at once", limit=COMMIT_NODES_MAX)
        done = await self._once(caller, request, outer, {})
        if isinstance(done, bytes):
            return done, None
        return done.written.stored.answer, done.answer

    async def replayed(self, caller: Caller, namespace: NamespaceId, key: str, body_hash: bytes) -> bytes | None:
        """The stored outer answer, where this request was answered already. Raises `IdempotencyMismatch`."""
        return await self._store.decided(
            namespace, caller.user_id, lambda transaction: _stored(transaction, caller, key, body_hash)
        )

    async def _once(
        self, caller: Caller, request: CommitRequest, outer: Outer, raws: Mapping[NodeId, RawObject]
    ) -> Recorded | bytes:
        """What was written, or the answer of the time when it was."""
        if not 0 < len(outer.key) <= KEY_MAX_CHARS:
            raise InvalidRequest(message=f"An Idempotency-Key has 1 to {KEY_MAX_CHARS} characters")

        async def decide(transaction: CommitTransaction) -> Recorded | bytes:
            stored = await _stored(transaction, caller, outer.key, outer.body_hash)
            if stored is not None:
                return stored
            recorded = await self._decide(transaction, caller, request, outer, raws)
            await transaction.write(recorded.written)
            return recorded

        return await self._store.decided(request.namespace, caller.user_id, decide)

    async def _decide(
        self,
        transaction: CommitTransaction,
        caller: Caller,
        request: CommitRequest,
        outer: Outer,
        raws: Mapping[NodeId, RawObject],
    ) -> Recorded:
        head = transaction.head
        if not head.access.may_write:
            raise Forbidden(what="write")
        if head.only is not None:
            _refuse(beyond_grants(head.only, request.changes))
        if request.expected is not None:
            await _check_expected(transaction, request.expected)
        now_us = self._clock.now_us()
        facts = await gather(transaction, caller.user_id, request.changes, now_us)
        facts.raws = raws
        settled = settle(facts, request.changes)
        if settled.failures:
            _refuse(await redirect(transaction, caller.user_id, facts, request.changes, settled.failures))
        stamp = Stamp(caller, ChangesetId(self._ids.fresh()), now_us)
        recorded = record(head, settled, request.changes, stamp, key=outer.key, body_hash=outer.body_hash)
        await _check_quota(transaction, recorded)
        if head.only is None:
            recorded.answer.cursor = self._cursor(caller, head, recorded.answer)
        answer = outer.encode(recorded.answer)
        recorded.written.stored = msgspec.structs.replace(recorded.written.stored, answer=answer)
        return recorded

    def _cursor(self, caller: Caller, head: Head, answer: CommitAnswer) -> str:
        return self._cursors.encode(Cursor(head.namespace, head.epoch, answer.sequence, answer.chain), caller.user_id)


async def _check_expected(transaction: CommitTransaction, expected: Expected) -> None:
    """Raises `CursorReset` for a head that never was, `CommitRefused` for one that is no longer."""
    head = transaction.head
    if (expected.sequence, expected.chain) == (head.sequence, head.chain):
        return
    chain: Digest | None = EMPTY_CHAIN
    if expected.sequence > head.pruned_sequence:
        chain = await transaction.chain_at(expected.sequence)
    elif expected.sequence > 0:
        chain = expected.chain
    if chain != expected.chain:
        raise CursorReset(reason="history_diverged", namespace=head.namespace, epoch=head.epoch)
    raise CommitRefused(failures=[], reason="head.moved", sequence=head.sequence, chain=head.chain)


def _refuse(failures: Sequence[Failure]) -> None:
    """Raises `CommitRefused` unless there are none."""
    if failures:
        raise CommitRefused(failures=[msgspec.to_builtins(failure) for failure in failures])


async def _stored(transaction: CommitTransaction, caller: Caller, key: str, body_hash: bytes) -> bytes | None:
    stored = await transaction.stored_answer(caller.device_id, key)
    if stored is None:
        return None
    if stored.body_hash != body_hash:
        raise IdempotencyMismatch
    return stored.answer


async def _check_quota(transaction: CommitTransaction, recorded: Recorded) -> None:
    """Raises `QuotaExceeded` where new bytes are named and the owner's namespaces hold more than they may. What was uploaded for
    this commit is held already, or reserved, so only what is copied in comes on top."""
    written = recorded.written
    named = any(revision.blocks and revision.entry.content_hash != EMPTY_DIGEST for revision in written.revisions)
    if not named and not written.raws:
        return
    usage = await transaction.usage()
    added = sum(block.size for block in (*written.acquired, *written.revived))
    if usage.quota_bytes is not None and usage.used_bytes + added > usage.quota_bytes:
        raise QuotaExceeded(limit=usage.quota_bytes, used=usage.used_bytes + added)
