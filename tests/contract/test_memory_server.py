"""The server's rules for blocks and waiting, over stores and objects in memory: a file's whole way in and out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from tests.unit.server_metadata.world import Machine, Member, World, content, digest

from syncline.adapters.kms.keyfile import KeyFileWrapper
from syncline.content.seal import block_key
from syncline.model.blocks import Codec, PackEntry, PackOffer
from syncline.model.entries import Kind
from syncline.model.errors import Forbidden, Unavailable
from syncline.model.limits import GRANT_TTL_S
from syncline.protocol.blocks import (
    DoneRequest,
    GrantAnswer,
    GrantRequest,
    ManifestsRequest,
    MissingRequest,
    RevisionRef,
)
from syncline.protocol.changes import PollRequest
from syncline.protocol.commits import Change, CommitRequest, Op
from syncline.server.blocks.fetch import Fetching
from syncline.server.blocks.grant import Granting
from syncline.server.blocks.receive import Receiving
from syncline.server.metadata.service import CursorCodec, Metadata
from syncline.server.notify.hub import Hub
from syncline.server.notify.poll import Polling
from syncline.server.notify.standings import OneByOne
from syncline.testing.memory_objects import MemoryObjects

A, B = b"the first piece", b"and the second"
PACK = A + B
KEY = bytes(range(32))


@dataclass
class Server:
    machine: Machine
    ada: Member
    metadata: Metadata
    objects: MemoryObjects
    granting: Granting
    receiving: Receiving
    fetching: Fetching
    polling: Polling

    async def grant(self) -> GrantAnswer:
        entries = [PackEntry(digest(A), 0, len(A), len(A), Codec.RAW), PackEntry(digest(B), len(A), len(B), len(B), Codec.RAW)]
        offer = PackOffer(size=len(PACK), sha256=digest(PACK), index=entries, pack_key=KEY)
        return await self.granting.grant(self.ada.caller, GrantRequest(namespace=self.ada.namespace, packs=[offer]))

    async def states(self, answer: GrantAnswer) -> list[str]:
        done = await self.receiving.done(self.ada.caller, DoneRequest(pack_ids=[pack.pack_id for pack in answer.packs]))
        return [pack.state for pack in done.packs]


@pytest.fixture
async def server() -> Server:
    world = World.in_memory()
    machine, stores, hub = world.machine, world.stores, Hub()
    metadata = Metadata(stores.metadata, CursorCodec(bytes(32)), machine, world.ids, hub.publish)
    objects, keys = MemoryObjects(machine), KeyFileWrapper([bytes(32)], machine)
    return Server(
        machine,
        await world.person("ada"),
        metadata,
        objects,
        Granting(metadata, stores.packs, objects, keys, machine, machine),
        Receiving(stores.packs, objects, machine),
        Fetching(metadata, stores.packs, objects, keys),
        Polling(metadata, hub, machine, OneByOne(metadata, stores.accounts.device)),
    )


async def test_a_file_goes_in_and_comes_out(server: Server) -> None:
    caller, here = server.ada.caller, server.ada.namespace
    wanted = [digest(A), digest(B)]
    assert (await server.granting.missing(caller, MissingRequest(namespace=here, hashes=wanted))).missing == wanted
    granted = await server.grant()
    assert await server.states(granted) == ["absent"]
    await server.objects.put(granted.packs[0].put, PACK)
    assert await server.states(granted) == ["done"]
    assert (await server.granting.missing(caller, MissingRequest(namespace=here, hashes=wanted))).missing == []
    file = server.ada.create("f", data=b"", **content([A, B]))
    answer = await server.metadata.commit(caller, CommitRequest(namespace=here, changes=[file]), "k")
    assert answer.results[0].revision == 1
    asked = ManifestsRequest(namespace=here, revisions=[RevisionRef(node_id=file.node_id, revision=1)])
    page = await server.fetching.manifests(caller, asked)
    blocks = page.manifests[0].blocks
    assert [block.key for block in blocks] == [block_key(KEY, name) for name in wanted]
    pieces = [await server.objects.get(page.packs[block.pack].get, block.offset, block.length) for block in blocks]
    assert pieces == [A, B]


async def test_a_hidden_object_is_absent_until_it_shows(server: Server) -> None:
    granted = await server.grant()
    await server.objects.put(granted.packs[0].put, PACK)
    (key,) = server.objects.keys
    server.objects.hide(key)
    assert await server.states(granted) == ["absent"]
    server.objects.show(key)
    server.objects.corrupt(key, 3)
    assert await server.states(granted) == ["absent"]
    server.objects.corrupt(key, 3)
    assert await server.states(granted) == ["done"]


async def test_a_grant_that_was_never_used_is_swept_away(server: Server) -> None:
    granted = await server.grant()
    server.machine.time_us += (GRANT_TTL_S + 7200) * 1_000_000
    with pytest.raises(Forbidden):
        await server.objects.put(granted.packs[0].put, PACK)
    assert await server.receiving.sweep(10) == 1
    assert await server.states(granted) == ["unknown"]
    assert (await server.metadata.usage(server.ada.caller)).used_bytes == 0


async def test_a_put_that_ends_while_its_grant_is_swept_keeps_what_it_brought(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted = await server.grant()
    await server.objects.put(granted.packs[0].put, PACK)
    (key,) = server.objects.keys
    server.machine.time_us += (GRANT_TTL_S + 7200) * 1_000_000
    honest = server.objects.head

    async def just_before_the_end(asked: str) -> None:
        """It was not there yet when the sweep asked, and its device says that it is done before the sweep goes on."""
        monkeypatch.setattr(server.objects, "head", honest)
        assert await server.states(granted) == ["done"]

    monkeypatch.setattr(server.objects, "head", just_before_the_end)
    assert await server.receiving.sweep(10) == 1
    assert await server.states(granted) == ["done"]
    assert await server.objects.head(key) is not None


async def test_an_object_that_cannot_be_removed_keeps_no_other_from_being_swept(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await server.grant(), await server.grant()
    server.machine.time_us += (GRANT_TTL_S + 7200) * 1_000_000
    asked: list[str] = []

    async def fail(key: str) -> None:
        asked.append(key)
        raise Unavailable(what="The object store")

    monkeypatch.setattr(server.objects, "remove", fail)
    assert await server.receiving.sweep(10) == 2
    assert len(asked) == 2
    assert await server.states(first) == await server.states(second) == ["unknown"]


async def test_a_commit_wakes_who_waits(server: Server) -> None:
    caller, here = server.ada.caller, server.ada.namespace
    cursor = (await server.metadata.latest(caller)).cursor
    waiting = asyncio.create_task(server.polling.poll(caller, PollRequest(cursors=[cursor], timeout=60)))
    await asyncio.sleep(0)
    folder = Change(op=Op.CREATE, node_id=server.ada.world.id("d"), parent_id=server.ada.root, name="d", kind=Kind.DIR)
    await server.metadata.commit(caller, CommitRequest(namespace=here, changes=[folder]), "k")
    answer = await asyncio.wait_for(waiting, 1)
    assert (answer.changed, answer.namespaces) == (True, {here: 1})
