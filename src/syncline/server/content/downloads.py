"""Downloads: a URL, or the bytes themselves, for one revision of a file, decided by whoever calls.

The doors of devices and people resolve and authorise (`offers`); others that decide for themselves, such as links, come with a
namespace, node and revision (`content`, then `offer` or `stream`). A revision that lies raw is offered as the object itself; one in
blocks through the content door, with a ticket that names its holder. `gates` are asked when a ticket is shown: a holder who may not
read any more gets nothing, however young the ticket.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeAlias
from urllib.parse import quote

from msgspec import Struct

from syncline.model.errors import Forbidden, LimitExceeded, NotFound
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.model.limits import BATCH_MAX, GRANT_TTL_S
from syncline.ports.content_store import Content, ContentRef, ContentStore
from syncline.ports.object_store import ObjectStore
from syncline.server.caller import Caller
from syncline.server.content.assemble import Assembler
from syncline.server.content.headers import answer_headers
from syncline.server.content.tickets import Holder, Ticket, Tickets

CONTENT_PREFIX: Final = "/content/"
DEVICE: Final = "device"

Gate: TypeAlias = Callable[[Ticket], Awaitable[None]]
"""Raises `NotFound` or `Unauthenticated` unless the ticket's holder may still read what it names."""


class Grants(Protocol):
    """Single files that people may read beside the namespaces they are members of."""

    async def namespace_of(self, caller: Caller, namespace: NamespaceId | None, node: NodeId) -> NamespaceId | None:
        """Where a live file lies that was granted to the caller at this instant: in `namespace`, or anywhere. None for others."""
        ...


class Offer(Struct, frozen=True, kw_only=True):
    """A URL to read `content` at until `expires_s` (seconds since 1970). One that begins with `/` is relative to this server."""

    content: Content
    url: str
    expires_s: int


class Admitted(Struct, frozen=True, kw_only=True):
    """What may be read now. `holder` is whose share of the streams it counts against."""

    content: Content
    inline: bool
    holder: str


class Downloads:
    def __init__(
        self,
        contents: ContentStore,
        objects: ObjectStore,
        assembler: Assembler,
        tickets: Tickets,
        grants: Grants | None = None,
    ) -> None:
        self._contents = contents
        self._grants = grants
        self._objects = objects
        self._assembler = assembler
        self._tickets = tickets
        self.gates: dict[str, Gate] = {}
        """By kind of holder; whoever gives tickets to a kind answers for it here."""

    # -- For those who have decided ------------------------------------------------------------------------------------------

    async def content(self, namespace: NamespaceId, node: NodeId, revision: int | None = None) -> Content:
        """A revision, by default the present one of a file that is not deleted. Asks nobody. Raises `NotFound`."""
        content = await self._contents.content(namespace, node, revision)
        if content is None:
            raise NotFound(what="The file")
        return content

    def offer(self, content: Content, holder: Holder, *, inline: bool = False, ttl_s: int = GRANT_TTL_S) -> Offer:
        """Where to read it, for at most `GRANT_TTL_S` seconds. `inline` shows what is safe to show instead of saving it."""
        expires_s = self._tickets.expiry(ttl_s)
        if content.raw_key is not None:
            answer = answer_headers(content.name, content.mime_type, inline=inline)
            signed = self._objects.presign_get(content.raw_key, ttl_s=min(ttl_s, GRANT_TTL_S), answer=answer)
            return Offer(content=content, url=signed.url, expires_s=expires_s)
        ticket = Ticket(content.namespace, content.node_id, content.revision, inline, expires_s, holder)
        url = f"{CONTENT_PREFIX}{self._tickets.seal(ticket)}/{quote(content.name, safe='')}"
        return Offer(content=content, url=url, expires_s=expires_s)

    def stream(self, content: Content, start: int, end: int) -> AsyncGenerator[memoryview, None]:
        """The verified bytes `[start, end)`, in pieces. Raises `Corrupt`, `NotFound`, `Unavailable`."""
        return self._assembler.stream(content, start, end)

    # -- For people's devices ------------------------------------------------------------------------------------------------

    async def find(self, caller: Caller, refs: Sequence[ContentRef]) -> list[Content | None]:
        """In request order; None where there is none, or none for this caller. Raises `LimitExceeded`."""
        if len(refs) > BATCH_MAX:
            raise LimitExceeded(what="The number of files", limit=BATCH_MAX)
        found = await self._contents.find(caller.user_id, refs)
        if self._grants is not None:
            for index, ref in enumerate(refs):
                if found[index] is None:
                    namespace = await self._grants.namespace_of(caller, ref.namespace, ref.node_id)
                    if namespace is not None:
                        found[index] = await self._contents.content(namespace, ref.node_id, ref.revision)
        return found

    def offer_to(self, caller: Caller, content: Content, *, inline: bool = False) -> Offer:
        """An offer for what `find` found, good while the caller's device is linked and may read it."""
        return self.offer(content, Holder(DEVICE, caller.device_id, caller.user_id), inline=inline)

    async def offers(self, caller: Caller, refs: Sequence[ContentRef], *, inline: bool = False) -> list[Offer | None]:
        """An offer for each, in request order; None where `find` finds none. Raises `LimitExceeded`."""
        found = await self.find(caller, refs)
        return [None if content is None else self.offer_to(caller, content, inline=inline) for content in found]

    async def urls(self, caller: Caller, files: Sequence[tuple[NamespaceId, JournalEntry]]) -> list[str | None]:
        """Where these revisions can be read, in request order; None for what cannot be had now."""
        refs = [ContentRef(node_id=entry.node_id, revision=entry.revision, namespace=namespace) for namespace, entry in files]
        found = await self.find(caller, refs)
        return [None if content is None else self.offer_to(caller, content).url for content in found]

    # -- For the content door ------------------------------------------------------------------------------------------------

    async def admit(self, token: str) -> Admitted:
        """What a ticket that is shown now gives to read. Raises `Forbidden`, `NotFound`, `Unauthenticated`."""
        ticket = self._tickets.open(token)
        gate = self.gates.get(ticket.holder.kind)
        if gate is None:
            raise Forbidden(what="use this URL")
        await gate(ticket)
        content = await self.content(ticket.namespace, ticket.node_id, ticket.revision)
        return Admitted(content=content, inline=ticket.inline, holder=ticket.holder.user or ticket.holder.id)
