"""What the routes call: the server's rooms, put together by `app/server.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from syncline.server.accounts.sessions import Accounts
from syncline.server.blocks.fetch import Fetching
from syncline.server.blocks.grant import Granting
from syncline.server.blocks.receive import Receiving
from syncline.server.metadata.doors import Doors
from syncline.server.metadata.service import Metadata
from syncline.server.notify.poll import Polling
from syncline.server.notify.synced import LastSynced
from syncline.server.sharing.access import NodeAccess
from syncline.server.sharing.service import Sharing
from syncline.server.tree.copies import Copies
from syncline.server.views.service import Views


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    accounts: Accounts
    metadata: Metadata
    granting: Granting
    receiving: Receiving
    fetching: Fetching
    polling: Polling
    access: NodeAccess
    sharing: Sharing
    doors: Doors
    copies: Copies
    synced: LastSynced
    views: Views
    check_ready: Callable[[], Awaitable[None]]
    """Raises `Unavailable` while this process cannot serve."""
    server_id: str
    version: str
    public_url: str | None = None
