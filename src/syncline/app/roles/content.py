"""The content role: files as plain bytes, behind URLs that are tickets; and the objects themselves, where they lie on this disk."""

from __future__ import annotations

from dataclasses import dataclass

from syncline.adapters.objects.disk import DiskObjects
from syncline.adapters.objects.door import ObjectsDoor
from syncline.adapters.objects.signing import PREFIX
from syncline.app.objects import events_token
from syncline.app.roles.blocks import BlockRooms
from syncline.app.roles.ground import Ground
from syncline.app.roles.metadata import MetadataRooms
from syncline.server.content.assemble import Assembler
from syncline.server.content.door import ContentDoor
from syncline.server.content.downloads import CONTENT_PREFIX, DEVICE, Downloads
from syncline.server.content.gates import device_gate
from syncline.server.content.tickets import Tickets
from syncline.server.gateway.edge import App
from syncline.server.gateway.store_events import PREFIX as EVENTS_PREFIX
from syncline.server.gateway.store_events import StoreEvents


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentRooms:
    downloads: Downloads


def content_rooms(ground: Ground, core: MetadataRooms) -> ContentRooms:
    assembler = Assembler(ground.stores.contents, ground.stores.packs, ground.objects, ground.wrapper)
    tickets = Tickets(ground.keys.secret("content"), ground.clock)
    downloads = Downloads(ground.stores.contents, ground.objects, assembler, tickets, core.access)
    downloads.gates[DEVICE] = device_gate(core.accounts, core.metadata, core.access)
    return ContentRooms(downloads=downloads)


def byte_doors(ground: Ground, content: ContentRooms, blocks: BlockRooms) -> dict[str, App]:
    """The doors that bytes of files pass, and the one where their store says what arrived, each by the prefix of its URLs.

    Raises `InvalidRequest` where `objects.events_token_file` is wrong."""
    doors: dict[str, App] = {CONTENT_PREFIX: ContentDoor(content.downloads)}
    if isinstance(ground.objects, DiskObjects):
        ground.objects.completed = blocks.uploads.arrived
        doors[PREFIX] = ObjectsDoor(ground.objects, ground.signer, blocks.receiving.stored)
    elif (token := events_token(ground.config.objects)) is not None:
        heard = (blocks.receiving.arrived, blocks.uploads.arrived)
        doors[EVENTS_PREFIX] = StoreEvents(token, ground.config.objects.buckets, heard)
    return doors
