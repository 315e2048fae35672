"""Access tokens: what is ours and in time passes, and every known forgery is refused."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey
from joserfc.jws import JWSRegistry
from tests.unit.server_gateway.clock import HandClock

from syncline.adapters.machine import MachineChance
from syncline.model.errors import Unauthenticated
from syncline.model.ids import DeviceId, UserId
from syncline.model.limits import ACCESS_TOKEN_TTL_S
from syncline.ports.clock import Ids
from syncline.server.accounts.tokens import ALGORITHM, AccessTokens, fresh_signing_key, signing_keys

USER, DEVICE = UserId("01HZZZZZZZZZZZZZZZZZZZZZZA"), DeviceId("01HZZZZZZZZZZZZZZZZZZZZZZB")


class World:
    def __init__(self) -> None:
        self.clock = HandClock()
        ids = Ids(self.clock, MachineChance())
        self.keys: KeySet = signing_keys(fresh_signing_key(ids))
        self.tokens = AccessTokens(self.keys, "SERVER", self.clock, ids)
        self.key: Any = self.keys.keys[0]

    def claims(self, **changed: Any) -> dict[str, Any]:
        now = self.clock.now_us() // 1_000_000
        claims = {"iss": "urn:syncline:server:SERVER", "aud": "syncline", "sub": USER, "device": DEVICE, "jti": "1", "iat": now}
        claims |= {"exp": now + 60} | changed
        return {name: value for name, value in claims.items() if value is not None}

    def signed(self, header: dict[str, Any] | None = None, key: Any = None, **changed: Any) -> str:
        head = {"alg": ALGORITHM, "kid": self.key.kid} | (header or {})
        every = JWSRegistry(algorithms=["Ed25519", "HS256", "EdDSA"])
        return jwt.encode(head, self.claims(**changed), key or self.key, registry=every)


@pytest.fixture
def world() -> World:
    return World()


def test_an_issued_token_passes_until_it_expires(world: World) -> None:
    token = world.tokens.issue(USER, DEVICE)
    for _ in range(2):
        claims = world.tokens.check(token)
        assert (claims.user_id, claims.device_id) == (USER, DEVICE)
    world.clock.pass_s(ACCESS_TOKEN_TTL_S - 1)
    world.tokens.check(token)
    world.clock.pass_s(1)
    with pytest.raises(Unauthenticated):
        world.tokens.check(token)


def test_two_tokens_of_one_instant_differ(world: World) -> None:
    assert world.tokens.issue(USER, DEVICE) != world.tokens.issue(USER, DEVICE)


def test_our_own_making_passes(world: World) -> None:
    assert world.tokens.check(world.signed()).device_id == DEVICE


@pytest.mark.parametrize("missing", ["iss", "aud", "sub", "device", "exp", "jti"])
def test_every_claim_must_be_there(world: World, missing: str) -> None:
    with pytest.raises(Unauthenticated):
        world.tokens.check(world.signed(**{missing: None}))


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "urn:syncline:server:OTHER"},
        {"aud": "other"},
        {"exp": 1},
        {"exp": "9999999999"},
        {"sub": "../etc"},
        {"device": 7},
        {"iat": 99999999999},
        {"nbf": 99999999999},
    ],
)
def test_every_claim_must_be_right(world: World, changed: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        world.tokens.check(world.signed(**changed))


def _part(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_no_signature_is_no_token(world: World) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        for signature in ("", "AAAA"):
            forged = f"{_part({'alg': algorithm, 'kid': world.key.kid})}.{_part(world.claims())}.{signature}"
            with pytest.raises(Unauthenticated):
                world.tokens.check(forged)


def test_the_public_key_is_no_secret_to_sign_with(world: World) -> None:
    """CVE-2022-29217's family. Signed by hand, since an honest library refuses to."""
    public = world.tokens.jwks()["keys"][0]
    raw = urlsafe_b64decode(public["x"] + "=")
    text = f"{_part({'alg': 'HS256', 'kid': world.key.kid})}.{_part(world.claims())}"
    for secret in (public["x"].encode(), raw, json.dumps(public).encode(), world.key.as_pem(private=False)):
        mac = urlsafe_b64encode(hmac.digest(secret, text.encode(), "sha256")).decode().rstrip("=")
        with pytest.raises(Unauthenticated):
            world.tokens.check(f"{text}.{mac}")


def test_a_token_cannot_bring_or_name_its_own_key(world: World) -> None:
    own = OKPKey.generate_key("Ed25519", parameters={"kid": "own"})
    for header in (
        {"kid": "own"},
        {"kid": world.key.kid},
        {"kid": "../../dev/null"},
        {"jwk": own.as_dict(private=False)},
        {"jku": "https://evil.example/keys"},
    ):
        with pytest.raises(Unauthenticated):
            world.tokens.check(world.signed(header, own))


def test_a_token_without_kid_or_with_the_old_algorithm_name_is_refused(world: World) -> None:
    head = {"alg": ALGORITHM}
    with pytest.raises(Unauthenticated):
        world.tokens.check(jwt.encode(head, world.claims(), world.key, registry=JWSRegistry(algorithms=[ALGORITHM])))


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é.é.é", "\ud800", "x" * 5000, "e30.e30.e30"])
def test_garbage_is_refused(world: World, token: str) -> None:
    with pytest.raises(Unauthenticated):
        world.tokens.check(token)


def test_every_changed_character_is_noticed(world: World) -> None:
    token = world.tokens.issue(USER, DEVICE)
    for index in range(0, len(token) - 1, 7):
        forged = token[:index] + ("A" if token[index] != "A" else "B") + token[index + 1 :]
        with pytest.raises(Unauthenticated):
            world.tokens.check(forged)


def test_jwks_show_no_private_part(world: World) -> None:
    (key,) = world.tokens.jwks()["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "alg", "use"}


def test_a_new_key_signs_and_the_old_one_still_verifies(world: World) -> None:
    ids = Ids(world.clock, MachineChance())
    old = world.tokens.issue(USER, DEVICE)
    more = signing_keys({"keys": [world.key.as_dict(private=True), *fresh_signing_key(ids)["keys"]]})
    rotated = AccessTokens(more, "SERVER", world.clock, ids)
    assert rotated.check(old).device_id == DEVICE
    with pytest.raises(Unauthenticated):
        world.tokens.check(rotated.issue(USER, DEVICE))
