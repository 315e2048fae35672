"""An edge of a content delivery network, for tests: it checks CloudFront's signatures by the public key, asks the store once for an
object and keeps it, and counts."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1

from syncline.adapters.objects.s3.caller import Bucket

KEY_PAIR = "K2JCJMDEHXQW5F"
_OWN = ("Expires", "Signature", "Key-Pair-Id")


class Edge(ThreadingHTTPServer):
    """`origin` is the bucket behind it, which it reads with keys of its own."""

    daemon_threads = True

    def __init__(self, key: RSAPublicKey, origin: Bucket) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = key
        self.origin = origin
        self.kept: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.counts: Counter[str] = Counter()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def may(self, target: str) -> bool:
        url, _, _ = f"{self.url}{target}".partition("Expires=")
        fields = parse_qs(urlsplit(target).query)
        policy = {
            "Statement": [{"Resource": url[:-1], "Condition": {"DateLessThan": {"AWS:EpochTime": int(fields["Expires"][0])}}}]
        }
        signature = b64decode(fields["Signature"][0].translate(str.maketrans("-_~", "+=/")))
        try:
            self.key.verify(signature, json.dumps(policy, separators=(",", ":")).encode(), PKCS1v15(), SHA1())
        except InvalidSignature:
            return False
        return fields["Key-Pair-Id"] == [KEY_PAIR] and int(fields["Expires"][0]) > time.time()

    def fetched(self, target: str) -> tuple[bytes, dict[str, str]]:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items() if name not in _OWN}
        name = f"{parts.path}?{query}"
        if name in self.kept:
            self.counts["from the cache"] += 1
            return self.kept[name]
        self.counts["from the store"] += 1
        signed = self.origin.presigned("GET", parts.path.lstrip("/"), ttl_s=60, query=query)
        with urlopen(Request(signed.url), timeout=30) as answer:
            wanted = ("Content-Type", "Content-Disposition")
            self.kept[name] = answer.read(), {head: answer.headers[head] for head in wanted if answer.headers[head]}
        return self.kept[name]


class _Handler(BaseHTTPRequestHandler):
    server: Edge
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        try:
            allowed = self.server.may(self.path)
        except (KeyError, ValueError):
            allowed = False
        if not allowed:
            self.server.counts["refused"] += 1
            self._say(403, b"", {})
            return
        try:
            body, headers = self.server.fetched(self.path)
        except HTTPError as error:
            self._say(error.code, b"", {})
            return
        asked = self.headers.get("Range", "")
        if not asked.startswith("bytes="):
            self._say(200, body, headers)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(body) - 1), len(body) - 1)
        self._say(206, body[start : end + 1], headers | {"Content-Range": f"bytes {start}-{end}/{len(body)}"})

    def _say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def running_edge(key: RSAPublicKey, origin: Bucket) -> Iterator[Edge]:
    edge = Edge(key, origin)
    thread = threading.Thread(target=edge.serve_forever)
    thread.start()
    try:
        yield edge
    finally:
        edge.shutdown()
        thread.join()
        edge.server_close()
