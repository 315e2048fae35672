"""The object store's own door: who is heard there, in which words, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from syncline.model.errors import InvalidRequest, LimitExceeded, QuotaExceeded, Unavailable
from syncline.protocol.store_events import arrivals
from syncline.server.gateway.store_events import EVENTS_MAX_BYTES, PREFIX, StoreEvents

TOKEN = "a-token-of-some-length"
Asked = Callable[..., Awaitable[int]]


def record(name: str, key: str, bucket: str = "files") -> dict[str, Any]:
    return {"eventName": name, "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 5, "eTag": "e"}}}


def minio(*records: dict[str, Any]) -> bytes:
    return json.dumps({"EventName": "s3:ObjectCreated:Put", "Key": "files/x", "Records": list(records)}).encode()


@pytest.mark.parametrize(
    ("message", "keys"),
    [
        ({"Records": [record("ObjectCreated:Put", "a"), record("s3:ObjectCreated:CompleteMultipartUpload", "b")]}, ["a", "b"]),
        ({"Records": [record("ObjectCreated:Put", "a%2Fb+c"), record("ObjectCreated:Put", "a%2Fb+c")]}, ["a/b c"]),
        ({"Records": [record("ObjectCreated:Put", "a", "others"), record("ObjectRemoved:Delete", "a")]}, []),
        ({"Records": None}, []),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "files"}, []),
        ({"detail-type": "Object Created", "detail": {"bucket": {"name": "files"}, "object": {"key": "a", "size": 5}}}, ["a"]),
        ({"detail-type": "Object Deleted", "detail": {"bucket": {"name": "files"}, "object": {"key": "a"}}}, []),
        ({"event_type": "create", "key": "/buckets/files/a", "message": {}}, ["a"]),
        ({"event_type": "create", "key": "/buckets/files/.uploads/1/0001.part", "message": {}}, [".uploads/1/0001.part"]),
        ({"event_type": "delete", "key": "/buckets/files/a", "message": {}}, []),
        ({"event_type": "create", "key": "/buckets", "message": {}}, []),
        ({"event_type": "create", "key": "/topics/files/a", "message": {}}, []),
    ],
)
def test_each_store_is_understood(message: dict[str, Any], keys: list[str]) -> None:
    assert arrivals(json.dumps(message).encode(), ["files"]) == keys


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"{}",
        b'{"Records": [1]}',
        b'{"Records": {"a": 1}}',
        b'{"event_type": 1, "key": 2}',
        b'{"detail-type": "Object Created", "detail": {"bucket": {"name": "files"}, "object": {"key": {}}}}',
        b'{"Records": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        arrivals(body, ["files"])


def test_a_message_has_a_limit() -> None:
    with pytest.raises(LimitExceeded):
        arrivals(minio(*[record("ObjectCreated:Put", "a")] * 1001), ["files"])


class Listening:
    """Two rooms of the server that are told: the first knows `pack`, the second `upload`, and fails as it is told to."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.failure: Exception | None = None
        self.door = StoreEvents(TOKEN, ["files"], (self.packs, self.uploads))

    async def packs(self, key: str) -> bool:
        self.told.append(f"packs {key}")
        return key == "pack"

    async def uploads(self, key: str) -> bool:
        self.told.append(f"uploads {key}")
        if self.failure is not None:
            raise self.failure
        return key == "upload"

    async def ask(self, body: bytes, *, token: str | None = TOKEN, method: str = "POST", path: str = PREFIX) -> int:
        headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        scope = {"type": "http", "path": path, "method": method, "headers": headers, "syncline.request_id": "r"}
        pieces = [body[: len(body) // 2], body[len(body) // 2 :]]
        answers: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            answers.append(message)

        await self.door(scope, receive, send)
        return int(answers[0]["status"])


async def test_each_arrival_is_told_to_whoever_may_know_of_it() -> None:
    listening = Listening()
    keys = [record("ObjectCreated:Put", key) for key in ("pack", "upload", "strange")]
    assert await listening.ask(minio(*keys)) == 204
    assert listening.told == ["packs pack", "packs upload", "uploads upload", "packs strange", "uploads strange"]


@pytest.mark.parametrize("token", [None, "", "another-token-of-some-length", TOKEN + " "])
async def test_nobody_else_is_heard(token: str | None) -> None:
    listening = Listening()
    assert await listening.ask(minio(record("ObjectCreated:Put", "upload")), token=token) == 401
    assert listening.told == []


async def test_other_questions_are_refused() -> None:
    listening = Listening()
    assert await listening.ask(b"", method="GET") == 404
    assert await listening.ask(b"", path=PREFIX + "more") == 404
    assert await listening.ask(b"nonsense") == 400
    assert await listening.ask(b" " * (EVENTS_MAX_BYTES + 1)) == 413
    assert listening.told == []


async def test_what_cannot_be_seen_to_now_is_to_be_said_again_and_what_is_refused_is_not() -> None:
    listening = Listening()
    listening.failure = Unavailable(what="The database")
    assert await listening.ask(minio(record("ObjectCreated:Put", "upload"))) == 503
    listening.failure = QuotaExceeded()
    assert await listening.ask(minio(record("ObjectCreated:Put", "upload"))) == 204
