"""A plain client of the HTTP API, which knows nothing of packs and blocks."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from typing import Any

from tests.e2e.world import EMAIL, PASSWORD, Server


class Curl:
    """A plain client that knows nothing but HTTP, and says everything again until it is answered."""

    def __init__(self, server: Server) -> None:
        self._server = server
        _, tokens = self.call("POST", "/v1/auth/token", {"email": EMAIL, "password": PASSWORD, "device_name": "curl"})
        self._token = tokens["access_token"]

    def call(self, method: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Raises `OSError` where the server was lost."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url if "://" in url else self._server.url + url, data=data, method=method)
        sent = {"content-type": "application/json"} | (headers or {})
        if hasattr(self, "_token") and "/objects/" not in url:
            sent["authorization"] = f"Bearer {self._token}"
        for name, value in sent.items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
                return answer.status, (json.loads(text) if text else dict(answer.headers))
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def upload(self, path: str, content: bytes, key: str, **more: Any) -> dict[str, Any]:
        file = {"filepath": path, "size": len(content), "checksum": hashlib.sha256(content).hexdigest()} | more
        _, answer = self.call("POST", "/v1/files/upload", {"files": [file]}, {"idempotency-key": key})
        (upload,) = answer["files"]
        if upload.get("error", {}).get("code") == "name.taken":
            _, found = self.call("GET", f"/v1/uploads?fingerprint={file['checksum']}")
            upload = next(one for one in found["uploads"] if one["state"] == "done")
        if upload.get("state") == "opening":
            # Its server was lost before the store heard of it: it ends by itself, and another begins.
            return self.upload(path, content, key + "+")
        _, status = self.call("GET", f"/v1/uploads/{upload['uploadId']}")
        if status["missing"] and status["state"] == "open":
            _, more = self.call("GET", status["nextParts"])
            for part in more["partUrls"]:
                start = (part["partNumber"] - 1) * more["partSize"]
                headers = {"content-type": "application/octet-stream"}
                code, _ = self.call("PUT", part["url"], content[start : start + part["size"]], headers)
                assert code == 200
        code, done = self.call("POST", status["completeUrl"], {})
        assert code == 200, done
        answered: dict[str, Any] = done
        return answered


def raw_files(curl: Curl) -> list[str]:
    """Files that came plainly and have not been taken in yet."""
    _, page = curl.call("GET", "/v1/snapshot?limit=1000")
    return [node["name"] for node in page["entries"] if node.get("content") == "raw"]
