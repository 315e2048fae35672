"""Ways into a session, and out of it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tests.server import PASSWORD, RunningServer
from tests.unit.sdk.conftest import ANN

from syncline import AsyncClient, errors
from syncline.app.home import Home
from syncline.app.session import sign_in
from syncline.model.limits import MIB
from syncline.sdk import Tokens

NOBODY = "http://127.0.0.1:9"


async def test_a_wrong_password_is_refused(server: RunningServer) -> None:
    with pytest.raises(errors.WrongPassword):
        await AsyncClient.sign_in(server.url, ANN, "wrong")


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable):
        await AsyncClient.sign_in(NOBODY, ANN, PASSWORD)
    async with AsyncClient(NOBODY, refresh_token="r", on_tokens=lambda _: None) as client:
        for call in (client.me(), client.list("/"), client.read("/a"), client.upload_bytes(b"a", "/a"), client.shared()):
            with pytest.raises(errors.Unavailable) as raised:
                await call
            assert raised.value.retryable


async def test_a_session_goes_on_with_the_token_that_was_kept(server: RunningServer) -> None:
    kept: list[Tokens] = []
    async with await AsyncClient.sign_in(server.url, ANN, PASSWORD, device_name="robot", on_tokens=kept.append) as client:
        first = await client.me()
        assert client.refresh_token == kept[-1].refresh_token
    assert first.device_name == "robot"
    async with AsyncClient(server.url, refresh_token=kept[-1].refresh_token, on_tokens=kept.append) as client:
        assert (await client.me()).device_id == first.device_id
        assert len(kept) == 2
        assert client.refresh_token == kept[-1].refresh_token != kept[0].refresh_token
    async with AsyncClient(server.url, refresh_token="nonsense", on_tokens=kept.append) as client:
        with pytest.raises(errors.Unauthenticated):
            await client.me()


async def test_closing_in_the_middle_of_a_renewal_keeps_its_token(server: RunningServer) -> None:
    kept: list[Tokens] = []
    begun = await AsyncClient.sign_in(server.url, ANN, PASSWORD, on_tokens=kept.append)
    await begun.close()
    client = AsyncClient(server.url, refresh_token=kept[-1].refresh_token, on_tokens=kept.append)
    asking = asyncio.create_task(client.me())
    for _ in range(3):  # It has begun to trade the token.
        await asyncio.sleep(0)
    asking.cancel()
    await client.close()
    assert len(kept) == 2
    async with AsyncClient(server.url, refresh_token=kept[-1].refresh_token, on_tokens=kept.append) as again:
        assert (await again.me()).email == ANN


async def test_the_session_of_the_command_line(server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.NotLoggedIn):
        AsyncClient.from_home(tmp_path / "home")
    home = Home(tmp_path / "home").make()
    home.save_credentials(await sign_in(server.url, ANN, PASSWORD, "laptop"))
    async with AsyncClient.from_home(tmp_path / "home") as client:
        assert (await client.me()).device_name == "laptop"
        await client.upload_bytes(b"a", "/a")
        assert list(home.put_spool.iterdir()) == []
    monkeypatch.setenv("SYNCLINE_HOME", str(tmp_path / "home"))
    async with AsyncClient.from_home() as client:
        assert await client.read("/a") == b"a"


async def test_a_closed_client_says_so(ann: AsyncClient) -> None:
    await ann.upload_bytes(b"a", "/a")
    spool = ann._spooling()
    assert spool.is_dir()
    await ann.close()
    await ann.close()
    assert not spool.exists()
    for call in (ann.me(), ann.list(), ann.read("/a"), ann.history("/a"), ann.changes("x"), ann.shared(), ann.links(), ann.usage()):
        with pytest.raises(errors.Closed):
            await call
    with pytest.raises(errors.Closed):
        await anext(ann.follow())


async def test_closing_ends_whoever_waits(ann: AsyncClient) -> None:
    await ann.upload_bytes(os.urandom(96 * MIB), "/large")
    blocks = ann.stream("/large")
    await anext(blocks)
    waiting = asyncio.create_task(anext(ann.follow()))
    for _ in range(3):
        await ann.stat("/large")
    await ann.close()
    with pytest.raises(errors.Closed):
        await asyncio.wait_for(waiting, 30)
    with pytest.raises(errors.Closed):
        async for _ in blocks:
            pass


async def test_an_unlinked_device_is_refused(server: RunningServer, ann: AsyncClient) -> None:
    async with await AsyncClient.sign_in(server.url, ANN, PASSWORD, device_name="other") as other:
        (device,) = [one for one in await ann.devices() if one.name == "other"]
        await ann.unlink_device(device.id)
        with pytest.raises(errors.Unauthenticated):
            await other.me()
    with pytest.raises(errors.InvalidId):
        await ann.unlink_device("nonsense")
