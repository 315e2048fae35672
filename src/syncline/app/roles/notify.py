"""The notify role: long polls, woken by the hub, and what they tell of how far devices have come."""

from __future__ import annotations

from dataclasses import dataclass

from syncline.app.roles.ground import Ground
from syncline.app.roles.metadata import MetadataRooms
from syncline.server.notify.poll import Polling
from syncline.server.notify.synced import LastSynced


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyRooms:
    polling: Polling
    synced: LastSynced


def notify_rooms(ground: Ground, core: MetadataRooms) -> NotifyRooms:
    synced = LastSynced(core.metadata, ground.stores.accounts, ground.clock)
    polling = Polling(core.metadata, ground.hub, ground.clock, core.accounts.live, synced)
    ground.observing.polling(polling)
    return NotifyRooms(polling=polling, synced=synced)
