"""The metadata role: people and their devices, trees and their history, who may do what."""

from __future__ import annotations

from dataclasses import dataclass

from syncline.app.roles.ground import Ground
from syncline.server.accounts.sessions import Accounts
from syncline.server.accounts.tokens import AccessTokens, signing_keys
from syncline.server.metadata.cursors import CursorCodec
from syncline.server.metadata.doors import Doors
from syncline.server.metadata.service import Metadata
from syncline.server.past.service import Past
from syncline.server.sharing.access import NodeAccess
from syncline.server.sharing.folders import Stores as SharedStores
from syncline.server.sharing.service import Sharing
from syncline.server.tree.copies import Copies


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataRooms:
    accounts: Accounts
    access: NodeAccess
    metadata: Metadata
    past: Past
    sharing: Sharing
    doors: Doors
    copies: Copies

    async def drain(self) -> None:
        """Waits for what was begun: a commit must be told of as well as made."""
        await self.doors.drain()
        await self.copies.drain()
        await self.sharing.drain()
        await self.metadata.drain()
        await self.accounts.notes.flush()


def metadata_rooms(ground: Ground) -> MetadataRooms:
    stores, clock, ids, publish = ground.stores, ground.clock, ground.ids, ground.word.spread
    tokens = AccessTokens(signing_keys(ground.keys.signing_keys()), ground.server_id, clock, ids)
    access = NodeAccess(stores.shares)
    metadata = Metadata(
        stores.metadata,
        CursorCodec(ground.keys.secret("cursors")),
        clock,
        ids,
        publish,
        access=access,
        journal_retention_s=ground.config.retention.journal_s,
    )
    ground.observing.metadata(metadata)
    accounts = Accounts(
        stores.accounts,
        tokens,
        clock,
        ground.chance,
        on_unlink=ground.hub.drop_device,
        shared=ground.shared.sessions,
        limits=ground.shared.limits,
        presence=ground.shared.presence,
    )
    return MetadataRooms(
        accounts=accounts,
        access=access,
        metadata=metadata,
        past=Past(metadata, stores.past, clock, ground.config.retention),
        sharing=Sharing(SharedStores(stores.shares, stores.accounts, stores.metadata), metadata, access, clock, ids, publish),
        doors=Doors(stores.shares, metadata.lookup, access, clock, ids, publish),
        copies=Copies(stores.shares, stores.metadata, metadata.lookup, access, clock, ids, publish),
    )
