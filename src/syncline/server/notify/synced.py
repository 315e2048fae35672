"""When a device last knew all there was to know: the moment its cursors stood at the heads of all namespaces it keeps.

Devices say where they stand when they poll, so nothing more is asked of them. It is looked into, and written, at most once a minute
for each device.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from syncline.model.ids import DeviceId, NamespaceId
from syncline.ports import freshness
from syncline.ports.clock import Clock
from syncline.protocol.sessions import Namespace
from syncline.server.accounts.notes import DeviceNotes
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata

NOTED_EVERY_S: Final = 60.0
_DEVICES_MAX: Final = 10_000


class LastSynced:
    def __init__(self, metadata: Metadata, notes: DeviceNotes, clock: Clock) -> None:
        self._metadata = metadata
        self._notes = notes
        self._clock = clock
        self._noted: OrderedDict[DeviceId, float] = OrderedDict()

    async def stands_at(self, caller: Caller, positions: Mapping[NamespaceId, int], *, polled: bool = False) -> None:
        """The caller's device has everything up to these sequences. One that polls names all namespaces it keeps: there may be
        others that are not mounted in its tree."""
        if self._is_due(caller.device_id) and not freshness.is_behind():
            heads = (await self._metadata.namespaces(caller)).namespaces
            self.found_at(caller, positions, heads, polled=polled)

    def found_at(
        self, caller: Caller, positions: Mapping[NamespaceId, int], heads: Sequence[Namespace], *, polled: bool = False
    ) -> None:
        """The same, by whoever knows all heads just now."""
        if freshness.is_behind() or not self._is_due(caller.device_id):
            return
        kept = [head for head in heads if not polled or head.is_root or head.id in positions]
        if any(positions.get(head.id, -1) < head.sequence for head in kept):
            return
        self._noted[caller.device_id] = self._clock.monotonic_s()
        self._noted.move_to_end(caller.device_id)
        while len(self._noted) > _DEVICES_MAX:
            self._noted.popitem(last=False)
        self._notes.synced(caller.device_id, self._clock.now_us())

    def _is_due(self, device: DeviceId) -> bool:
        noted = self._noted.get(device)
        return noted is None or self._clock.monotonic_s() - noted >= NOTED_EVERY_S
