"""URLs for a content delivery network: the same as botocore's signer makes, for the same time."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from syncline.adapters.machine import MachineClock
from syncline.adapters.objects.s3.cdn import CdnSigner
from syncline.model.errors import InvalidRequest

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OBJECT = "0123456789abcdef0123"


class FixedClock(MachineClock):
    def now_us(self) -> int:
        return 1_369_353_600_000_000


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "query", [{}, {"response-content-disposition": "attachment; filename*=UTF-8''a%20b", "response-content-type": "text/plain"}]
)
def test_a_url_is_the_one_that_botocore_makes(query: dict[str, str]) -> None:
    machine = FixedClock()
    ours = CdnSigner("https://files.example.org/", "K2JCJMDEHXQW5F", pem(KEY), machine).presign_get(OBJECT, ttl_s=900, query=query)
    plain = ours.url.partition("?Expires=")[0].partition("&Expires=")[0]
    ends = datetime.fromtimestamp(machine.now_us() // 1_000_000 + 900, UTC)
    theirs = CloudFrontSigner("K2JCJMDEHXQW5F", lambda policy: KEY.sign(policy, PKCS1v15(), SHA1()))
    assert ours.url == theirs.generate_presigned_url(plain, date_less_than=ends)
    assert ours.headers == {}
    asked = parse_qs(urlsplit(ours.url).query)
    assert {name: asked[name] for name in query} == {name: [value] for name, value in query.items()}


@pytest.mark.parametrize("key", [b"", b"no key", pem(ed25519.Ed25519PrivateKey.generate())])
def test_another_key_is_refused_at_start(key: bytes) -> None:
    with pytest.raises(InvalidRequest, match="private_key_file"):
        CdnSigner("https://files.example.org", "K", key, MachineClock())
