"""A server that keeps its objects on S3: the doors as on disk, the bytes straight between clients and the store."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from syncline.adapters.objects.s3.store import S3Objects
from tests.e2e.world import EMAIL, PASSWORD, READY, SYNCLINE, environment, eventually, run
from tests.edge import KEY_PAIR, running_edge
from tests.seaweed import ACCESS_KEY, SECRET_KEY, Seaweed, binary, bucket_of, free_ports, running_seaweed

pytestmark = pytest.mark.real


class Site:
    """A server on S3 with one account, and a signed-in home."""

    def __init__(self, root: Path, seaweed: Seaweed, *, listen: str = "127.0.0.1:0", more: str = "") -> None:
        self.data, self.home, self.config = root / "data", root / "home", root / "server.toml"
        keys = root / "keys.toml"
        keys.write_text(f'access_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"\n')
        self.config.write_text(
            f'[objects]\nkind = "s3"\nbucket = "end-to-end"\nendpoint = "{seaweed.endpoint}"\ncredentials_file = "{keys}"\n{more}'
        )
        self.log = root / "server.log"
        command = [*SYNCLINE, "serve", "--data", str(self.data), "--listen", listen, "--config", str(self.config)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment(None))
        self.url = ""
        eventually(self._listens, 30, "the server listens")
        run(["admin", "user", "add", EMAIL, "--password-stdin", "--data", str(self.data)], input_text=PASSWORD + "\n")
        self.run("login", self.url, "--email", EMAIL, "--password-stdin", input_text=PASSWORD + "\n")

    def _listens(self) -> bool:
        said = self.log.read_text()
        assert self.process.poll() is None, said
        if found := READY.search(said):
            self.url = found[1]
        return bool(self.url)

    def bearer(self) -> dict[str, str]:
        """The headers of a program that signed in."""
        body = json.dumps({"email": EMAIL, "password": PASSWORD, "device_name": "curl"}).encode()
        asked = urllib.request.Request(f"{self.url}/v1/auth/token", body, {"content-type": "application/json"})
        return {"authorization": f"Bearer {_answer(asked)['access_token']}", "content-type": "application/json"}

    def offers(self, bearer: dict[str, str], *files: str) -> list[dict[str, Any]]:
        asked = json.dumps({"file_ids": list(files)}).encode()
        found: list[dict[str, Any]] = _answer(urllib.request.Request(f"{self.url}/v1/files/download", asked, bearer))["files"]
        return found

    def run(self, *arguments: str, input_text: str = "") -> str:
        return run(list(arguments), input_text=input_text, home=self.home)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, seaweed: Seaweed) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("s3"), seaweed)
    yield made
    made.process.terminate()
    assert made.process.wait(20) == 0


def test_what_is_put_comes_back(site: Site, tmp_path: Path) -> None:
    content = os.urandom(9_000_000) + b"text " * 100_000
    (tmp_path / "file").write_bytes(content)
    site.run("put", str(tmp_path / "file"), "/file")
    site.run("get", "/file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content
    assert not (site.data / "objects").exists()
    run(["admin", "check", "--deep", "--data", str(site.data), "--config", str(site.config)])


def test_a_plain_download_is_assembled_from_the_store(site: Site, tmp_path: Path) -> None:
    content = os.urandom(5_000_000)
    (tmp_path / "plain").write_bytes(content)
    site.run("put", str(tmp_path / "plain"), "/plain")
    bearer = site.bearer()
    node = _answer(urllib.request.Request(f"{site.url}/v1/metadata?path=/plain", headers=bearer))["entry"]["node_id"]
    (found,) = site.offers(bearer, node)
    assert found["sha256"] == hashlib.sha256(content).hexdigest()
    with urllib.request.urlopen(found["presignedUrl"], timeout=30) as answer:
        assert answer.read() == content
    ranged = urllib.request.Request(found["presignedUrl"], headers={"range": "bytes=1000000-3000000"})
    with urllib.request.urlopen(ranged, timeout=30) as answer:
        assert answer.status == 206
        assert answer.read() == content[1_000_000:3_000_001]


def test_a_plain_upload_goes_to_the_store_and_is_settled_from_there(site: Site) -> None:
    content = os.urandom(9_000_000)
    bearer = site.bearer()
    asked = json.dumps({"files": [{"filepath": "/sent", "size": len(content)}]}).encode()
    (upload,) = _answer(urllib.request.Request(f"{site.url}/v1/files/upload", asked, bearer))["files"]
    for part in upload["partUrls"]:
        at = (part["partNumber"] - 1) * upload["partSize"]
        sent = urllib.request.Request(part["url"], content[at : at + upload["partSize"]], part["headers"], method="PUT")
        with urllib.request.urlopen(sent, timeout=30) as answer:
            assert answer.status == 200
    done = _answer(urllib.request.Request(upload["completeUrl"], b"", bearer, method="POST"))

    def settled() -> bool:
        (found,) = site.offers(bearer, done["file_id"])
        with urllib.request.urlopen(found["presignedUrl"], timeout=30) as answer:
            assert answer.read() == content
        return "sha256" in found

    eventually(settled, 60, "the upload is settled")
    (found,) = site.offers(bearer, done["file_id"])
    assert found["sha256"] == hashlib.sha256(content).hexdigest()
    run(["admin", "check", "--deep", "--data", str(site.data), "--config", str(site.config)])


def test_the_stores_own_event_makes_a_revision(tmp_path: Path) -> None:
    """Nobody tells the server that the upload is complete but the store."""
    program = binary()
    assert program is not None
    # Not one of the six that the store takes.
    port = free_ports(8)[-1]
    token = tmp_path / "events"
    token.write_text("a token that is known to both".replace(" ", "-") + "\n")
    hook = {
        "WEED_NOTIFICATION_WEBHOOK_ENABLED": "true",
        "WEED_NOTIFICATION_WEBHOOK_ENDPOINT": f"http://127.0.0.1:{port}/store-events/",
        "WEED_NOTIFICATION_WEBHOOK_BEARER_TOKEN": token.read_text().strip(),
    }
    (tmp_path / "seaweed").mkdir()
    with running_seaweed(tmp_path / "seaweed", program, hook) as seaweed:
        site = Site(tmp_path, seaweed, listen=f"127.0.0.1:{port}", more=f'events_token_file = "{token}"\n')
        try:
            content = os.urandom(9_000_000)
            bearer = site.bearer()
            asked = json.dumps({"files": [{"filepath": "/told", "size": len(content)}]}).encode()
            (upload,) = _answer(urllib.request.Request(f"{site.url}/v1/files/upload", asked, bearer))["files"]
            for part in upload["partUrls"]:
                at = (part["partNumber"] - 1) * upload["partSize"]
                sent = urllib.request.Request(part["url"], content[at : at + upload["partSize"]], part["headers"], method="PUT")
                with urllib.request.urlopen(sent, timeout=30):
                    pass
            asyncio.run(_completed_at(seaweed, upload["partUrls"][0]["url"]))
            status = urllib.request.Request(upload["completeUrl"].removesuffix("/complete"), headers=bearer)
            eventually(lambda: _answer(status)["state"] == "done", 30, "the store's word is heard")
            (found,) = site.offers(bearer, upload["file_id"])
            with urllib.request.urlopen(found["presignedUrl"], timeout=30) as answer:
                assert answer.read() == content
        finally:
            site.process.terminate()
            assert site.process.wait(20) == 0


def test_devices_download_through_a_network_that_keeps_what_others_fetched(tmp_path: Path, seaweed: Seaweed) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (tmp_path / "cdn.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with running_edge(key.public_key(), bucket_of(seaweed, "end-to-end")) as edge:
        more = f'[objects.cdn]\nurl = "{edge.url}"\nkey_pair_id = "{KEY_PAIR}"\nprivate_key_file = "{tmp_path / "cdn.pem"}"\n'
        site = Site(tmp_path, seaweed, more=more)
        try:
            content = os.urandom(5_000_000)
            (tmp_path / "file").write_bytes(content)
            site.run("put", str(tmp_path / "file"), "/file")
            site.run("get", "/file", str(tmp_path / "once"))
            assert (tmp_path / "once").read_bytes() == content
            fetched = edge.counts["from the store"]
            assert fetched > 0
            site.home = tmp_path / "another device"
            site.run("login", site.url, "--email", EMAIL, "--password-stdin", input_text=PASSWORD + "\n")
            site.run("get", "/file", str(tmp_path / "twice"))
            assert (tmp_path / "twice").read_bytes() == content
            assert edge.counts["from the store"] == fetched
            assert edge.counts["from the cache"] >= fetched
            assert edge.counts["refused"] == 0
        finally:
            site.process.terminate()
            assert site.process.wait(20) == 0


async def _completed_at(seaweed: Seaweed, part_url: str) -> None:
    """Puts the parts of an upload together, as a server does that ends before it can say so."""
    parts = urlsplit(part_url)
    bucket, key = parts.path.strip("/").split("/")
    upload = parse_qs(parts.query)["uploadId"][0]
    objects = S3Objects(bucket_of(seaweed, bucket))
    await objects.complete_multipart(key, upload, await objects.list_parts(key, upload))
    await objects.close()


def test_what_is_wrong_with_the_store_is_said_at_start(site: Site, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(
        site.config.read_text().replace("[objects]", '[objects]\nregion = "elsewhere"').replace("keys.toml", "no.toml")
    )
    ran = subprocess.run(
        [*SYNCLINE, "serve", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", "--config", str(wrong)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(None),
        check=False,
    )
    assert ran.returncode in (1, 2)
    assert "objects.credentials_file" in ran.stderr
    assert "Traceback" not in ran.stderr


def _answer(request: urllib.request.Request) -> dict[str, Any]:
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found
