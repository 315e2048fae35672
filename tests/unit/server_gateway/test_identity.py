"""Signing in, renewing, unlinking: the doors of `/v1/auth`, `/v1/me` and `/v1/devices` from outside."""

from __future__ import annotations

import asyncio
import json
import stat

import pytest
from argon2 import PasswordHasher
from joserfc import jwt
from joserfc.jwk import KeySet
from tests.server import PASSWORD, RunningServer, SignedIn

from syncline.app.accounts import with_people
from syncline.server.accounts import sessions
from syncline.server.accounts.attempts import ATTEMPTS_AT_ONCE
from syncline.server.accounts.passwords import Passwords

SIGN_IN = "/v1/auth/token"


async def _sign_in(server: RunningServer, email: str, password: str) -> tuple[int, dict[str, object], str]:
    async with server.http.post(server.url + SIGN_IN, json={"email": email, "password": password}) as answer:
        return answer.status, await answer.json(content_type=None), answer.content_type


async def test_signing_in_links_a_device(server: RunningServer) -> None:
    user = await server.add_user("Ann@Example.org ", name="Ann", quota_bytes=1000)
    ann = await server.sign_in(" ANN@example.org", device_name="lap\x00top")
    _, me = await ann.get("/v1/me")
    assert me["email"] == "ann@example.org"
    assert (me["user_id"], me["device_id"], me["root_namespace"]) == (user.id, ann.device_id, user.root_namespace)
    assert (me["name"], me["device_name"], me["quota_bytes"]) == ("Ann", "laptop", 1000)
    _, answer = await ann.get("/v1/devices")
    (device,) = answer["devices"]
    assert (device["id"], device["name"], device["current"]) == (ann.device_id, "laptop", True)
    assert device["last_seen"].endswith("Z")


async def test_a_wrong_password_and_an_unknown_address_look_alike(server: RunningServer) -> None:
    await server.add_user("ann@example.org")
    wrong = await _sign_in(server, "ann@example.org", "guess")
    unknown = await _sign_in(server, "eve@example.org", "guess")
    for answer in (wrong, unknown):
        assert answer[0] == 401
        assert answer[2] == "application/problem+json"
        answer[1].pop("request_id")
    assert wrong == unknown
    assert wrong[1]["code"] == "auth.wrong_password"


