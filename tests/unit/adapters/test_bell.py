"""Long polls over a socket, against a real server: what they answer is what requests would have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.server import RunningServer, SignedIn, running_server
from tests.unit.server_gateway.nodes import commit, create_folder

from syncline.adapters import bell as bells
from syncline.adapters.http.caller import Tokens
from syncline.adapters.http.remote import HttpRemote
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.model.errors import Closed, CorruptCursor, SynclineError, Unauthenticated, Unavailable
from syncline.model.ids import NamespaceId
from syncline.protocol.changes import PollAnswer
from syncline.server.gateway import sockets

WAIT_S = 10.0


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with running_server(tmp_path) as running:
        yield running


@pytest.fixture
async def ann(server: RunningServer) -> SignedIn:
    return await server.newcomer()


@pytest.fixture
async def remote(ann: SignedIn) -> AsyncIterator[HttpRemote]:
    made = _remote(ann)
    yield made
    await made.close()


def _remote(device: SignedIn) -> HttpRemote:
    tokens = Tokens(refresh_token=device.refresh_token, access_token=device.access_token)
    return HttpRemote(device.server.url, tokens, lambda _: None, MachineClock(), MachineChance())


async def _cursor(remote: HttpRemote, device: SignedIn) -> str:
    return (await remote.latest(NamespaceId(device.root))).cursor


@contextmanager
def opened() -> Iterator[list[str]]:
    """The sockets that a server in this process opens meanwhile."""
    seen: list[str] = []
    real = sockets.SocketDoor._talk

    async def talk(self: sockets.SocketDoor, caller: object, *more: object) -> None:
        seen.append("opened")
        await real(self, caller, *more)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sockets.SocketDoor, "_talk", talk)
        yield seen


async def test_polls_go_over_one_socket(ann: SignedIn, remote: HttpRemote) -> None:
    with opened() as seen:
        cursor = await _cursor(remote, ann)
        for number in range(3):
            polling = asyncio.ensure_future(remote.poll([cursor], 60))
            await asyncio.sleep(0.05)
            _, answer = await commit(ann, create_folder(ann.root, f"folder {number}"))
            heard = await asyncio.wait_for(polling, WAIT_S)
            assert heard.changed
            assert heard.namespaces == {NamespaceId(ann.root): answer["sequence"]}
            # Behind: at once, and without a new socket.
            assert (await asyncio.wait_for(remote.poll([cursor], 60), WAIT_S)).namespaces == heard.namespaces
            cursor = await _cursor(remote, ann)
        assert seen == ["opened"]


async def test_a_quiet_wait_ends_with_the_servers_word(ann: SignedIn, remote: HttpRemote, monkeypatch: pytest.MonkeyPatch) -> None:
    cursor = await _cursor(remote, ann)
    assert await remote.poll([cursor], 1) == PollAnswer(changed=False, sync=False)
    monkeypatch.setattr(bells, "LOOK_EVERY_S", 0.0)
    assert await remote.poll([cursor], 1) == PollAnswer(changed=False, sync=True)


async def test_who_gives_up_and_asks_again_gets_a_fresh_answer(ann: SignedIn, remote: HttpRemote) -> None:
    cursor = await _cursor(remote, ann)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(remote.poll([cursor], 60), 0.1)
    _, answer = await commit(ann, create_folder(ann.root, "folder"))
    assert (await asyncio.wait_for(remote.poll([cursor], 60), WAIT_S)).namespaces == {NamespaceId(ann.root): answer["sequence"]}


async def test_what_the_server_refuses_is_raised(remote: HttpRemote) -> None:
    with pytest.raises(CorruptCursor):
        await remote.poll(["no cursor"], 60)


async def test_two_at_once_are_both_answered(ann: SignedIn, remote: HttpRemote) -> None:
    with opened() as seen:
        cursor = await _cursor(remote, ann)
        waits = [asyncio.ensure_future(remote.poll([cursor], 60)) for _ in range(2)]
        await asyncio.sleep(0.1)
        await commit(ann, create_folder(ann.root, "folder"))
        assert [answer.changed for answer in await asyncio.wait_for(asyncio.gather(*waits), WAIT_S)] == [True, True]
        assert seen == ["opened"]


async def test_an_unlinked_device_is_told_so(server: RunningServer, ann: SignedIn) -> None:
    other = await server.sign_in("ann@example.org")
    remote = _remote(other)
    cursor = await _cursor(remote, other)
    polling = asyncio.ensure_future(remote.poll([cursor], 60))
    await asyncio.sleep(0.1)
    await ann.call("DELETE", f"/v1/devices/{other.device_id}")
    with pytest.raises(SynclineError) as ended:
        await asyncio.wait_for(polling, WAIT_S)
    assert isinstance(ended.value, Unavailable | Unauthenticated)
    with pytest.raises(Unauthenticated):
        await remote.poll([cursor], 60)
    await remote.close()


async def test_closing_ends_the_wait(ann: SignedIn) -> None:
    remote = _remote(ann)
    cursor = await _cursor(remote, ann)
    polling = asyncio.ensure_future(remote.poll([cursor], 60))
    await asyncio.sleep(0.1)
    await remote.close()
    with pytest.raises((Closed, Unavailable)):
        await asyncio.wait_for(polling, WAIT_S)


async def test_a_server_that_goes_says_for_how_long(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        ann = await server.newcomer()
        remote = _remote(ann)
        polling = asyncio.ensure_future(remote.poll([await _cursor(remote, ann)], 60))
        await asyncio.sleep(0.1)
    answer = await asyncio.wait_for(polling, WAIT_S)
    assert answer.sync
    assert answer.delay is not None
    with pytest.raises(Unavailable):
        await remote.poll(["c"], 60)
    await remote.close()
