"""Tokens: access tokens are short JWTs under one pinned algorithm (Ed25519), refresh tokens opaque secrets stored hashed.

The key is found by `kid` in our own table alone; nothing in a token's header may bring or name another. `iss`, `aud`, `exp`,
`jti`, `sub` and `device` must all be there. A token is only half the check: the device behind it is looked up live.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections import OrderedDict
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey
from joserfc.jws import JWSRegistry
from msgspec import Struct

from syncline.model.errors import Unauthenticated
from syncline.model.ids import DeviceId, UserId, is_ulid
from syncline.model.limits import ACCESS_TOKEN_TTL_S
from syncline.ports.clock import Chance, Clock, Ids

ALGORITHM: Final = "Ed25519"
AUDIENCE: Final = "syncline"
TOKEN_MAX_BYTES: Final = 2048
_CHECKED_MAX: Final = 4096
_SECRET_BYTES: Final = 32


class Claims(Struct, frozen=True):
    """What a checked access token says; `expires_s` is seconds since 1970."""

    user_id: UserId
    device_id: DeviceId
    expires_s: int


class AccessTokens:
    """Makes and checks access tokens. The last key of the table signs, all of them verify."""

    def __init__(self, keys: KeySet, server_id: str, clock: Clock, ids: Ids) -> None:
        self._table = {str(key.kid): key for key in keys.keys if isinstance(key, OKPKey)}
        self._signing_kid = list(self._table)[-1]
        self._issuer = f"urn:syncline:server:{server_id}"
        self._clock = clock
        self._ids = ids
        self._registry = JWSRegistry(algorithms=[ALGORITHM])
        self._checked: OrderedDict[bytes, Claims] = OrderedDict()

    def issue(self, user_id: UserId, device_id: DeviceId) -> str:
        """An access token, good for `ACCESS_TOKEN_TTL_S`."""
        now = self._now_s()
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": user_id,
            "device": device_id,
            "iat": now,
            "exp": now + ACCESS_TOKEN_TTL_S,
            "jti": self._ids.fresh(),
        }
        header = {"alg": ALGORITHM, "kid": self._signing_kid, "typ": "JWT"}
        return jwt.encode(header, claims, self._table[self._signing_kid], registry=self._registry)

    def check(self, token: str) -> Claims:
        """What `token` says, once it is proven ours and in time. Raises `Unauthenticated`."""
        if len(token) > TOKEN_MAX_BYTES:
            raise Unauthenticated(reason="the token is too long")
        # Verifying costs 150 µs, looking up one that was verified before costs two.
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        claims = self._checked.get(digest)
        if claims is None:
            claims = self._verify(token)
            self._checked[digest] = claims
            if len(self._checked) > _CHECKED_MAX:
                self._checked.popitem(last=False)
        if claims.expires_s <= self._now_s():
            raise Unauthenticated(reason="the access token has expired")
        return claims

    def jwks(self) -> dict[str, Any]:
        """The public keys, as RFC 7517 has them."""
        public = [key.as_dict(private=False) for key in self._table.values()]
        return {"keys": [{**key, "alg": ALGORITHM, "use": "sig"} for key in public]}

    def _verify(self, token: str) -> Claims:
        required = jwt.JWTClaimsRegistry(
            now=self._now_s(),
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": AUDIENCE},
            sub={"essential": True},
            device={"essential": True},
            exp={"essential": True},
            jti={"essential": True},
        )
        try:
            decoded = jwt.decode(token, self._key_of, registry=self._registry)
            required.validate(decoded.claims)
            subject, device = str(decoded.claims["sub"]), str(decoded.claims["device"])
        except (JoseError, ValueError, TypeError, KeyError) as error:
            # Only the kind of failure is told: the rest of the token is the sender's own text.
            raise Unauthenticated(reason="the access token is not valid or has expired") from error
        if not (is_ulid(subject) and is_ulid(device)):
            raise Unauthenticated(reason="the access token names nobody")
        return Claims(UserId(subject), DeviceId(device), int(decoded.claims["exp"]))

    def _key_of(self, token: Any) -> OKPKey:
        key = self._table.get(str(token.headers().get("kid")))
        if key is None:
            raise ValueError("unknown kid")
        return key

    def _now_s(self) -> int:
        return self._clock.now_us() // 1_000_000


def signing_keys(document: dict[str, Any]) -> KeySet:
    """The key table of a private JWK set, as `fresh_signing_key` made it. Raises `ValueError`."""
    keys = KeySet.import_key_set(document)  # type: ignore[arg-type]
    if not keys.keys or not all(isinstance(key, OKPKey) and key.kid for key in keys.keys):
        raise ValueError("the signing key file must hold Ed25519 keys with a kid each")
    return keys


def fresh_signing_key(ids: Ids) -> dict[str, Any]:
    """A private JWK set with one new Ed25519 key."""
    key = OKPKey.generate_key("Ed25519", parameters={"kid": ids.fresh()})
    return {"keys": [key.as_dict(private=True)]}


def fresh_refresh_token(device_id: DeviceId, chance: Chance) -> str:
    """`DEVICE.SECRET`: the device finds the row, the secret proves it."""
    return f"{device_id}.{urlsafe_b64encode(chance.token(_SECRET_BYTES)).decode().rstrip('=')}"


def refresh_device(token: str) -> DeviceId:
    """The device a refresh token claims. Raises `Unauthenticated`."""
    device, dot, secret = token.partition(".")
    if not dot or not secret or not is_ulid(device) or len(token) > 256:
        raise Unauthenticated(reason="the refresh token is not valid")
    return DeviceId(device)


def refresh_hash(token: str) -> str:
    """What is stored of a refresh token. It holds 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def same_hash(left: str, right: str) -> bool:
    return hmac.compare_digest(left, right)
