"""Which rooms each role shows to gateways. A field's name is its room's name between processes."""

from __future__ import annotations

from dataclasses import dataclass

from syncline.server.rooms.bytes import FetchingRoom, GrantingRoom, OffersRoom, ReceivingRoom, ShorthandRoom, UploadsRoom
from syncline.server.rooms.looking import (
    ActivityRoom,
    PollingRoom,
    SearchRoom,
    SyncedRoom,
    UpdatesRoom,
    UsageRoom,
    ViewsRoom,
)
from syncline.server.rooms.past import RetentionRoom, TrashRoom, TravelRoom, VersionsRoom
from syncline.server.rooms.people import AccountsRoom, LinksRoom, SharingRoom
from syncline.server.rooms.trees import CopiesRoom, DoorsRoom, MetadataRoom


@dataclass(frozen=True, kw_only=True)
class MetadataSide:
    """Shown by the metadata role."""

    accounts: AccountsRoom
    metadata: MetadataRoom
    sharing: SharingRoom
    doors: DoorsRoom
    copies: CopiesRoom
    links: LinksRoom
    views: ViewsRoom
    updates: UpdatesRoom
    search: SearchRoom
    usage: UsageRoom
    activity: ActivityRoom
    versions: VersionsRoom
    trash: TrashRoom
    travel: TravelRoom
    retention: RetentionRoom


@dataclass(frozen=True, kw_only=True)
class BlocksSide:
    """Shown by the blocks role."""

    granting: GrantingRoom
    receiving: ReceivingRoom
    fetching: FetchingRoom
    offers: OffersRoom
    uploads: UploadsRoom
    shorthand: ShorthandRoom


@dataclass(frozen=True, kw_only=True)
class NotifySide:
    """Shown by the notify role."""

    polling: PollingRoom
    synced: SyncedRoom
