"""Requests that become one changeset: made against what is seen, committed if that still stands, else made anew; and replayed.

The Idempotency-Key is that of the request, whatever changeset came of it: sent again, it gets the same answer and nothing happens
twice, though the tree it was made against is another one by then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from syncline.model.errors import CommitRefused, Overtaken
from syncline.model.ids import NamespaceId
from syncline.protocol.commits import CommitAnswer, CommitRequest
from syncline.server.caller import Caller
from syncline.server.metadata.commit import Outer
from syncline.server.metadata.service import Metadata

A = TypeVar("A", bound=Struct)
ATTEMPTS_MAX: Final = 5


class Attempt(Struct, Generic[A]):
    """A changeset (None: there is nothing to do), and the answer made of the commit's."""

    request: CommitRequest | None
    answer: Callable[[CommitAnswer | None], A]


async def once(
    metadata: Metadata,
    caller: Caller,
    namespace: NamespaceId,
    key: str,
    asked: bytes,
    make: Callable[[], Awaitable[Attempt[A]]],
    kind: type[A],
) -> A:
    """`asked` is the request's body. Raises what `make` raises, `Overtaken`, and as `Metadata.commit` does."""
    body_hash = hashlib.sha256(asked).digest()
    stored = await metadata.replayed(caller, namespace, key, body_hash)
    if stored is not None:
        return msgspec.json.decode(stored, type=kind)
    for _ in range(ATTEMPTS_MAX):
        attempt = await make()
        if attempt.request is None:
            return attempt.answer(None)
        outer = Outer(key, body_hash, lambda commit, made=attempt: msgspec.json.encode(made.answer(commit)))  # type: ignore[misc]
        try:
            return msgspec.json.decode(await metadata.commit_wide(caller, attempt.request, outer), type=kind)
        except CommitRefused as refusal:
            last = refusal
    if last.fields.get("reason") == "head.moved":
        raise Overtaken
    raise last
