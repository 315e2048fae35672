"""The content door's bounds: how many answers at once, and what becomes of one whose reader leaves or stalls."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from tests.unit.server_content.shelf import Shelf, noise

from syncline.model.errors import NotFound
from syncline.model.limits import MIB
from syncline.server.content.assemble import AHEAD
from syncline.server.content.door import ContentDoor
from syncline.server.content.downloads import Downloads
from syncline.server.content.tickets import Holder, Ticket, Tickets

Message = MutableMapping[str, Any]


class Peer:
    """One request of a peer that takes its answer only while it is let to, and may leave."""

    def __init__(self, door: ContentDoor, url: str, *, eager: bool = True) -> None:
        self.sent: list[Message] = []
        self.takes = asyncio.Event()
        self.gone = asyncio.Event()
        if eager:
            self.takes.set()
        scope = {"type": "http", "method": "GET", "path": url, "headers": [], "syncline.request_id": "r"}
        self.answering = asyncio.ensure_future(door(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.sent.append({**message, "body": bytes(message.get("body", b""))})
        if message["type"] == "http.response.body":
            await self.takes.wait()

    async def begun(self) -> None:
        """Returns when the first bytes were handed over."""
        async with asyncio.timeout(20):
            while len(self.sent) < 2:
                await asyncio.sleep(0)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])


class Site:
    """A file of 32 blocks, and URLs of it for anybody."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.blocks = noise(32, 1 * MIB)
        self.downloads = Downloads(
            shelf.stores.contents, shelf.objects, shelf.assembler, Tickets(bytes(32), shelf.member.world.machine)
        )
        self.downloads.gates["anybody"] = self._gate
        self.revoked: set[str] = set()

    async def _gate(self, ticket: Ticket) -> None:
        if ticket.holder.id in self.revoked:
            raise NotFound(what="The file")

    async def stock(self) -> None:
        for at in range(0, 32, 8):
            await self.shelf.pack(*self.blocks[at : at + 8])
        self.file = await self.shelf.file("a", self.blocks)

    def url(self, holder: str) -> str:
        return self.downloads.offer(self.file, Holder("anybody", holder)).url


@pytest.fixture
async def site(shelf: Shelf) -> Site:
    site = Site(shelf)
    await site.stock()
    return site


async def test_so_many_streams_and_no_more(site: Site) -> None:
    door = ContentDoor(site.downloads, streams=3, per_holder=2)
    slow = [Peer(door, site.url("ann"), eager=False), Peer(door, site.url("ann"), eager=False)]
    for peer in slow:
        await peer.begun()
    third = Peer(door, site.url("ann"))
    await third.answering
    assert third.status == 429
    assert b"rate.limited" in third.body
    assert (b"retry-after", b"2") in third.sent[0]["headers"]
    bob = Peer(door, site.url("bob"), eager=False)
    await bob.begun()
    cid = Peer(door, site.url("cid"))
    await cid.answering
    assert cid.status == 429
    slow[0].takes.set()
    await slow[0].answering
    assert slow[0].body == b"".join(site.blocks)
    again = Peer(door, site.url("cid"))
    await again.answering
    assert (again.status, again.body) == (200, b"".join(site.blocks))
    for peer in (slow[1], bob):
        peer.takes.set()
        await peer.answering
        assert peer.body == b"".join(site.blocks)


async def test_whoever_leaves_is_read_for_no_longer(site: Site) -> None:
    door = ContentDoor(site.downloads, streams=1)
    peer = Peer(door, site.url("ann"), eager=False)
    await peer.begun()
    peer.gone.set()
    await asyncio.sleep(0)
    peer.takes.set()
    await peer.answering
    assert len(site.shelf.objects.reads) <= AHEAD + 2
    assert len(peer.body) < len(b"".join(site.blocks))
    other = Peer(door, site.url("ann"))
    await other.answering
    assert other.status == 200


async def test_whoever_stalls_is_let_go(site: Site) -> None:
    door = ContentDoor(site.downloads, streams=1, stall_s=0.01)
    peer = Peer(door, site.url("ann"), eager=False)
    with pytest.raises(TimeoutError):
        await peer.answering
    other = Peer(door, site.url("ann"))
    await other.answering
    assert other.status == 200


async def test_a_gate_is_asked_at_each_start_and_not_after_it(site: Site) -> None:
    door = ContentDoor(site.downloads)
    url = site.url("ann")
    peer = Peer(door, url, eager=False)
    await peer.begun()
    site.revoked.add("ann")
    late = Peer(door, url)
    await late.answering
    assert late.status == 404
    peer.takes.set()
    await peer.answering
    assert peer.body == b"".join(site.blocks)
