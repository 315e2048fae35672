"""Two gateways, and behind them one process for each role, on PostgreSQL and S3: killed in turn, nothing is lost."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline.testing.services import postgres
from tests.e2e.cluster import Cluster, meet
from tests.e2e.world import EMAIL, PASSWORD, Device
from tests.seaweed import ACCESS_KEY, SECRET_KEY, Seaweed

pytestmark = pytest.mark.real

LAYOUT = {
    "metadata": "metadata,notify",
    "blocks": "blocks,content",
    "worker": "worker",
    "gateway-1": "gateway",
    "gateway-2": "gateway",
}


@pytest.fixture
def cluster(tmp_path: Path, postgres_server: postgres.Postgres, seaweed: Seaweed) -> Iterator[Cluster]:
    credentials = tmp_path / "s3.toml"
    credentials.write_text(f'access_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"\n')
    made = Cluster(
        tmp_path,
        LAYOUT,
        {
            "DATABASE": postgres_server.create("cluster"),
            "OBJECTS_KIND": "s3",
            "OBJECTS_BUCKET": "cluster",
            "OBJECTS_ENDPOINT": seaweed.endpoint,
            "OBJECTS_CREDENTIALS_FILE": str(credentials),
        },
    )
    try:
        yield made
    finally:
        made.close()
        postgres_server.drop("cluster")


def test_devices_meet_through_different_gateways_while_processes_are_killed(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start()
    cluster.add_user()
    one, two = (Device(tmp_path, name, cluster.parts[gateway]) for name, gateway in (("A", "gateway-1"), ("B", "gateway-2")))
    try:
        for device in (one, two):
            device.set_up()
            device.start()
        (one.folder / "notes").mkdir()
        for number in range(20):
            (one.folder / f"notes/{number}").write_bytes(os.urandom(20_000))
        (two.folder / "large").write_bytes(os.urandom(3_000_000))
        assert len(meet((one, two))) == 22

        cluster.parts["metadata"].kill()
        (one.folder / "notes").rename(one.folder / "letters")
        (two.folder / "while the metadata is away").write_text("B")
        cluster.start(["metadata"])
        assert {"letters/19", "while the metadata is away"} <= meet((one, two)).keys()

        cluster.parts["gateway-1"].kill()
        (one.folder / "while its gateway is away").write_text("A")
        (two.folder / "letters/0").write_text("changed elsewhere")
        two.wait()
        cluster.start(["gateway-1"])
        assert len(meet((one, two))) == 24
        assert (one.folder / "letters/0").read_text() == "changed elsewhere"
        _plain_ways(cluster)
        assert cluster.content_bytes_through_gateways() == 0
    finally:
        for device in (one, two):
            if device.running:
                device.kill()
    assert {name: part.end() for name, part in cluster.parts.items()} == dict.fromkeys(LAYOUT, 0)


def _plain_ways(cluster: Cluster) -> None:
    """A plain upload, its download, and a link: the gateway says where, and the bytes go past it."""
    gateway = cluster.parts["gateway-2"].url
    tokens = _call(f"{gateway}/v1/auth/token", {"email": EMAIL, "password": PASSWORD, "device_name": "curl"})
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    content = os.urandom(100_000)
    (upload,) = _call(f"{gateway}/v1/files/upload", {"files": [{"filepath": "/sent", "size": len(content)}]}, bearer)["files"]
    (part,) = upload["partUrls"]
    with urllib.request.urlopen(urllib.request.Request(part["url"], content, part["headers"], method="PUT"), timeout=30):
        done = _call(upload["completeUrl"], {}, bearer)
    (offered,) = _call(f"{gateway}/v1/files/download", {"file_ids": [done["file_id"]]}, bearer)["files"]
    with urllib.request.urlopen(offered["presignedUrl"], timeout=30) as answer:
        assert answer.read() == content
    link = _call(f"{gateway}/v1/links", {"node_id": done["file_id"]}, bearer)
    assert link["url"].startswith(cluster.parts["blocks"].url)
    through_the_gateway = link["url"].replace(cluster.parts["blocks"].url, gateway)
    for url in (link["url"], through_the_gateway):
        with urllib.request.urlopen(f"{url}/download", timeout=30) as answer:
            assert answer.read() == content


def _call(url: str, body: Any, headers: dict[str, str] | None = None) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())
