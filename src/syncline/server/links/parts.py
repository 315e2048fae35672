"""The rooms of links put together, over the stores they read."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from syncline.ports.account_store import AccountStore
from syncline.ports.clock import Chance, Clock, Ids
from syncline.ports.link_store import LinkStore
from syncline.ports.metadata_store import MetadataStore
from syncline.server.accounts.passwords import Passwords
from syncline.server.blocks.intake import Intake
from syncline.server.content.downloads import Downloads
from syncline.server.links.drops import Drops
from syncline.server.links.links import LinkBook
from syncline.server.links.passes import Passes
from syncline.server.links.public import HOLDER, PublicLinks
from syncline.server.links.reaching import Reaching
from syncline.server.links.zipped import Zips
from syncline.server.metadata.service import Metadata
from syncline.server.sharing.access import NodeAccess


class LinkStores(Protocol):
    """The stores that links read and write."""

    @property
    def links(self) -> LinkStore: ...

    @property
    def metadata(self) -> MetadataStore: ...

    @property
    def accounts(self) -> AccountStore: ...


class LinkParts(Struct, frozen=True, kw_only=True):
    book: LinkBook
    public: PublicLinks
    drops: Drops
    zips: Zips


def link_parts(
    stores: LinkStores,
    access: NodeAccess,
    metadata: Metadata,
    downloads: Downloads,
    intake: Intake,
    secret: bytes,
    clock: Clock,
    chance: Chance,
) -> LinkParts:
    """Passwords of links have hashing slots of their own: guessing at one does not keep people from signing in."""
    reaching = Reaching(access, stores.accounts, stores.metadata)
    passwords = Passwords()
    public = PublicLinks(stores.links, reaching, stores.metadata, downloads, passwords, Passes(secret, clock), clock)
    downloads.gates[HOLDER] = public.gate
    return LinkParts(
        book=LinkBook(stores.links, reaching, metadata, passwords, clock, chance),
        public=public,
        drops=Drops(public, stores.metadata, metadata, intake, clock, Ids(clock, chance)),
        zips=Zips(stores.metadata, downloads),
    )
