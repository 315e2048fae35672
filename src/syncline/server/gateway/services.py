"""What the routes call: the server's rooms, put together by `app/roles/gateway.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from syncline.ports.clock import Ids
from syncline.server.accounts.limits import CallLimits
from syncline.server.accounts.sessions import Accounts
from syncline.server.blocks.fetch import Fetching
from syncline.server.blocks.grant import Granting
from syncline.server.blocks.receive import Receiving
from syncline.server.content.downloads import Downloads
from syncline.server.links.drop_uploads import DropUploads
from syncline.server.links.drops import Drops
from syncline.server.links.links import LinkBook
from syncline.server.links.public import PublicLinks
from syncline.server.links.zipped import Zips
from syncline.server.metadata.doors import Doors
from syncline.server.metadata.service import Metadata
from syncline.server.notify.poll import Polling
from syncline.server.notify.synced import LastSynced
from syncline.server.past.service import Past
from syncline.server.sharing.access import NodeAccess
from syncline.server.sharing.service import Sharing
from syncline.server.tree.copies import Copies
from syncline.server.uploads.service import Uploads
from syncline.server.uploads.shorthand import Shorthand
from syncline.server.views.service import Views


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    accounts: Accounts
    metadata: Metadata
    granting: Granting
    receiving: Receiving
    fetching: Fetching
    downloads: Downloads
    polling: Polling
    uploads: Uploads
    shorthand: Shorthand
    access: NodeAccess
    sharing: Sharing
    doors: Doors
    past: Past
    ids: Ids
    links: LinkBook
    public_links: PublicLinks
    drops: Drops
    drop_uploads: DropUploads
    zips: Zips
    copies: Copies
    synced: LastSynced
    views: Views
    check_ready: Callable[[], Awaitable[None]]
    """Raises `Unavailable` while this process cannot serve."""
    server_id: str
    version: str
    limits: CallLimits | None = None
    public_url: str | None = None
