"""What the routes call: rooms in this process or another one, put together by `app/processes/gateway.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from syncline.ports.clock import Ids
from syncline.server.accounts.limits import CallLimits
from syncline.server.gateway.wire import Asked
from syncline.server.links.drop_uploads import DropUploads
from syncline.server.links.drops import Drops
from syncline.server.links.public import PublicLinks
from syncline.server.links.zipped import Zips
from syncline.server.rooms.sides import BlocksSide, MetadataSide, NotifySide


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What every process answers, whatever its roles are."""

    check_ready: Callable[[], Awaitable[None]]
    """Raises `Unavailable` while this process cannot serve."""
    version: str
    limits: CallLimits | None = None
    """How often one network address may ask."""


@dataclass(frozen=True, kw_only=True)
class Services(MetadataSide, BlocksSide, NotifySide):
    """The rooms behind the doors of a gateway."""

    ids: Ids
    public_url: str | None = None
    content_url: str | None = None
    """Where the content role answers, if that is not this process."""

    def bytes_base(self, request: Asked) -> str:
        """What goes before the path of a URL behind which bytes of files pass."""
        return request.base(self.content_url or self.public_url)


@dataclass(frozen=True, kw_only=True)
class LinkServices:
    """The rooms behind links for people without an account, where the bytes are: their pages are the content role's."""

    links: PublicLinks
    drops: Drops
    uploads: DropUploads
    zips: Zips
    public_url: str | None = None
