"""Downloads through a content delivery network before the store: URLs signed as CloudFront has it, with a canned policy.

The network's edges check the signature and the expiry, and keep objects by their path: a pack is fetched from the store once for
many devices, and each URL still ends after minutes. Others that check the same (a proxy with the public key) will do. Source:
"Creating a signed URL using a canned policy", Amazon CloudFront Developer Guide; the tests hold it to botocore's.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from syncline.model.errors import InvalidRequest
from syncline.ports.clock import Clock
from syncline.protocol.blocks import SignedRequest

_URL_SAFE: Final = bytes.maketrans(b"+=/", b"-_~")


class CdnSigner:
    def __init__(self, origin: str, key_pair_id: str, private_key_pem: bytes, clock: Clock) -> None:
        """`origin` is `https://HOST[:PORT]`; the key is an RSA key in PEM without a password. Raises `InvalidRequest`."""
        try:
            key = load_pem_private_key(private_key_pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InvalidRequest(message=f"objects.cdn.private_key_file holds no private key in PEM: {error}") from error
        if not isinstance(key, RSAPrivateKey):
            raise InvalidRequest(message="objects.cdn.private_key_file must hold an RSA key")
        self._origin = origin.rstrip("/")
        self._key_pair_id = key_pair_id
        self._key = key
        self._clock = clock

    def presign_get(self, key: str, *, ttl_s: int, query: Mapping[str, str]) -> SignedRequest:
        """A GET of an object that holds for `ttl_s` seconds; `query` is bound with it."""
        fields = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
        url = f"{self._origin}/{key}" + (f"?{fields}" if fields else "")
        expires = self._clock.now_us() // 1_000_000 + ttl_s
        # Exactly so, without a space: the network writes the same text to check it.
        policy = f'{{"Statement":[{{"Resource":"{url}","Condition":{{"DateLessThan":{{"AWS:EpochTime":{expires}}}}}}}]}}'
        # SHA-1 is what the network checks by this kind of URL; who could forge it would need the private key's own words twice.
        signed = self._key.sign(policy.encode(), PKCS1v15(), SHA1())
        signature = b64encode(signed).translate(_URL_SAFE).decode()
        mark = "&" if fields else "?"
        return SignedRequest(
            url=f"{url}{mark}Expires={expires}&Signature={signature}&Key-Pair-Id={quote(self._key_pair_id, safe='')}", headers={}
        )
