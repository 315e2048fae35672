"""Links as whoever has one sees them: nobody is signed in, and the token, with its password, is all there is to go by.

Laws: a link lends its maker's access of this instant; whatever does not work answers as a link that never was, save that a right
token without its password is asked for it; attempts at passwords are paid for by link and address; a download counts once, when it
begins, and not more begin than the limit allows.
"""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Final

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.errors import InvalidName, NotFound, Refused
from syncline.model.ids import LinkId, NodeId
from syncline.model.journal import JournalEntry
from syncline.model.limits import LINK_PAGE
from syncline.model.paths import key_rule, split_path
from syncline.ports.clock import Clock
from syncline.ports.link_store import LinkRow, LinkStore
from syncline.ports.metadata_store import MetadataStore
from syncline.protocol.links import LinkKind
from syncline.server.accounts.attempts import Attempts
from syncline.server.accounts.passwords import Passwords
from syncline.server.content.downloads import Downloads, Offer
from syncline.server.content.tickets import Holder, Ticket
from syncline.server.links.passes import DOWNLOAD, PASSWORD, Passes
from syncline.server.links.reaching import Reaching, Visit
from syncline.server.links.tokens import no_such_link, read_token

HOLDER: Final = "link"
"""What kind of holder the tickets that links give are for."""


class LinkPassword(Refused):
    """{reason}."""

    code = "link.password"
    status = 401


class Key(Struct, frozen=True, kw_only=True):
    """What a visitor shows beside the token: the pass a password earned before, or the password itself."""

    address: str
    given: str | None = None
    password: str | None = None


class Look(Struct, frozen=True, kw_only=True):
    """A place in a link: `names` lead there from the linked node. `entry` is None for the whole of a shared folder."""

    visit: Visit
    names: tuple[str, ...]
    entry: JournalEntry | None
    children: list[JournalEntry]
    next: str | None = None

    @property
    def is_folder(self) -> bool:
        return self.entry is None or self.entry.kind is Kind.DIR

    @property
    def node(self) -> NodeId:
        return NodeId(self.visit.namespace) if self.entry is None else self.entry.node_id


class Begun(Struct, frozen=True, kw_only=True):
    """A download that began: where its bytes are, and the pass by which it may be gone on with uncounted."""

    offer: Offer
    passed: str


