"""JSON calls: encodings, retries, sessions, and errors that keep their types across the wire."""

from __future__ import annotations

import asyncio
import socket
import time

import msgspec
import pytest
from aiohttp import web
from backports import zstd

from syncline.adapters.http import Backoff, Tokens, login
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.model.errors import (
    CommitRefused,
    CursorReset,
    LimitExceeded,
    NotFound,
    SynclineError,
    TooBusy,
    Unauthenticated,
    Unavailable,
    WrongPassword,
)
from syncline.model.ids import DeviceId, Digest, NamespaceId, NodeId, UserId
from syncline.model.limits import BODY_MAX_BYTES, RETRY_ATTEMPTS
from syncline.protocol.blocks import MissingRequest
from syncline.protocol.changes import PollAnswer
from syncline.protocol.commits import Change, CommitRequest, Failure, Op
from syncline.protocol.problems import to_problem
from syncline.protocol.sessions import Me, TokenAnswer

from .conftest import Scripted, answer, cut_off

HOME = NamespaceId("01ARZ3NDEKTSV4RRFFQ69G5FAV")
ME = Me(
    user_id=UserId("u"),
    email="a@b.c",
    name="A",
    device_id=DeviceId("d"),
    device_name="laptop",
    root_namespace=HOME,
    server_id="s",
)
TOKENS = TokenAnswer(access_token="a2", expires_in=900, refresh_token="r2", device_id=DeviceId("d"), user_id=UserId("u"))


def refusal(error: SynclineError, **headers: str) -> object:
    return answer(to_problem(error, "r"), error.status, **headers)


async def test_large_bodies_go_compressed_and_small_ones_plain(scripted: Scripted) -> None:
    scripted.answers["/v1/blocks/missing"] = [answer({"missing": []})]
    remote = scripted.remote()
    hashes = [Digest(f"{number:064x}") for number in range(1000)]
    await remote.missing(HOME, hashes)
    await remote.missing(HOME, hashes[:1])
    (large, large_body), (small, small_body) = scripted.seen
    # aiohttp's server side expands what is marked as compressed.
    assert large.headers["Content-Encoding"] == "zstd"
    plain = large_body if large_body[:1] == b"{" else zstd.decompress(large_body)
    assert msgspec.json.decode(plain, type=MissingRequest).hashes == hashes
    assert "Content-Encoding" not in small.headers
    assert msgspec.json.decode(small_body, type=MissingRequest).hashes == hashes[:1]
    assert small.headers["Authorization"] == "Bearer a1"
    assert remote.traffic.requests == 2
    assert len(small_body) < remote.traffic.sent_bytes < 20_000


async def test_compressed_answers_are_expanded_under_a_cap(scripted: Scripted) -> None:
    bomb = zstd.compress(bytes(BODY_MAX_BYTES + 1))
    good = zstd.compress(msgspec.json.encode(ME))
    packed = {"Content-Encoding": "zstd"}
    scripted.answers["/v1/me"] = [answer(good, **packed), answer(bomb, **packed)]
    remote = scripted.remote()
    assert await remote.me() == ME
    assert scripted.seen[0][0].headers["Accept-Encoding"] == "zstd"
    with pytest.raises(LimitExceeded):
        await remote.me()


@pytest.mark.parametrize("body", [zstd.compress(b"{}" * 99)[:-5], b"not zstd", zstd.compress(b"{}") + b"more"])
async def test_damaged_answers_are_tried_again(scripted: Scripted, body: bytes) -> None:
    scripted.answers["/v1/me"] = [answer(body, **{"Content-Encoding": "zstd"}), answer(ME)]
    assert await scripted.remote().me() == ME


async def test_what_is_safe_is_tried_again_and_only_so_often(scripted: Scripted) -> None:
    scripted.answers["/v1/me"] = [answer(b"oops", 500), cut_off, answer(b"<html>", 502), answer(ME)]
    assert await scripted.remote().me() == ME
    scripted.seen.clear()
    scripted.answers["/v1/me"] = [answer(b"oops", 503)]
    with pytest.raises(Unavailable):
        await scripted.remote().me()
    assert len(scripted.seen) == RETRY_ATTEMPTS


