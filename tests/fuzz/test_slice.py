"""A slice of `tests.fuzz`; `make fuzz` is the long run. And that the run sees what is wrong."""

from __future__ import annotations

import random
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import schemathesis

from tests.fuzz.__main__ import fuzz, is_good
from tests.fuzz.sending import Sender


@pytest.mark.real
@pytest.mark.slow
def test_no_door_fails_or_answers_otherwise_than_the_document_says(tmp_path: Path) -> None:
    report = fuzz(tmp_path, 1500, seed=101, least=3)
    assert report["requests"] >= 1500
    assert is_good(report), report


class _Wrong(BaseHTTPRequestHandler):
    """`/a` fails, `/b` answers with another body than it documents, `/c` with another type of content."""

    def do_GET(self) -> None:
        body = b'{"n": "text"}' if self.path == "/b" else b'{"n": 1}'
        self.send_response(500 if self.path == "/a" else 200)
        self.send_header("content-type", "text/plain" if self.path == "/c" else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_a_failure_and_answers_of_another_shape_are_findings() -> None:
    answer = {"application/json": {"schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}}
    responses = {"200": {"description": "", "content": answer}, "default": {"description": "", "content": answer}}
    paths = {path: {"get": {"responses": responses}} for path in ("/a", "/b", "/c", "/d")}
    schema = schemathesis.openapi.from_dict({"openapi": "3.1.0", "info": {"title": "", "version": "1"}, "paths": paths})
    with HTTPServer(("127.0.0.1", 0), _Wrong) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        sender = Sender(f"http://127.0.0.1:{server.server_port}", random.Random(1))
        for path in paths:
            sender.send(schema[path]["GET"].Case(), {})
        server.shutdown()
    assert sorted({one.operation for one in sender.findings}) == ["GET /a", "GET /b", "GET /c"]
    assert (sender.tallies["GET /a"].failed, sender.tallies["GET /d"].good) == (1, 1)
