"""The long poll from outside: who is woken, when, and by what."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tests.server import RunningServer, SignedIn, running_server
from tests.unit.server_gateway.nodes import commit, create_folder

from syncline.app.accounts import with_people

POLL = "/v1/notifications/poll"


async def _cursor(device: SignedIn) -> str:
    return str((await device.get("/v1/changes/latest"))[1]["cursor"])


async def _waiting(device: SignedIn, **body: Any) -> asyncio.Task[tuple[int, Any]]:
    """A poll that has reached the server and waits there."""
    poll = asyncio.ensure_future(device.post(POLL, {"cursors": [await _cursor(device)], "timeout": 60} | body))
    await asyncio.sleep(0.1)
    assert not poll.done()
    return poll


async def test_a_commit_wakes_the_poll(ann: SignedIn, bob: SignedIn) -> None:
    mine, others = await _waiting(ann), await _waiting(bob)
    _, answer = await commit(ann, create_folder(ann.root, "folder"))
    async with asyncio.timeout(2):
        assert await mine == (200, {"changed": True, "namespaces": {ann.root: answer["sequence"]}})
    assert not others.done()
    others.cancel()


async def test_a_poll_behind_the_head_answers_at_once(ann: SignedIn) -> None:
    old = await _cursor(ann)
    await commit(ann, create_folder(ann.root, "folder"))
    async with asyncio.timeout(2):
        assert (await ann.post(POLL, {"cursors": [old]}))[1]["namespaces"] == {ann.root: 1}
        assert (await ann.get(POLL, cursor=old, timeout=60))[1]["changed"] is True


async def test_the_timeout_says_look_anyway(ann: SignedIn) -> None:
    began = time.monotonic()
    status, answer = await ann.get(POLL, cursor=await _cursor(ann), timeout=1)
    assert (status, answer) == (200, {"changed": False, "sync": True})
    assert 0.9 < time.monotonic() - began < 5


async def test_unlinking_ends_the_poll(server: RunningServer, ann: SignedIn) -> None:
    other = await server.sign_in("ann@example.org")
    poll, kept = await _waiting(other), await _waiting(ann)
    await ann.call("DELETE", f"/v1/devices/{other.device_id}")
    async with asyncio.timeout(2):
        status, problem = await poll
    assert (status, problem["code"]) == (401, "auth.invalid")
    assert not kept.done()
    kept.cancel()


async def test_disabling_from_another_process_ends_the_poll(
    server: RunningServer, ann: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncline.server.notify.sweep.EVERY_S", 0.3)
    poll = await _waiting(ann)
    await with_people(server.data, lambda people: people.disable("ann@example.org"))
    async with asyncio.timeout(5):
        assert (await poll)[0] == 401


async def test_a_stopping_server_answers_its_polls_and_goes(tmp_path: Any) -> None:
    async with running_server(tmp_path) as server:
        ann = await server.newcomer()
        poll = await _waiting(ann)
        began = time.monotonic()
    assert time.monotonic() - began < 3
    assert await poll == (200, {"changed": False, "sync": True})


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"cursors": []}, 400, "request.invalid"),
        ({"cursors": ["x"]}, 400, "cursor.invalid"),
        ({"cursors": ["x"] * 1001}, 413, "limit.exceeded"),
        ({"cursors": "x"}, 400, "request.invalid"),
        ({"cursors": ["x"], "timeout": "soon"}, 400, "request.invalid"),
    ],
)
async def test_what_is_no_poll_is_refused(ann: SignedIn, body: dict[str, Any], status: int, code: str) -> None:
    got, problem = await ann.post(POLL, body)
    assert (got, problem["code"]) == (status, code)


async def test_polls_need_cursors_of_ones_own(ann: SignedIn, bob: SignedIn) -> None:
    status, problem = await bob.post(POLL, {"cursors": [await _cursor(ann)]})
    assert (status, problem["code"]) in ((400, "cursor.invalid"), (404, "not_found"))
    assert (await ann.call("GET", POLL))[0] == 400
