"""Roles in the configuration: what works is taken, what cannot work is refused by the key to change, before anything is opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.app.config import ServerConfig, load
from syncline.app.environment import PREFIX, variables
from syncline.app.keys import SECRETS, Keys
from syncline.model.errors import InvalidRequest
from syncline.ports.clock import Ids

S3 = {"OBJECTS_KIND": "s3", "OBJECTS_BUCKET": "files", "OBJECTS_ENDPOINT": "http://s3:8333"}
SHARED = {"DATABASE": "postgresql://db/syncline", "KEYS": "/etc/keys", "CLUSTER_LISTEN": "0.0.0.0:8485", **S3}
PEERS = {f"PEERS_{role}": "a:8485, b:8485" for role in ("METADATA", "BLOCKS", "NOTIFY")}
EDGE = {"CONTENT_URL": "https://files.example.org", "CLUSTER_SECRET_FILE": "/etc/cluster.key", **PEERS}


def loaded(roles: str, data: Path | None = None, **said: str) -> ServerConfig:
    environment = {PREFIX + name: value for name, value in said.items() if value}
    return load(data, None, None, roles=roles.split(",") if roles else (), environment=environment)


def test_one_process_has_all_roles_and_needs_its_data_alone(tmp_path: Path) -> None:
    config = loaded("", tmp_path)
    assert config.roles == ("gateway", "metadata", "blocks", "notify", "worker", "content")
    assert config.needs_data
    assert config.keys is None


@pytest.mark.parametrize(
    "roles", ["metadata", "metadata,notify", "blocks", "notify", "worker", "content", "gateway,metadata,blocks"]
)
def test_each_role_may_have_a_process_of_its_own(roles: str) -> None:
    config = loaded(roles, **SHARED, **EDGE)
    assert config.roles == tuple(roles.split(","))
    assert not config.needs_data


def test_a_gateway_has_nothing_but_its_peers() -> None:
    config = loaded("gateway", **EDGE)
    assert config.peers.metadata == ("a:8485", "b:8485")
    assert (config.data, config.database, config.keys, config.needs_data) == (None, None, None, False)


def test_a_gateway_may_stand_before_one_process_with_the_rest(tmp_path: Path) -> None:
    rest = "metadata,blocks,notify,worker,content"
    config = loaded(rest, tmp_path, CLUSTER_LISTEN="127.0.0.1:8485", CLUSTER_SECRET_FILE="/etc/cluster.key")
    assert config.needs_data


@pytest.mark.parametrize(
    ("roles", "said", "named"),
    [
        ("frontend", {}, "roles"),
        ("metadata", SHARED | {"DATABASE": ""}, "database must name a PostgreSQL"),
        ("metadata", SHARED | {"KEYS": ""}, "keys must name"),
        ("metadata", SHARED | {"CLUSTER_LISTEN": ""}, "cluster.listen must say where gateways reach the role metadata"),
        ("metadata", SHARED | {"CLUSTER_LISTEN": "8485"}, "cluster.listen: '8485' is not HOST:PORT"),
        ("blocks", SHARED | dict.fromkeys(S3, ""), 'objects.kind must be "s3"'),
        ("content", SHARED | dict.fromkeys(S3, ""), 'objects.kind must be "s3"'),
        ("worker", {**SHARED, "CLUSTER_TLS_KEY": "/key.pem"}, "cluster.tls_certificate, cluster.tls_key and cluster.tls_authority"),
        ("gateway", EDGE | {"PEERS_BLOCKS": ""}, "peers.blocks must list"),
        ("gateway", EDGE | {"PEERS_BLOCKS": "a:8485,b"}, "peers.blocks: 'b' is not HOST:PORT"),
        ("gateway", EDGE | {"CONTENT_URL": ""}, "content_url must say"),
        ("gateway", EDGE | {"CONTENT_URL": "files.example.org"}, "content_url must be http"),
        ("gateway", EDGE | {"CLUSTER_SECRET_FILE": ""}, "cluster.secret_file must name"),
        ("gateway,metadata", EDGE, "database must name"),
        ("", {}, "data must name"),
        ("", SHARED | {"KEYS": ""}, "data must name"),
        ("gateway", EDGE | {"TRUSTED_PROXIES": "10.0.0.0/8,proxy"}, "trusted_proxies: 'proxy'"),
        ("gateway", EDGE | {"NOTICE_S": "-1"}, "notice_s"),
    ],
)
def test_what_cannot_work_is_refused_by_its_key(roles: str, said: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        loaded(roles, **said)
    assert named in str(refused.value)


def test_the_environment_is_stronger_than_the_file_and_arguments_than_both(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('listen = "a:1"\nlog_level = "warning"\ndrain_s = 3\nroles = ["gateway"]\n[retention]\ntrash_days = 7\n')
    environment = {
        "SYNCLINE_SERVER_LISTEN": "b:2",
        "SYNCLINE_SERVER_DRAIN_S": "4.5",
        "SYNCLINE_SERVER_RETENTION_VERSIONS_DAYS": "9",
        "SYNCLINE_HOME": "/elsewhere",
    }
    config = load(
        tmp_path, "c:3", file, roles=["gateway", "metadata", "blocks", "notify", "worker", "content"], environment=environment
    )
    assert (config.listen, config.log_level, config.drain_s) == ("c:3", "warning", 4.5)
    assert (config.retention.trash_days, config.retention.versions_days) == (7, 9)
    assert len(config.roles) == 6


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SYNCLINE_SERVER_LISTNE", "a:1", "SYNCLINE_SERVER_LISTNE names no key"),
        ("SYNCLINE_SERVER_OBJECTS", "disk", "SYNCLINE_SERVER_OBJECTS names no key"),
        ("SYNCLINE_SERVER_DRAIN_S", "soon", r"SYNCLINE_SERVER_DRAIN_S \(drain_s\)"),
        ("SYNCLINE_SERVER_OBJECTS_KIND", "tape", r"objects\.kind"),
    ],
)
def test_a_variable_that_is_wrong_is_named(tmp_path: Path, name: str, value: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        load(tmp_path, None, None, environment={name: value})


def test_a_key_that_may_be_left_out_has_a_variable_of_its_kind(tmp_path: Path) -> None:
    environment = {
        "SYNCLINE_SERVER_LIMITS_USER_PER_MINUTE": "6000",
        "SYNCLINE_SERVER_TELEMETRY_SAMPLE": "0.5",
        "SYNCLINE_SERVER_OBJECTS_KIND": "s3",
        "SYNCLINE_SERVER_OBJECTS_BUCKET": "syncline",
        "SYNCLINE_SERVER_OBJECTS_ENDPOINT": "https://s3.example.org",
        "SYNCLINE_SERVER_OBJECTS_CDN_URL": "https://cdn.example.org",
        "SYNCLINE_SERVER_OBJECTS_CDN_KEY_PAIR_ID": "K1",
        "SYNCLINE_SERVER_OBJECTS_CDN_PRIVATE_KEY_FILE": "/etc/cdn.pem",
        "SYNCLINE_SERVER_BUS_KIND": "nats",
        "SYNCLINE_SERVER_BUS_SERVERS": "nats://a:4222, nats://b:4222",
        "SYNCLINE_SERVER_KEYS": str(tmp_path),
    }
    config = load(tmp_path, None, None, environment=environment)
    assert (config.limits.user_per_minute, config.telemetry.sample) == (6000, 0.5)
    assert config.objects.cdn is not None
    assert config.objects.cdn.key_pair_id == "K1"
    assert (config.bus.servers, config.keys) == (["nats://a:4222", "nats://b:4222"], tmp_path)
    with pytest.raises(InvalidRequest, match=r"SYNCLINE_SERVER_LIMITS_USER_PER_MINUTE \(limits\.user_per_minute\)"):
        load(tmp_path, None, None, environment={"SYNCLINE_SERVER_LIMITS_USER_PER_MINUTE": "many"})


def test_every_variable_is_one_keys() -> None:
    names = [one.name for one in variables(ServerConfig)]
    assert len(names) == len(set(names))
    assert {"SYNCLINE_SERVER_DATA", "SYNCLINE_SERVER_PEERS_METADATA", "SYNCLINE_SERVER_OBJECTS_BUCKET"} <= set(names)


def test_a_folder_of_keys_is_made_once_and_then_only_read(tmp_path: Path) -> None:
    chance = MachineChance()
    ids = Ids(MachineClock(), chance)
    folder = tmp_path / "keys"
    Keys(folder, chance, ids, makes=True).make()
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert before.keys() == {"pack-keys.json", "tokens.json", *(f"{name}.key" for name in SECRETS)}
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    Keys(folder, chance, ids, makes=True).make()
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    mounted = Keys(folder, chance, ids, makes=False)
    assert mounted.secret("cluster") == before["cluster.key"]
    assert mounted.signing_keys()["keys"]
    (folder / "cursors.key").unlink()
    with pytest.raises(InvalidRequest, match=r"keys: .* holds no cursors\.key"):
        mounted.secret("cursors")
    assert not (folder / "cursors.key").exists()


def test_a_whole_server_loads_no_grpc() -> None:
    code = "import sys, syncline.app.server; assert 'grpc' not in sys.modules, 'grpc is loaded'"
    subprocess.run([sys.executable, "-c", code], check=True)
