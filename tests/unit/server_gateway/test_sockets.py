"""The notification socket from outside: who is let in, what they are told, and when they are sent away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest
from structlog.testing import capture_logs
from tests.server import RunningServer, SignedIn, running_server
from tests.unit.server_access.world import expired_token
from tests.unit.server_gateway.nodes import commit, create_folder, fresh_id

from syncline.app.accounts import with_people
from syncline.model.errors import Unavailable
from syncline.model.limits import MIB
from syncline.protocol.notifications import GOING, INVALID, REPLACED, SOCKET_PATH, TOO_LATE, UNLINKED
from syncline.protocol.sessions import Namespaces
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata
from syncline.server.notify.hub import WAITERS_PER_DEVICE_MAX

WAIT_S = 10.0
BOB = "bob@example.org"


class Socket:
    def __init__(self, ws: aiohttp.ClientWebSocketResponse, device: SignedIn) -> None:
        self.ws = ws
        self.device = device

    async def next(self) -> dict[str, Any]:
        """The next message; it must be one."""
        async with asyncio.timeout(WAIT_S):
            message = await self.ws.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return dict(msgspec.json.decode(message.data))

    async def closed(self) -> int:
        """The code it is closed with, whatever is said before."""
        async with asyncio.timeout(WAIT_S):
            while (await self.ws.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert self.ws.close_code is not None
        return self.ws.close_code

    async def subscribe(self, *cursors: str) -> dict[str, Any]:
        await self.ws.send_json({"type": "subscribe", "cursors": cursors or [await cursor(self.device)]})
        return await self.next()


async def cursor(device: SignedIn, namespace: str | None = None) -> str:
    asked = {} if namespace is None else {"namespace": namespace}
    return str((await device.get("/v1/changes/latest", **asked))[1]["cursor"])


@asynccontextmanager
async def socket(device: SignedIn) -> AsyncIterator[Socket]:
    async with device.server.http.ws_connect(device.server.url + SOCKET_PATH, headers=device.headers) as ws:
        yield Socket(ws, device)


async def test_a_commit_is_told_once_to_those_it_concerns(ann: SignedIn, bob: SignedIn) -> None:
    async with socket(ann) as mine, socket(ann) as also, socket(bob) as others:
        for each in (mine, also, others):
            assert await each.subscribe() == {"type": "subscribed", "changed": False}
        for name in ("one", "two"):
            _, answer = await commit(ann, create_folder(ann.root, name))
            for each in (mine, also):
                assert await each.next() == {"type": "hint", "changed": True, "namespaces": {ann.root: answer["sequence"]}}
        # A message of bob's own shows that nothing of ann's came before it.
        _, answer = await commit(bob, create_folder(bob.root, "mine"))
        assert (await others.next())["namespaces"] == {bob.root: answer["sequence"]}


async def test_who_comes_back_hears_what_moved_meanwhile(ann: SignedIn) -> None:
    old = await cursor(ann)
    _, answer = await commit(ann, create_folder(ann.root, "folder"))
    async with socket(ann) as mine:
        assert await mine.subscribe(old) == {"type": "subscribed", "changed": True, "namespaces": {ann.root: answer["sequence"]}}
        _, answer = await commit(ann, create_folder(ann.root, "another"))
        assert (await mine.next())["namespaces"] == {ann.root: answer["sequence"]}


async def test_many_commits_are_told_together(ann: SignedIn) -> None:
    async with socket(ann) as mine:
        await mine.subscribe()
        heads = [(await commit(ann, create_folder(ann.root, f"f{number}")))[1]["sequence"] for number in range(20)]
        told = []
        while not told or told[-1] != heads[-1]:
            told.append((await mine.next())["namespaces"][ann.root])
        assert told == sorted(set(told))
        assert set(told) <= set(heads)


@pytest.mark.parametrize("authorization", [None, "Bearer ", "Basic YTpi", "Bearer no.token.at.all"])
async def test_without_a_token_there_is_no_socket(server: RunningServer, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with server.http.ws_connect(server.url + SOCKET_PATH, headers=headers):
            pass
    assert refused.value.status == 401
    assert refused.value.headers is not None
    assert refused.value.headers["content-type"] == "application/problem+json"
    assert refused.value.headers["x-request-id"]


async def test_an_expired_token_opens_none(server: RunningServer, ann: SignedIn) -> None:
    headers = {"authorization": f"Bearer {await expired_token(ann)}"}
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with server.http.ws_connect(server.url + SOCKET_PATH, headers=headers):
            pass
    assert refused.value.status == 401


async def test_a_revoked_device_opens_none_and_its_sockets_end(server: RunningServer, ann: SignedIn) -> None:
    other = await server.sign_in("ann@example.org")
    async with socket(ann) as kept, socket(other) as gone:
        await kept.subscribe()
        await gone.subscribe()
        await ann.call("DELETE", f"/v1/devices/{other.device_id}")
        assert await gone.closed() == UNLINKED
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with socket(other):
                pass
        assert refused.value.status == 401
        await commit(ann, create_folder(ann.root, "folder"))
        assert (await kept.next())["changed"]


async def _invited(owner: SignedIn, *emails: str, name: str = "shared") -> str:
    """A folder of the owner's that these people are invited to; its namespace."""
    folder = create_folder(owner.root, name)
    await commit(owner, folder)
    users = [{"email": email, "access": "write"} for email in emails]
    status, answer = await owner.post(f"/v1/files/{folder['node_id']}/share", {"users": users})
    assert status == 200, answer
    return str(answer["namespace"])


