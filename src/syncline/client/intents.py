"""What this device told the server and has not heard the end of: written down before it is said.

A commit whose answer was lost, or which the device did not live to hear, may be in the journal all the same. Read there, it must
become the base at its own place, between what came before and what came after: else a later change, of this device or another,
would look like a conflict with it. The rows of this device alone do not tell: after a disk was put back to an older state they
stand for things it no longer holds. So each changeset is recorded durably before it is sent, and a row of the journal counts only
where a record expects it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from syncline.client.plan.steps import Push
from syncline.model.ids import DeviceId, Digest, NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.ports.clock import Clock, Ids
from syncline.ports.tree_store import Changes, InflightRow, TreeStore
from syncline.protocol.commits import Op

KIND: Final = "commit"
OPEN_AT_LEAST_S: Final = 180.0
"""A changeset that was not in the journal so long after it was sent will not be: requests do not live that long."""
OPEN_MAX: Final = 100
"""Records kept at most; the oldest go first."""


class Told(Struct, frozen=True):
    """One push, and the content that went with it."""

    push: Push
    content_hash: Digest | None = None


class _Intent(Struct, frozen=True):
    namespace: NamespaceId
    told: list[Told]
    since_s: float


class Intents:
    """`begin` before sending, `over` once answered. `match` while the journal is read; `drain` gives the records to remove."""

    def __init__(self, store: TreeStore, ids: Ids, clock: Clock, rows: Iterable[InflightRow] = ()) -> None:
        """`rows` are the store's: of those that an earlier run left, nobody knows the end."""
        self._store = store
        self._ids = ids
        self._clock = clock
        now_s = clock.monotonic_s()
        self._open: dict[str, _Intent] = {row.id: _read(row, now_s) for row in sorted(rows, key=_by_id) if row.kind == KIND}
        self._over: list[str] = []

    def begin(self, namespace: NamespaceId, pushes: Sequence[Push], contents: Mapping[NodeId, Digest]) -> str:
        """The record's id; it is durable when this returns. Blocking. Raises what the store does."""
        told = [Told(push, contents.get(push.node) if push.content else None) for push in pushes]
        row_id = self._ids.fresh()
        fields: dict[str, str | int | bool | None] = {"namespace": namespace, "told": msgspec.json.encode(told).decode()}
        self._store.write(Changes(inflight_put=[InflightRow(id=row_id, kind=KIND, fields=fields)]))
        self._open[row_id] = _Intent(namespace, told, self._clock.monotonic_s())
        while len(self._open) > OPEN_MAX:
            self.over(next(iter(self._open)))
        return row_id

    def over(self, row_id: str) -> None:
        """The server's answer is known."""
        if self._open.pop(row_id, None) is not None:
            self._over.append(row_id)

    def match(self, namespace: NamespaceId, entry: JournalEntry, device: DeviceId | None) -> list[Told]:
        """What this device is known to have told that led to just this row of the journal, in the order of the telling. A move that
        never arrived and the edit that was told after it may both look like it: what is the base now, they say together."""
        if not self._open or entry.device is None or entry.device != device:
            return []
        led: list[Told] = []
        for intent in self._open.values():
            if intent.namespace == namespace:
                told = [each for each in intent.told if each.push.node == entry.node_id]
                if all(_led_to(each, entry) for each in told):
                    led += told
        return led

    def caught_up(self, namespace: NamespaceId) -> None:
        """The journal was read to its head: what was sent long before and is not in it never will be."""
        horizon_s = self._clock.monotonic_s() - OPEN_AT_LEAST_S
        for row_id in [
            row_id for row_id, intent in self._open.items() if intent.namespace == namespace and intent.since_s < horizon_s
        ]:
            self.over(row_id)

    def forget(self, namespace: NamespaceId) -> None:
        """The history was observed anew: nothing in it is matched any more."""
        for row_id in [row_id for row_id, intent in self._open.items() if intent.namespace == namespace]:
            self.over(row_id)

    def drain(self) -> list[str]:
        """Records to remove with the next transaction."""
        over, self._over = self._over, []
        return over

    def undrain(self, row_ids: Sequence[str]) -> None:
        """That transaction failed."""
        self._over += row_ids


def _led_to(told: Told, entry: JournalEntry) -> bool:
    push = told.push
    if push.op is Op.DELETE or entry.deleted:
        return push.op is Op.DELETE and entry.deleted
    if push.content and entry.content_hash != told.content_hash:
        return False
    if push.parent is not None and (entry.parent_id, entry.name) != (push.parent, push.name):
        return False
    return push.executable is None or entry.executable == push.executable


def _read(row: InflightRow, now_s: float) -> _Intent:
    told = msgspec.json.decode(str(row.fields["told"]), type=list[Told])
    return _Intent(NamespaceId(str(row.fields["namespace"])), told, now_s)


def _by_id(row: InflightRow) -> str:
    return row.id
