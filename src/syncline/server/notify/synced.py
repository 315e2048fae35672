"""When a device last knew all there was to know: the moment its cursors stood at the heads of all namespaces it keeps.

Devices say where they stand when they poll, so nothing more is asked of them. It is looked into, and written, at most once a minute
for each device.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from syncline.model.ids import DeviceId, NamespaceId
from syncline.ports.account_store import AccountStore
from syncline.ports.clock import Clock
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata

NOTED_EVERY_S: Final = 60.0
_DEVICES_MAX: Final = 10_000


class LastSynced:
    def __init__(self, metadata: Metadata, store: AccountStore, clock: Clock) -> None:
        self._metadata = metadata
        self._store = store
        self._clock = clock
        self._noted: OrderedDict[DeviceId, float] = OrderedDict()

    async def stands_at(self, caller: Caller, positions: Mapping[NamespaceId, int], *, polled: bool = False) -> None:
        """The caller's device has everything up to these sequences. One that polls names all namespaces it keeps: there may be
        others that are not mounted in its tree."""
        now_s = self._clock.monotonic_s()
        noted = self._noted.get(caller.device_id)
        if noted is not None and now_s - noted < NOTED_EVERY_S:
            return
        heads = (await self._metadata.namespaces(caller)).namespaces
        kept = [head for head in heads if not polled or head.is_root or head.id in positions]
        if any(positions.get(head.id, -1) < head.sequence for head in kept):
            return
        self._noted[caller.device_id] = now_s
        self._noted.move_to_end(caller.device_id)
        while len(self._noted) > _DEVICES_MAX:
            self._noted.popitem(last=False)
        await self._store.note_synced(caller.device_id, self._clock.now_us())
