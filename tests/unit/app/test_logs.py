"""The last line of defence of the log: what looks like a secret stays here, and nothing else does."""

from __future__ import annotations

import json
import logging

import pytest

from syncline.app.logs import HIDDEN, _JsonLines, without_secrets

TOKEN = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIwMUs5WiJ9.c2lnbmF0dXJlLWJ5dGVz"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"told {TOKEN} to go", TOKEN),
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ("/objects/ab12?expires=5&signature=deadbeef", "deadbeef"),
        ("https://s3.example.org/b/k?X-Amz-Signature=deadbeef&X-Amz-Credential=AKIA", "deadbeef"),
        ("https://s3.example.org/b/k?X-Amz-Signature=deadbeef&X-Amz-Credential=AKIA", "AKIA"),
        ("https://cdn.example.org/k?Policy=x1y2z3&Key-Pair-Id=K9", "x1y2z3"),
        ("postgresql://syncline:hunter2@db/syncline", "hunter2"),
    ],
)
def test_secrets_are_hidden(text: str, secret: str) -> None:
    told = without_secrets(None, "info", {"event": "x", "reason": text})["reason"]
    assert secret not in told
    assert HIDDEN in told


def test_all_else_is_told_as_it_is() -> None:
    event = {
        "event": "sweep ended",
        "node": "01K9Z0000000000000000000AB",
        "took_ms": 3.5,
        "place": "a.py:12 run",
        "code": "store.busy",
    }
    assert without_secrets(None, "info", dict(event)) == event


def test_what_libraries_say_is_a_line_of_json_without_a_traceback() -> None:
    try:
        raise ValueError("secret-plan.txt")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("library", logging.ERROR, "x.py", 1, "failed at %s", ("/k?signature=deadbeef",), info)
    told = json.loads(_JsonLines().format(record))
    assert told == {"event": f"failed at /k?{HIDDEN}", "logger": "library", "level": "error", "kind": "ValueError"}
