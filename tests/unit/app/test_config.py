"""A server's configuration: what is wrong is named by its key, before anything is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncline.app.bus import opened as opened_bus
from syncline.app.config import ObjectsConfig, load
from syncline.app.objects import credentials
from syncline.model.errors import InvalidRequest

S3 = '[objects]\nkind = "s3"\nbucket = "files"\nendpoint = "https://s3.example.org"\n'


def config(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "server.toml"
    file.write_text(text)
    return file


def test_objects_lie_on_disk_unless_told_otherwise(tmp_path: Path) -> None:
    assert load(tmp_path, None, None).objects == ObjectsConfig()
    objects = load(
        tmp_path, None, config(tmp_path, S3 + 'public_endpoint = "http://[::1]:9000/"\naddressing = "virtual"\n')
    ).objects
    assert (objects.kind, objects.bucket, objects.public_endpoint) == ("s3", "files", "http://[::1]:9000/")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[objects]\nkind = "s4"', "objects.kind"),
        ('[objects]\nkind = "s3"', "objects.bucket"),
        ('[objects]\nkind = "s3"\nbucket = "Files"', "objects.bucket"),
        ('[objects]\nkind = "s3"\nbucket = "files"', "objects.endpoint"),
        (S3.replace("https://s3.example.org", "s3.example.org"), "objects.endpoint"),
        (S3.replace("example.org", "example.org/files"), "objects.endpoint"),
        (S3 + 'public_endpoint = "ftp://x"', "objects.public_endpoint"),
        (S3 + 'region = ""', "objects.region"),
        (S3 + 'more_buckets = ["Files"]', "objects.more_buckets"),
        (S3 + 'more_buckets = ["more", "files"]', "objects.more_buckets"),
        (S3 + f"more_buckets = {[f'files-{number}' for number in range(21)]}", "objects.more_buckets"),
        (
            S3 + 'more_buckets = ["more"]\n[objects.cdn]\nurl = "https://x.y"\nkey_pair_id = "K"\nprivate_key_file = "k"',
            "objects.cdn",
        ),
        ('[objects]\nmore_buckets = ["files"]', "objects.more_buckets"),
        (S3 + 'storage_class = "standard"', "objects.storage_class"),
        (S3 + 'storage_class = "GLACIER"', "objects.storage_class"),
        (S3 + '[objects.cdn]\nurl = "https://x.example.org/y"\nkey_pair_id = "K"\nprivate_key_file = "k"', "objects.cdn.url"),
        (S3 + '[objects.cdn]\nurl = "https://x.example.org"\nkey_pair_id = ""\nprivate_key_file = "k"', "objects.cdn.key_pair_id"),
        (S3 + '[objects.cdn]\nurl = "https://x.example.org"', "objects.cdn"),
        (S3 + 'adressing = "path"', "adressing"),
        (S3 + "bucket_name = 5", "bucket_name"),
        ('[objects]\nbucket = "files"', "objects.bucket"),
        ("objects = 5", "objects"),
        ('[bus]\nkind = "rabbit"', "bus.kind"),
        ('[bus]\nkind = "nats"', "bus.servers"),
        ('[bus]\nservers = ["nats://a:1"]', "bus.servers"),
        ('[bus]\nkind = "nats"\nservers = ["a:1"]', "bus.servers"),
        ('[bus]\nkind = "kafka"\nservers = ["a"]', "HOST:PORT"),
        ('[bus]\nkind = "nats"\nservers = ["nats://a:1"]\nreplicas = 2', "bus.replicas"),
        ('[bus]\nkind = "nats"\nservers = ["nats://a:1"]\nname = "a.b"', "bus.name"),
        ('redis = "localhost:6379"', "redis"),
        ("[limits]\nuser_per_minute = 0", "limits.user_per_minute"),
        ("[limits]\naddress_per_minute = 2000000", "limits.address_per_minute"),
        ("[limits]\nper_hour = 5", "per_hour"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(InvalidRequest, match=named.replace(".", r"\.")):
        load(tmp_path, None, config(tmp_path, text))


def test_credentials_come_from_a_file_or_the_environment(tmp_path: Path) -> None:
    objects = load(tmp_path, None, config(tmp_path, S3)).objects
    ours = {"SYNCLINE_S3_ACCESS_KEY": "a", "SYNCLINE_S3_SECRET_KEY": "b"}
    usual = {"AWS_ACCESS_KEY_ID": "c", "AWS_SECRET_ACCESS_KEY": "d", "AWS_SESSION_TOKEN": "e"}
    assert credentials(objects, ours | usual).access_key == "a"
    assert credentials(objects, {"SYNCLINE_S3_ACCESS_KEY": "a"} | usual).session_token == "e"
    for environment in ({}, {"SYNCLINE_S3_ACCESS_KEY": "a"}, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": ""}):
        with pytest.raises(InvalidRequest, match="SYNCLINE_S3_ACCESS_KEY"):
            credentials(objects, environment)
    keys = tmp_path / "keys.toml"
    named = load(tmp_path, None, config(tmp_path, S3 + f'credentials_file = "{keys}"')).objects
    with pytest.raises(InvalidRequest, match=r"objects\.credentials_file"):
        credentials(named, ours)
    for text in ("no toml", 'access_key = "a"', 'access_key = "a"\nsecret_key = 5', 'access_key = "a"\nsecret_key = "b"\nx = "y"'):
        keys.write_text(text)
        with pytest.raises(InvalidRequest, match=r"objects\.credentials_file"):
            credentials(named, ours)
    keys.write_text('access_key = "f"\nsecret_key = "g"')
    found = credentials(named, ours)
    assert (found.access_key, found.secret_key, found.session_token) == ("f", "g", None)


async def test_the_login_of_a_bus_is_read_from_its_file(tmp_path: Path) -> None:
    login = tmp_path / "login.toml"
    text = f'[bus]\nkind = "nats"\nservers = ["nats://a:1"]\ncredentials_file = "{login}"\n'
    bus = load(tmp_path, None, config(tmp_path, text)).bus
    for written in (None, "user = 5", "pass = 'x'", "user ="):
        if written is not None:
            login.write_text(written)
        with pytest.raises(InvalidRequest, match=r"bus\.credentials_file"):
            async with opened_bus(bus):
                pass
    login.write_text("user = 'a'\npassword = 'b'\n")
    async with opened_bus(bus) as opened:
        assert (opened._place.user, opened._place.password) == ("a", "b")  # type: ignore[attr-defined]