async def test_an_unknown_address_costs_the_same_hashing_as_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, stored: str, password: str) -> bool:
        checked.append(stored.rpartition("$")[0].rpartition("$")[0])
        return verify(self, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    passwords = Passwords()
    stored = await passwords.hash("a long password")
    assert not await passwords.verify(stored, "guess")
    assert not await passwords.verify(None, "guess")
    assert len(checked) == 2
    assert checked[0] == checked[1], "the same parameters, so the same work"


async def test_guessing_is_slowed_down_and_says_until_when(server: RunningServer) -> None:
    await server.add_user("ann@example.org")
    answers = [await _sign_in(server, "ann@example.org", "guess") for _ in range(ATTEMPTS_AT_ONCE + 1)]
    assert [status for status, _, _ in answers[:-1]] == [401] * ATTEMPTS_AT_ONCE
    status, problem, _ = answers[-1]
    assert (status, problem["code"]) == (429, "rate.limited")
    assert problem["retryable"] is True
    assert isinstance(problem["retry_after"], int)
    assert (await _sign_in(server, "ann@example.org", PASSWORD))[0] == 429


@pytest.mark.parametrize("email", ["", "ann", "@x", "ann@", "a b@c", "x" * 300 + "@c"])
async def test_what_is_no_address_is_refused(server: RunningServer, email: str) -> None:
    status, problem, _ = await _sign_in(server, email, "guess")
    assert (status, problem["code"]) == (400, "request.invalid")


async def _refresh(server: RunningServer, token: str) -> tuple[int, dict[str, str]]:
    async with server.http.post(server.url + "/v1/auth/refresh", json={"refresh_token": token}) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_refresh_tokens_rotate(server: RunningServer, ann: SignedIn) -> None:
    status, second = await _refresh(server, ann.refresh_token)
    assert status == 200
    assert second["device_id"] == ann.device_id
    assert second["refresh_token"] != ann.refresh_token
    assert (await _refresh(server, second["refresh_token"]))[0] == 200
    status, problem = await _refresh(server, ann.refresh_token)
    assert (status, problem["code"]) == (401, "auth.invalid")
    for token in ("", "x", f"{ann.device_id}.", f"{ann.device_id}.AAAA", "x" * 10_000):
        assert (await _refresh(server, token))[0] == 401


async def test_a_lost_answer_signs_nobody_out(server: RunningServer, ann: SignedIn) -> None:
    lost = (await _refresh(server, ann.refresh_token))[1]
    status, again = await _refresh(server, ann.refresh_token)
    assert status == 200
    assert len({ann.refresh_token, lost["refresh_token"], again["refresh_token"]}) == 3
    assert (await _refresh(server, ann.refresh_token))[0] == 401
    assert (await _refresh(server, again["refresh_token"]))[0] == 200
    assert (await _refresh(server, lost["refresh_token"]))[0] == 401


async def test_a_token_replaced_long_ago_is_refused(server: RunningServer, ann: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    status, second = await _refresh(server, ann.refresh_token)
    assert status == 200
    monkeypatch.setattr(sessions, "REFRESH_GRACE_US", 0)
    assert (await _refresh(server, ann.refresh_token))[0] == 401
    assert (await _refresh(server, second["refresh_token"]))[0] == 200


async def test_of_many_refreshes_at_once_one_wins_and_one_is_given_the_benefit_of_the_doubt(
    server: RunningServer, ann: SignedIn
) -> None:
    answers = await asyncio.gather(*(_refresh(server, ann.refresh_token) for _ in range(5)))
    assert sorted(status for status, _ in answers) == [200, 200, 401, 401, 401]


async def test_nothing_is_said_without_a_token(server: RunningServer) -> None:
    for method, path in (
        ("GET", "/v1/me"),
        ("GET", "/v1/devices"),
        ("DELETE", "/v1/devices/x"),
        ("GET", "/v1/namespaces"),
        ("GET", "/v1/changes"),
        ("GET", "/v1/changes/latest"),
        ("GET", "/v1/snapshot"),
        ("GET", "/v1/notifications/poll?cursor=x"),
        ("POST", "/v1/notifications/poll"),
        ("GET", "/v1/metadata?path=/"),
        ("GET", "/v1/folders/x/children"),
        ("GET", "/v1/files/x/versions"),
        ("POST", "/v1/files/commit"),
        ("POST", "/v1/blocks/missing"),
        ("POST", "/v1/packs"),
        ("POST", "/v1/packs/done"),
        ("POST", "/v1/manifests"),
    ):
        for header in ({}, {"authorization": "Bearer x"}, {"authorization": "Basic eDp5"}, {"authorization": "Bearer "}):
            async with server.http.request(method, server.url + path, headers=header) as answer:
                assert (answer.status, answer.content_type) == (401, "application/problem+json"), (method, path)
                assert answer.headers["www-authenticate"] == "Bearer"
                assert (await answer.json(content_type=None))["code"] == "auth.invalid"


async def test_a_token_signed_by_us_for_another_device_is_refused(server: RunningServer, ann: SignedIn, bob: SignedIn) -> None:
    keys = KeySet.import_key_set(json.loads((server.data / "keys" / "tokens.json").read_text()))
    token = jwt.decode(ann.access_token, keys, algorithms=["Ed25519"])
    for device in (bob.device_id, "01HZZZZZZZZZZZZZZZZZZZZZZB"):
        forged = jwt.encode(token.header, token.claims | {"device": device}, keys.keys[0], algorithms=["Ed25519"])
        ann.access_token = forged
        assert (await ann.get("/v1/me"))[0] == 401


async def test_an_unlinked_device_is_out_at_once(server: RunningServer, ann: SignedIn) -> None:
    other = await server.sign_in("ann@example.org", device_name="phone")
    assert (await other.get("/v1/me"))[0] == 200
    assert (await ann.call("DELETE", f"/v1/devices/{other.device_id}"))[0] == 204
    status, problem = await other.get("/v1/me")
    assert (status, problem["code"]) == (401, "auth.invalid")
    async with server.http.post(server.url + "/v1/auth/refresh", json={"refresh_token": other.refresh_token}) as answer:
        assert answer.status == 401
    assert (await ann.get("/v1/me"))[0] == 200


async def test_others_devices_do_not_exist(ann: SignedIn, bob: SignedIn) -> None:
    for device in (bob.device_id, "nonsense", "01HZZZZZZZZZZZZZZZZZZZZZZB"):
        status, problem = await ann.call("DELETE", f"/v1/devices/{device}")
        assert (status, problem["code"]) == (404, "not_found")
    assert (await bob.get("/v1/me"))[0] == 200


async def test_a_disabled_person_is_out_within_seconds(server: RunningServer, ann: SignedIn) -> None:
    await with_people(server.data, lambda people: people.disable("ann@example.org"))
    async with asyncio.timeout(5):
        while (await ann.get("/v1/me"))[0] == 200:
            await asyncio.sleep(0.1)
    assert (await _sign_in(server, "ann@example.org", PASSWORD))[0] == 401


async def test_jwks_let_others_verify(server: RunningServer, ann: SignedIn) -> None:
    async with server.http.get(server.url + "/.well-known/jwks.json") as answer:
        keys = KeySet.import_key_set(await answer.json())
    assert jwt.decode(ann.access_token, keys, algorithms=["Ed25519"]).claims["device"] == ann.device_id


async def test_secrets_are_nobody_elses_to_read(server: RunningServer) -> None:
    for path in (server.data, server.data / "keys", server.data / "objects"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    files = [path for path in server.data.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"metadata.db", "pack-keys.json", "tokens.json", "urls.key", "cursors.key"}
    assert [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
