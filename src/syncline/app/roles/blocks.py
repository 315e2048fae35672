"""The blocks role: leave to send packs and to read them, plain uploads in parts, and bytes of people without a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from syncline.app.roles.ground import Ground
from syncline.app.roles.metadata import MetadataRooms
from syncline.model.limits import DROPS_AT_ONCE
from syncline.server.blocks.fetch import Fetching
from syncline.server.blocks.grant import Granting
from syncline.server.blocks.intake import Intake
from syncline.server.blocks.receive import Receiving
from syncline.server.uploads.service import Uploads
from syncline.server.uploads.shorthand import Shorthand


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRooms:
    granting: Granting
    receiving: Receiving
    fetching: Fetching
    intake: Intake
    uploads: Uploads
    shorthand: Shorthand

    def close(self) -> None:
        self.intake.close()


def block_rooms(ground: Ground, core: MetadataRooms, arrived: Callable[[], None]) -> BlockRooms:
    """`arrived` is told of each content that waits to be taken in."""
    packs, objects, keys, clock, chance = ground.stores.packs, ground.objects, ground.wrapper, ground.clock, ground.chance
    granting = Granting(core.metadata, packs, objects, keys, clock, chance)
    return BlockRooms(
        granting=granting,
        receiving=Receiving(packs, objects, clock),
        fetching=Fetching(core.metadata, packs, objects, keys),
        intake=Intake(packs, objects, keys, clock, chance, at_once=DROPS_AT_ONCE),
        uploads=Uploads(core.metadata, ground.stores.uploads, objects, clock, chance, arrived),
        shorthand=Shorthand(core.metadata, granting, packs, ground.ids),
    )
