"""The gateway role: the doors of HTTP, in front of rooms that are built in this process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version

from syncline.app.roles.blocks import BlockRooms
from syncline.app.roles.content import ContentRooms
from syncline.app.roles.ground import Ground
from syncline.app.roles.metadata import MetadataRooms
from syncline.app.roles.notify import NotifyRooms
from syncline.app.roles.showing import ShowingRooms
from syncline.model.errors import Unavailable
from syncline.server.gateway.services import Services


def gateway_services(
    ground: Ground, core: MetadataRooms, blocks: BlockRooms, content: ContentRooms, showing: ShowingRooms, notify: NotifyRooms
) -> Services:
    return Services(
        accounts=core.accounts,
        metadata=core.metadata,
        granting=blocks.granting,
        receiving=blocks.receiving,
        fetching=blocks.fetching,
        uploads=blocks.uploads,
        shorthand=blocks.shorthand,
        downloads=content.downloads,
        past=core.past,
        ids=ground.ids,
        access=core.access,
        sharing=core.sharing,
        doors=core.doors,
        links=showing.links.book,
        public_links=showing.links.public,
        drops=showing.links.drops,
        drop_uploads=showing.drop_uploads,
        zips=showing.links.zips,
        copies=core.copies,
        polling=notify.polling,
        synced=notify.synced,
        views=showing.views,
        check_ready=ready_check(ground),
        server_id=ground.server_id,
        version=version("syncline"),
        limits=ground.shared.limits,
        public_url=ground.config.public_url,
    )


def ready_check(ground: Ground) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        if ground.ending.is_set():
            raise Unavailable(what="This server, which is shutting down,")
        await ground.stores.accounts.server_id()

    return check
