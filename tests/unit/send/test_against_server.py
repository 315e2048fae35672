"""Sending and receiving through the real server: doors, disk store, presigned addresses and all."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.server import PASSWORD, RunningServer, running_server
from tests.unit.send.kit import Device

from syncline.adapters.http import HttpRemote, Tokens, login
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.client.receive.fetched import Wanted
from syncline.client.send.jobs import Prepared
from syncline.model.entries import Kind
from syncline.model.errors import Unauthenticated
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import MIB
from syncline.protocol.changes import to_time
from syncline.protocol.commits import Change, CommitRequest, Op

MTIME_US = 1_600_000_000_000_000
random_bytes = random.Random(5).randbytes


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with running_server(tmp_path / "server") as server:
        await server.add_user("ann@example.org")
        yield server


async def linked(server: RunningServer, name: str) -> tuple[HttpRemote, NamespaceId]:
    tokens, me = await login(server.url, "ann@example.org", PASSWORD, name, MachineClock(), MachineChance())
    session = Tokens(refresh_token=tokens.refresh_token, access_token=tokens.access_token)
    return HttpRemote(server.url, session, lambda _: None, MachineClock(), MachineChance()), me.root_namespace


def create(done: Prepared, home: NamespaceId, name: str) -> Change:
    return Change(
        op=Op.CREATE,
        node_id=done.node,
        parent_id=NodeId(home),
        name=name,
        kind=Kind.FILE,
        content_hash=done.content_hash,
        size=done.size,
        mtime=to_time(MTIME_US),
        blocks=done.blocks,
        cut=done.cut,
    )


async def test_files_go_up_and_come_down(server: RunningServer, tmp_path: Path) -> None:
    up, home = await linked(server, "laptop")
    down, _ = await linked(server, "desktop")
    one, two = Device(tmp_path / "one", up), Device(tmp_path / "two", down)  # type: ignore[arg-type]
    contents = {f"f{number}": b"%d" % number * 40 for number in range(300)}
    contents |= {"film": random_bytes(21 * MIB + 7), "empty": b"", "log": b"the same line\n" * 200_000}
    jobs = {name: replace(one.write(name, data), namespace=home) for name, data in contents.items()}
    results = await one.send(*jobs.values())
    changes = []
    wanted: dict[NodeId, tuple[Wanted, bytes]] = {}
    for name, job in jobs.items():
        done = results[job.node]
        assert isinstance(done, Prepared), done
        changes.append(create(done, home, name))
        want = Wanted(
            node=done.node,
            namespace=home,
            revision=1,
            content_hash=done.content_hash,
            size=done.size,
            executable=False,
            mtime_us=MTIME_US,
        )
        wanted[done.node] = (want, contents[name])
    answer = await up.commit(CommitRequest(namespace=home, changes=changes), key="first")
    assert {result.revision for result in answer.results} == {1}
    again = await up.commit(CommitRequest(namespace=home, changes=changes), key="first")
    assert again.sequence == answer.sequence
    got = await two.receive([want for want, _ in wanted.values()])
    for node, fetched in got.items():
        assert two.bytes_of(fetched) == wanted[node][1]
    # Everything is known now: sending it again from another device moves no bytes.
    before = down.traffic.sent_bytes
    film = two.write("film", contents["film"])
    await two.send_one(replace(film, namespace=home))
    assert down.traffic.sent_bytes - before < 20_000
    await up.close()
    await down.close()


async def test_an_unlinked_device_is_told(server: RunningServer) -> None:
    laptop, _ = await linked(server, "laptop")
    desktop, _ = await linked(server, "desktop")
    me = await desktop.me()
    assert {device.name for device in (await laptop.devices()).devices} == {"laptop", "desktop"}
    await laptop.unlink_device(me.device_id)
    with pytest.raises(Unauthenticated):
        await desktop.namespaces()
    await laptop.close()
    await desktop.close()
