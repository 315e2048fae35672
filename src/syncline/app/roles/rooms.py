"""The rooms of every grounded role, built on one ground: a few objects each, which are at work only when they are asked.

So that a process of one role asks the database and the store itself instead of another process, it has all of them; its roles say
which of them it shows to others, and which go on by themselves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from syncline.app.roles.blocks import BlockRooms, block_rooms
from syncline.app.roles.content import ContentRooms, content_rooms
from syncline.app.roles.ground import Ground
from syncline.app.roles.metadata import MetadataRooms, metadata_rooms
from syncline.app.roles.notify import NotifyRooms, notify_rooms
from syncline.app.roles.showing import ShowingRooms, showing_rooms
from syncline.app.roles.worker import ingest_room
from syncline.server.gateway.services import LinkServices
from syncline.server.rooms.sides import BlocksSide, MetadataSide, NotifySide
from syncline.server.workers.ingest import Ingest


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    ground: Ground
    core: MetadataRooms
    ingest: Ingest
    blocks: BlockRooms
    content: ContentRooms
    showing: ShowingRooms
    notify: NotifyRooms


@asynccontextmanager
async def furnished(ground: Ground) -> AsyncIterator[Rooms]:
    """The rooms, until the block ends, which waits for what was begun in them."""
    core = metadata_rooms(ground)
    ingest = ingest_room(ground, core)
    blocks = block_rooms(ground, core, ingest.wake)
    content = content_rooms(ground, core)
    try:
        yield Rooms(
            ground=ground,
            core=core,
            ingest=ingest,
            blocks=blocks,
            content=content,
            showing=showing_rooms(ground, core, blocks, content),
            notify=notify_rooms(ground, core),
        )
    finally:
        await core.drain()
        blocks.close()


def metadata_side(rooms: Rooms) -> MetadataSide:
    core, views = rooms.core, rooms.showing.views
    return MetadataSide(
        accounts=core.accounts,
        metadata=core.metadata,
        sharing=core.sharing,
        doors=core.doors,
        copies=core.copies,
        links=rooms.showing.links.book,
        views=views,
        updates=views.updates,
        search=views.search,
        usage=views.usage,
        activity=views.activity,
        versions=core.past.versions,
        trash=core.past.trash,
        travel=core.past.travel,
        retention=core.past.retention,
    )


def blocks_side(rooms: Rooms) -> BlocksSide:
    blocks = rooms.blocks
    return BlocksSide(
        granting=blocks.granting,
        receiving=blocks.receiving,
        fetching=blocks.fetching,
        offers=rooms.content.downloads,
        uploads=blocks.uploads,
        shorthand=blocks.shorthand,
    )


def notify_side(rooms: Rooms) -> NotifySide:
    return NotifySide(polling=rooms.notify.polling, synced=rooms.notify.synced)


def link_services(rooms: Rooms) -> LinkServices:
    showing = rooms.showing
    return LinkServices(
        links=showing.links.public,
        drops=showing.links.drops,
        uploads=showing.drop_uploads,
        zips=showing.links.zips,
        public_url=rooms.ground.config.public_url,
    )