class PublicLinks:
    def __init__(
        self,
        store: LinkStore,
        reaching: Reaching,
        metadata: MetadataStore,
        downloads: Downloads,
        passwords: Passwords,
        passes: Passes,
        clock: Clock,
    ) -> None:
        self.downloads = downloads
        self._store = store
        self._reaching = reaching
        self._metadata = metadata
        self._passwords = passwords
        self._passes = passes
        self._attempts = Attempts(clock)
        self._clock = clock

    # -- Getting in ----------------------------------------------------------------------------------------------------------

    async def enter(self, token: str, key: Key, *, going_on: bool = False) -> Visit:
        """A link that works, opened. Raises `NotFound` for any that does not, `LinkPassword`, `TooBusy`.

        `going_on`: also one whose limit was reached meanwhile.
        """
        visit = await self._visit(token, going_on=going_on)
        await self._check_password(visit.link, key)
        return visit

    async def unlock(self, token: str, key: Key) -> str:
        """The pass that a right password earns; an empty text where none is needed. Raises as `enter` does."""
        visit = await self._visit(token, going_on=False)
        hashed = visit.link.password_hash
        if hashed is None:
            return ""
        await self._check_password(visit.link, Key(address=key.address, password=key.password or ""))
        return self._passes.give(PASSWORD, visit.link.id, hashed)

    async def _visit(self, token: str, *, going_on: bool) -> Visit:
        link = await self._store.by_token(*read_token(token))
        if link is None or self._has_expired(link) or (link.is_exhausted and not going_on):
            raise no_such_link()
        return await self._reaching.visit(link)

    async def _check_password(self, link: LinkRow, key: Key) -> None:
        hashed = link.password_hash
        if hashed is None or self._passes.holds(key.given, PASSWORD, link.id, hashed):
            return
        if key.password is None:
            raise LinkPassword(reason="This link asks for a password")
        self._attempts.take(link.id, key.address)
        if not await self._passwords.verify(hashed, key.password):
            raise LinkPassword(reason="That is not the password of this link")
        self._attempts.forgive(link.id, key.address)

    def _has_expired(self, link: LinkRow) -> bool:
        return link.expires_us is not None and link.expires_us <= self._clock.now_us()

    # -- Looking around ------------------------------------------------------------------------------------------------------

    async def look(self, visit: Visit, path: str, page: str | None) -> Look:
        """What is at `path` below the linked node, a folder's entries a page at a time. Raises `NotFound`."""
        look = await self.find(visit, path)
        if not look.is_folder:
            return look
        found = await self._metadata.children(visit.namespace, look.node, _after(page), LINK_PAGE + 1)
        shown = [entry for _, entry in found[:LINK_PAGE] if not entry.mount]
        following = urlsafe_b64encode(found[LINK_PAGE - 1][0].encode()).decode() if len(found) > LINK_PAGE else None
        return Look(visit=visit, names=look.names, entry=look.entry, children=shown, next=following)

    async def find(self, visit: Visit, path: str) -> Look:
        """The same without a folder's entries. A shared folder mounted below is no part of the link."""
        if visit.link.kind is not LinkKind.DOWNLOAD:
            raise no_such_link()
        try:
            names = split_path(path)
        except InvalidName:
            raise no_such_link() from None
        entry = visit.entry
        head = await self._metadata.head(visit.link.created_by, visit.namespace) if names else None
        if names and head is None:
            raise no_such_link()
        folder = visit.reach.node
        for name in names:
            assert head is not None
            entry = await self._metadata.child(visit.namespace, (folder, key_rule(head.name_key_version)(name)))
            if entry is None or entry.mount:
                raise no_such_link()
            folder = entry.node_id
        return Look(visit=visit, names=names, entry=entry, children=[])

    # -- Downloading ---------------------------------------------------------------------------------------------------------

    async def begin(self, token: str, key: Key, path: str, *, passes: dict[str, str], ranged: bool, inline: bool = False) -> Begun:
        """A file's bytes. Counts, unless a pass among `passes` (by node id) shows that this very download began before and only a
        part of it is asked for. Raises `NotFound`, `LinkPassword`, `TooBusy`."""
        visit = await self.enter(token, key, going_on=ranged and bool(passes))
        look = await self.find(visit, path)
        if look.is_folder:
            raise no_such_link()
        content = await self.downloads.content(visit.namespace, look.node)
        subject = f"{content.node_id}.{content.revision}"
        goes_on = ranged and self._passes.holds(passes.get(content.node_id), DOWNLOAD, visit.link.id, subject)
        if not goes_on:
            await self.count(visit)
        offer = self.downloads.offer(content, Holder(HOLDER, visit.link.id), inline=inline)
        return Begun(offer=offer, passed=self._passes.give(DOWNLOAD, visit.link.id, subject))

    async def count(self, visit: Visit) -> None:
        """One more start. Raises `NotFound` where no more may begin, or the link is gone."""
        if not await self._store.begin(visit.link.namespace, visit.link.id):
            raise no_such_link()

    async def still_works(self, visit: Visit) -> bool:
        """Whether the link has neither been revoked nor expired since."""
        link = await self._store.link(visit.link.id)
        return link is not None and not self._has_expired(link)

    async def gate(self, ticket: Ticket) -> None:
        """Whether a ticket given through a link still holds: the link is there and leads to this node. Raises `NotFound`."""
        link = await self._store.link(LinkId(ticket.holder.id))
        if link is None or self._has_expired(link):
            raise NotFound(what="The file")
        if not await self._reaching.holds(await self._reaching.visit(link), ticket.namespace, ticket.node_id):
            raise NotFound(what="The file")


def _after(page: str | None) -> str | None:
    if page is None:
        return None
    try:
        return b64decode(page, altchars=b"-_", validate=True).decode()
    except (Base64Error, ValueError):
        raise no_such_link() from None