async def test_what_is_not_safe_is_not_tried_again(scripted: Scripted) -> None:
    scripted.answers["/v1/devices/d"] = [answer(b"oops", 503)]
    with pytest.raises(Unavailable):
        await scripted.remote().unlink_device(DeviceId("d"))
    assert len(scripted.seen) == 1


async def test_a_commit_whose_answer_is_lost_is_repeated_under_its_key(scripted: Scripted) -> None:
    done = {"sequence": 3, "chain": "0" * 64, "root": "0" * 64, "changeset": "c", "results": []}
    scripted.answers["/v1/files/commit"] = [cut_off, answer(done)]
    request = CommitRequest(namespace=HOME, changes=[Change(op=Op.DELETE, node_id=NodeId("n"), base_revision=1)])
    assert (await scripted.remote().commit(request, key="k1")).sequence == 3
    assert [seen.headers["Idempotency-Key"] for seen, _ in scripted.seen] == ["k1", "k1"]
    assert scripted.seen[0][1] == scripted.seen[1][1]


async def test_a_refused_connection_fails_fast() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        scripted = Scripted()
        remote = scripted.remote(url=f"http://127.0.0.1:{port}", backoff=Backoff(MachineChance()))
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await remote.me()
        assert time.monotonic() - began < 1
        await scripted.close()


async def test_a_pause_the_server_asks_for_is_kept_unless_it_is_long(scripted: Scripted) -> None:
    busy = TooBusy(retry_after=1)
    scripted.answers["/v1/me"] = [refusal(busy), answer(ME)]  # type: ignore[list-item]
    began = time.monotonic()
    assert await scripted.remote().me() == ME
    assert time.monotonic() - began >= 1
    scripted.answers["/v1/me"] = [answer(b"", 503, **{"Retry-After": "600"})]
    scripted.seen.clear()
    with pytest.raises(Unavailable) as caught:
        await scripted.remote().me()
    assert caught.value.fields["retry_after"] == 600
    assert len(scripted.seen) == 1


async def test_problems_keep_their_type_and_fields(scripted: Scripted) -> None:
    failure = Failure(index=0, code="name.taken", node_id=NodeId("n"))
    refused = CommitRefused(failures=[msgspec.to_builtins(failure)])
    scripted.answers["/v1/files/commit"] = [refusal(refused)]  # type: ignore[list-item]
    scripted.answers["/v1/changes"] = [refusal(CursorReset(reason="history_diverged", epoch="e"))]  # type: ignore[list-item]
    scripted.answers["/v1/metadata"] = [refusal(NotFound(what="/a"))]  # type: ignore[list-item]
    remote = scripted.remote()
    with pytest.raises(CommitRefused) as caught:
        await remote.commit(CommitRequest(namespace=HOME, changes=[]), key="k")
    assert caught.value.fields["failures"][0]["code"] == "name.taken"
    with pytest.raises(CursorReset) as reset:
        await remote.changes(HOME, "c")
    assert reset.value.fields["reason"] == "history_diverged"
    with pytest.raises(NotFound):
        await remote.metadata("/a&b=c")
    assert scripted.seen[-1][0].query == {"path": "/a&b=c"}
    assert len(scripted.seen) == 3


async def test_redirects_are_not_followed(scripted: Scripted) -> None:
    scripted.answers["/v1/me"] = [answer(b"", 302, Location="/elsewhere")]
    with pytest.raises(SynclineError):
        await scripted.remote().me()
    assert len(scripted.seen) == 1


async def test_a_poll_waits_as_long_as_it_asked_for(scripted: Scripted) -> None:
    async def slow(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.2)
        return web.Response(body=b'{"changed":false,"sync":true}')

    scripted.answers["/v1/notifications/ws"] = [answer(b"", 404)]
    scripted.answers["/v1/notifications/poll"] = [slow, slow]
    remote = scripted.remote()
    for _ in range(2):
        assert await remote.poll(["c"], 60) == PollAnswer(changed=False, sync=True)
    # A server without sockets is asked for one once.
    assert [request.path.rpartition("/")[2] for request, _ in scripted.seen] == ["ws", "poll", "poll"]
    assert msgspec.json.decode(scripted.seen[1][1]) == {"cursors": ["c"], "timeout": 60}