async def _shared_with_bob(owner: SignedIn, bob: SignedIn) -> str:
    namespace = await _invited(owner, BOB)
    status, answer = await bob.post(f"/v1/shares/{namespace}/accept", {})
    assert status == 200, answer
    return namespace


async def _change(device: SignedIn, namespace: str, name: str) -> int:
    """A new folder in a namespace; its head then."""
    body = {"namespace": namespace, "changes": [create_folder(namespace, name)]}
    status, answer = await device.post("/v1/files/commit", body, headers={"idempotency-key": fresh_id()})
    assert status == 200, answer
    return int(answer["sequence"])


async def test_a_new_mount_begins_to_be_heard(ann: SignedIn, bob: SignedIn) -> None:
    async with socket(bob) as theirs:
        await theirs.subscribe()
        namespace = await _shared_with_bob(ann, bob)
        hint = await theirs.next()
        while namespace not in hint["namespaces"]:
            hint = await theirs.next()
        head = await _change(ann, namespace, "new")
        assert (await theirs.next())["namespaces"] == {namespace: head}


async def test_what_cannot_be_told_now_is_told_later(ann: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is away at the moment at which new mounts are looked for."""
    monkeypatch.setattr("syncline.server.notify.conversation.RETRY_S", 0.01)
    async with socket(ann) as mine:
        await mine.subscribe()
        namespaces, refused = Metadata.namespaces, list[str]()

        async def away_at_first(metadata: Metadata, caller: Caller) -> Namespaces:
            if not refused:
                refused.append(caller.device_id)
                raise Unavailable(what="The metadata database")
            return await namespaces(metadata, caller)

        monkeypatch.setattr(Metadata, "namespaces", away_at_first)
        _, answer = await commit(ann, create_folder(ann.root, "folder"))
        assert await mine.next() == {"type": "hint", "changed": True, "namespaces": {ann.root: answer["sequence"]}}
        assert refused == [ann.device_id]


async def test_a_lost_folder_is_not_heard_of_again(ann: SignedIn, bob: SignedIn) -> None:
    namespace = await _shared_with_bob(ann, bob)
    async with socket(bob) as theirs:
        await theirs.subscribe(await cursor(bob, namespace), await cursor(bob))
        status, _ = await ann.call("DELETE", f"/v1/files/{namespace}/share?email={BOB}")
        assert status == 200
        hints = [await theirs.next()]
        while not hints[-1].get("sync"):
            hints.append(await theirs.next())
        await _change(ann, namespace, "secret")
        _, answer = await commit(bob, create_folder(bob.root, "mine"))
        hints.append(await theirs.next())
        assert hints[-1]["namespaces"] == {bob.root: answer["sequence"]}
        assert not any(namespace in hint.get("namespaces", {}) for hint in hints)


async def test_what_moved_in_a_lost_folder_is_told_as_one_loss(ann: SignedIn, bob: SignedIn) -> None:
    """The word of the commit comes before anybody noticed the loss."""
    namespace = await _shared_with_bob(ann, bob)
    async with socket(bob) as theirs:
        await theirs.subscribe(await cursor(bob, namespace))
        status, _ = await ann.call("DELETE", f"/v1/files/{namespace}/share?email={BOB}")
        assert status == 200
        await _change(ann, namespace, "secret")
        assert await theirs.next() == {"type": "hint", "changed": False, "sync": True}
        assert (await theirs.subscribe())["type"] == "subscribed"
        _, answer = await commit(bob, create_folder(bob.root, "mine"))
        assert await theirs.next() == {"type": "hint", "changed": True, "namespaces": {bob.root: answer["sequence"]}}


async def test_one_that_was_disabled_elsewhere_is_told_nothing_more(
    server: RunningServer, ann: SignedIn, bob: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No sweep comes by: what stands before each hint must see it."""
    monkeypatch.setattr("syncline.server.notify.sweep.EVERY_S", 3600.0)
    namespace = await _shared_with_bob(ann, bob)
    async with socket(bob) as theirs:
        await theirs.subscribe(await cursor(bob, namespace))
        await with_people(server.data, lambda people: people.disable(BOB))
        await _change(ann, namespace, "secret")
        async with asyncio.timeout(WAIT_S):
            message = await theirs.ws.receive()
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert theirs.ws.close_code == UNLINKED


async def test_one_that_was_disabled_elsewhere_learns_nothing_by_subscribing(
    server: RunningServer, ann: SignedIn, bob: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncline.server.notify.sweep.EVERY_S", 3600.0)
    async with socket(bob) as theirs:
        old = await cursor(bob)
        await commit(bob, create_folder(bob.root, "folder"))
        assert (await theirs.subscribe("x"))["type"] == "problem"
        await with_people(server.data, lambda people: people.disable(BOB))
        await theirs.ws.send_json({"type": "subscribe", "cursors": [old]})
        async with asyncio.timeout(WAIT_S):
            message = await theirs.ws.receive()
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert theirs.ws.close_code == UNLINKED


async def test_who_waits_for_nothing_is_sent_away_too(
    server: RunningServer, ann: SignedIn, bob: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncline.server.notify.sweep.EVERY_S", 0.05)
    async with socket(ann) as kept, socket(bob) as theirs:
        for each in (kept, theirs):
            assert (await each.subscribe("x"))["type"] == "problem"
        await with_people(server.data, lambda people: people.disable(BOB))
        assert await theirs.closed() == UNLINKED
        assert (await kept.subscribe())["type"] == "subscribed"


async def test_a_device_has_only_so_many_sockets(ann: SignedIn) -> None:
    async with socket(ann) as first:
        await first.subscribe()
        later = [
            await ann.server.http.ws_connect(ann.server.url + SOCKET_PATH, headers=ann.headers)
            for _ in range(WAITERS_PER_DEVICE_MAX)
        ]
        assert await first.closed() == REPLACED
        for ws in later:
            await ws.close()


async def test_who_subscribes_to_nothing_is_sent_away(ann: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncline.server.gateway.sockets.SUBSCRIBE_S", 0.05)
    async with socket(ann) as mine:
        assert await mine.closed() == TOO_LATE


@pytest.mark.parametrize(
    "said", ["", "{", '{"type":"hello"}', '{"type":"subscribe"}', '{"type":"subscribe","cursors":5}', "[]", "\x00"]
)
async def test_what_is_no_message_ends_the_socket(ann: SignedIn, said: str) -> None:
    async with socket(ann) as mine:
        await mine.ws.send_str(said)
        assert await mine.closed() == INVALID


async def test_who_pings_and_takes_no_answer_is_heard_no_further(ann: SignedIn) -> None:
    address = urlsplit(ann.server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=4096)
    asked = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13", "sec-websocket-key": "A" * 22 + "=="}
    head = "".join(f"{name}: {value}\r\n" for name, value in ({"host": "x"} | asked | ann.headers).items())
    writer.write(f"GET {SOCKET_PATH} HTTP/1.1\r\n{head}\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    pings, sent, heard = (b"\x89\xfd" + bytes(4) + b"x" * 125) * 500, 0, True
    while heard and sent < 64 * MIB:
        writer.write(pings)
        sent += len(pings)
        heard = not (await asyncio.wait([asyncio.ensure_future(writer.drain())], timeout=2))[1]
    assert not heard
    taken = 0
    async with asyncio.timeout(WAIT_S):
        while taken < sent // 2:
            taken += len(await reader.read(MIB))
    writer.close()


async def test_a_defect_is_logged(ann: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    async def defective(metadata: Metadata, caller: Caller, cursors: Sequence[str]) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Metadata, "positions", defective)
    with capture_logs() as logged:
        async with socket(ann) as mine:
            await mine.ws.send_json({"type": "subscribe", "cursors": ["x"]})
            async with asyncio.timeout(WAIT_S):
                while (await mine.ws.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
    assert [entry["kind"] for entry in logged if entry["log_level"] == "error"] == ["ZeroDivisionError"]


async def test_bytes_are_no_message(ann: SignedIn) -> None:
    async with socket(ann) as mine:
        await mine.ws.send_bytes(b'{"type":"subscribe","cursors":[]}')
        assert await mine.closed() == INVALID


async def test_a_message_too_long_ends_the_socket(ann: SignedIn) -> None:
    async with socket(ann) as mine:
        await mine.ws.send_str("x" * 400_000)
        assert await mine.closed() == 1009


async def test_a_subscription_that_is_refused_says_why_and_the_last_one_stands(ann: SignedIn, bob: SignedIn) -> None:
    async with socket(ann) as mine:
        await mine.subscribe()
        for wrong, code in (([await cursor(bob)], "cursor.invalid"), (["x"], "cursor.invalid"), (["x"] * 1001, "limit.exceeded")):
            answer = await mine.subscribe(*wrong)
            assert answer["type"] == "problem"
            assert answer["problem"]["code"] == code
        _, answer = await commit(ann, create_folder(ann.root, "folder"))
        assert (await mine.next())["namespaces"] == {ann.root: answer["sequence"]}


async def test_other_addresses_and_plain_requests_are_no_sockets(server: RunningServer, ann: SignedIn) -> None:
    for path in ("/v1/notifications/poll", "/", "/v1/notifications/ws/x", "/content/x"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with server.http.ws_connect(server.url + path, headers=ann.headers):
                pass
        assert refused.value.status == 404
    assert (await ann.get(SOCKET_PATH))[0] == 404


async def test_a_server_that_goes_says_when_to_come_back(tmp_path: Any) -> None:
    async with running_server(tmp_path) as server:
        ann = await server.newcomer()
        ws = await server.http.ws_connect(server.url + SOCKET_PATH, headers=ann.headers)
        mine = Socket(ws, ann)
        await mine.subscribe()
        listening = asyncio.ensure_future(mine.next())
        closing = asyncio.ensure_future(_until_closed(listening, mine))
    bye, code = await closing
    assert bye["type"] == "bye"
    assert 0 <= bye["reconnect_after"] <= 2
    assert code == GOING


async def _until_closed(listening: asyncio.Future[dict[str, Any]], mine: Socket) -> tuple[dict[str, Any], int]:
    return await listening, await mine.closed()


async def test_a_socket_outlives_the_time_a_head_may_take(ann: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncline.app.listener.HEAD_MAX_S", 0.2)
    async with socket(ann) as mine:
        await mine.subscribe()
        await asyncio.sleep(0.4)
        await mine.subscribe()
        await commit(ann, create_folder(ann.root, "folder"))
        assert (await mine.next())["changed"]


async def test_who_waits_is_shown_as_connected(server: RunningServer, ann: SignedIn) -> None:
    other = await server.sign_in("ann@example.org")
    async with socket(other) as waiting:
        await waiting.subscribe()

        async def connected() -> list[str]:
            return [device["id"] for device in (await ann.get("/v1/devices"))[1]["devices"] if device["connected"]]

        async with asyncio.timeout(WAIT_S):
            while await connected() != [other.device_id]:
                await asyncio.sleep(0.02)
