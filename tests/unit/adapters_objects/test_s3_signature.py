"""Signature Version 4, compared with the usual library's at one and the same second, and the example of its documentation."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.compat import get_current_datetime
from botocore.credentials import Credentials as Theirs
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline.adapters.machine import MachineClock
from syncline.adapters.objects.s3.signature import Credentials, Signer

KEYS = Credentials(access_key="AKIAIOSFODNN7EXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20)


class FixedClock(MachineClock):
    def __init__(self, now_us: int) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        return self._now_us


def signer(token: str | None = None) -> Signer:
    """At the time of the documentation's examples: 24 May 2013, midnight."""
    keys = Credentials(access_key=KEYS.access_key, secret_key=KEYS.secret_key, session_token=token)
    return Signer(keys, "us-east-1", FixedClock(1_369_353_600_000_000))


def test_the_documented_presigned_url() -> None:
    url = signer().presign("GET", "https://examplebucket.s3.amazonaws.com", "/test.txt", query={}, headers={}, ttl_s=86400)
    expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    assert parse_qs(urlsplit(url).query)["X-Amz-Signature"] == [expected]


def test_the_documented_request() -> None:
    _, headers = signer().signed(
        "GET", "https://examplebucket.s3.amazonaws.com", "/test.txt", query={}, headers={"range": "bytes=0-9"}
    )
    expected = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    assert headers["authorization"].endswith(f"Signature={expected}")


@settings(max_examples=60)
@given(
    method=st.sampled_from(["GET", "PUT", "DELETE"]),
    origin=st.sampled_from(["https://s3.example.org", "http://127.0.0.1:8333", "https://b.example.org:444", "https://x.org:443"]),
    path=TEXT.map(lambda text: "/bucket/" + text.replace("/", "").replace(".", "")),
    query=st.dictionaries(st.from_regex(r"[a-z-]{1,10}", fullmatch=True), TEXT, max_size=3),
    headers=st.dictionaries(
        st.sampled_from(["content-length", "x-amz-checksum-sha256", "if-none-match", "range"]),
        st.from_regex(r"[A-Za-z0-9=+/*-]{1,20}", fullmatch=True),
        max_size=4,
    ),
    token=st.sampled_from([None, "a+token/="]),
)
def test_any_request_is_signed_as_the_usual_library_signs_it(
    method: str, origin: str, path: str, query: dict[str, str], headers: dict[str, str], token: str | None
) -> None:
    theirs = Theirs(KEYS.access_key, KEYS.secret_key, token)
    # Theirs reads the machine's clock: ours is told what it read, and again where the second changed meanwhile.
    for _ in range(20):
        second = int(get_current_datetime().timestamp())
        ours = Signer(
            Credentials(access_key=KEYS.access_key, secret_key=KEYS.secret_key, session_token=token),
            "eu-central-1",
            FixedClock(second * 1_000_000),
        )
        url, sent = ours.signed(method, origin, path, query=query, headers=headers)
        presigned = ours.presign(method, origin, path, query=query, headers=headers, ttl_s=900)
        asked = AWSRequest(method, url, headers=headers)
        S3SigV4Auth(theirs, "s3", "eu-central-1").add_auth(asked)
        asked_url = AWSRequest(method, url, headers=headers)
        S3SigV4QueryAuth(theirs, "s3", "eu-central-1", expires=900).add_auth(asked_url)
        if asked.headers["X-Amz-Date"] == sent["x-amz-date"] and f"X-Amz-Date={sent['x-amz-date']}" in asked_url.url:
            break
    assert asked.headers["Authorization"] == sent["authorization"]
    assert parse_qs(urlsplit(asked_url.url).query) == parse_qs(urlsplit(presigned).query)
    assert urlsplit(asked_url.url)[:3] == urlsplit(presigned)[:3]


def test_nothing_printed_shows_a_secret() -> None:
    assert KEYS.secret_key not in repr(KEYS)
    assert KEYS.secret_key not in str(KEYS)