# -- sessions ------------------------------------------------------------------------------------------------------------------


def guarded(access: str) -> object:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {access}":
            return web.Response(status=401, body=msgspec.json.encode(to_problem(Unauthenticated(reason="expired"), "r")))
        return web.Response(body=msgspec.json.encode(ME))

    return handler


async def test_one_renewal_serves_every_call_that_needs_it(scripted: Scripted) -> None:
    scripted.answers["/v1/me"] = [guarded("a2")]  # type: ignore[list-item]

    async def renew(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.05)
        return web.Response(body=msgspec.json.encode(TOKENS))

    scripted.answers["/v1/auth/refresh"] = [renew]
    remote = scripted.remote()
    assert await asyncio.gather(*(remote.me() for _ in range(8))) == [ME] * 8
    renewals = [msgspec.json.decode(body) for seen, body in scripted.seen if seen.path == "/v1/auth/refresh"]
    assert renewals == [{"refresh_token": "r1"}]
    assert scripted.kept == [Tokens(refresh_token="r2", access_token="a2")]


async def test_a_session_without_access_token_begins_with_a_renewal(scripted: Scripted) -> None:
    scripted.answers["/v1/me"] = [guarded("a2")]  # type: ignore[list-item]
    scripted.answers["/v1/auth/refresh"] = [answer(TOKENS)]
    assert await scripted.remote(Tokens(refresh_token="r1")).me() == ME
    assert [seen.path for seen, _ in scripted.seen] == ["/v1/auth/refresh", "/v1/me"]


async def test_a_session_that_ended_says_so(scripted: Scripted) -> None:
    scripted.answers["/v1/me"] = [guarded("a2")]  # type: ignore[list-item]
    scripted.answers["/v1/auth/refresh"] = [refusal(Unauthenticated(reason="unlinked"))]  # type: ignore[list-item]
    with pytest.raises(Unauthenticated):
        await scripted.remote().me()
    assert scripted.kept == []


async def test_a_token_refused_right_after_its_renewal_ends_it(scripted: Scripted) -> None:
    scripted.answers["/v1/me"] = [guarded("never")]  # type: ignore[list-item]
    scripted.answers["/v1/auth/refresh"] = [answer(TOKENS)]
    with pytest.raises(Unauthenticated):
        await scripted.remote().me()
    assert len(scripted.seen) == 3


async def test_a_server_down_during_the_renewal_is_no_end_of_the_session(scripted: Scripted) -> None:
    scripted.answers["/v1/me"] = [guarded("a2")]  # type: ignore[list-item]
    scripted.answers["/v1/auth/refresh"] = [answer(b"", 503)]
    remote = scripted.remote()
    with pytest.raises(Unavailable):
        await remote.me()
    scripted.answers["/v1/auth/refresh"] = [answer(TOKENS)]
    assert await remote.me() == ME


async def test_login_gives_tokens_and_person(scripted: Scripted) -> None:
    scripted.answers["/v1/auth/token"] = [answer(TOKENS)]
    scripted.answers["/v1/me"] = [guarded("a2")]  # type: ignore[list-item]
    tokens, me = await login(scripted.url, "a@b.c", "pass", "laptop", MachineClock(), MachineChance())
    assert (tokens, me) == (TOKENS, ME)
    assert msgspec.json.decode(scripted.seen[0][1]) == {"email": "a@b.c", "password": "pass", "device_name": "laptop"}


async def test_a_wrong_password_is_told_at_once(scripted: Scripted) -> None:
    scripted.answers["/v1/auth/token"] = [refusal(WrongPassword())]  # type: ignore[list-item]
    with pytest.raises(WrongPassword):
        await login(scripted.url, "a@b.c", "wrong", "laptop", MachineClock(), MachineChance())
    assert len(scripted.seen) == 1
