"""What shows files to people, built on metadata, blocks and content: views of a tree, and links for those without an account."""

from __future__ import annotations

from dataclasses import dataclass

from syncline.app.roles.blocks import BlockRooms
from syncline.app.roles.content import ContentRooms
from syncline.app.roles.ground import Ground
from syncline.app.roles.metadata import MetadataRooms
from syncline.server.links.drop_uploads import DropUploads
from syncline.server.links.parts import LinkParts, link_parts
from syncline.server.views.places import Places
from syncline.server.views.service import Views
from syncline.server.views.tokens import TokenCodec


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowingRooms:
    views: Views
    links: LinkParts
    drop_uploads: DropUploads


def showing_rooms(ground: Ground, core: MetadataRooms, blocks: BlockRooms, content: ContentRooms) -> ShowingRooms:
    stores, metadata, downloads = ground.stores, core.metadata, content.downloads
    places = Places(metadata, stores.metadata, stores.views)
    secret = ground.keys.secret("links")
    links = link_parts(stores, core.access, metadata, downloads, blocks.intake, secret, ground.clock, ground.chance)
    return ShowingRooms(
        views=Views(places, stores.metadata, stores.views, TokenCodec(ground.keys.secret("pages")), downloads),
        links=links,
        drop_uploads=DropUploads(links.public, links.drops, metadata, blocks.uploads, stores.uploads),
    )
