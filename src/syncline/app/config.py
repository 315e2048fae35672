"""A server's configuration: defaults, then the file, the environment, and what the command line says; read once, then frozen.

The file is TOML with the fields of `ServerConfig` as its keys. An unknown key is an error, not a surprise.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from syncline.app.environment import PREFIX, overlaid
from syncline.app.processes.config import GROUNDED, ROLES, ClusterConfig, PeersConfig, Role, check_roles
from syncline.model.errors import InvalidRequest
from syncline.model.limits import BUCKETS_MAX
from syncline.server.past.retention import Retention

DEFAULT_LISTEN: Final = "127.0.0.1:8484"
LIMIT_MAX: Final = 1_000_000
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CLASS: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_ARCHIVES: Final = ("GLACIER", "DEEP_ARCHIVE")
_BUS_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.\[\]:-]{1,255}/?")


class CdnConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[objects.cdn]`: a content delivery network that clients download from, by URLs signed as CloudFront has it."""

    url: str
    """`https://d111111abcdef8.cloudfront.net`: its root is the bucket's."""
    key_pair_id: str
    private_key_file: Path
    """An RSA key in PEM, whose public half the network knows by `key_pair_id`."""


class ObjectsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[objects]`: where the stored bytes lie. All but `kind` is for S3 and what speaks like it."""

    kind: Literal["disk", "s3"] = "disk"
    bucket: str | None = None
    more_buckets: list[str] = []
    """Further ones that new objects are spread over, at the same place; append to it, never take one off it."""
    endpoint: str | None = None
    """How this server reaches the store: `https://s3.eu-central-1.amazonaws.com`, `http://127.0.0.1:8333`."""
    public_endpoint: str | None = None
    """How clients reach it, where that differs."""
    region: str = "us-east-1"
    addressing: Literal["path", "virtual"] = "path"
    """Whether URLs name the bucket in their path or in their host."""
    storage_class: str | None = None
    """What objects are stored as, such as `STANDARD_IA`; the bucket's own choice without it."""
    credentials_file: Path | None = None
    """A TOML file with `access_key` and `secret_key`; without it the environment is asked."""
    events_token_file: Path | None = None
    """A file with the token by which the store's own events are known at `/store-events/`; without it there is no such door."""
    cdn: CdnConfig | None = None

    @property
    def buckets(self) -> list[str]:
        """All that it names, in the order that keys count them."""
        return [] if self.bucket is None else [self.bucket, *self.more_buckets]


class LimitsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[limits]`: how many requests a minute; more are answered 429. Without a key there is no such limit."""

    user_per_minute: int | None = None
    device_per_minute: int | None = None
    address_per_minute: int | None = None
    """Of one network address, signed in or not. Many people may share one."""


class TelemetryConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[telemetry]`: where traces go. Without an endpoint there are none."""

    endpoint: str | None = None
    """An OpenTelemetry collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`."""
    sample: float = 0.01
    """The share of requests that are followed, from 0 to 1."""


class BusConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[bus]`: what carries the word of commits between processes. One process needs none."""

    kind: Literal["memory", "nats", "kafka"] = "memory"
    servers: list[str] = []
    """`nats://HOST:PORT` or `tls://HOST:PORT` each; for Kafka `HOST:PORT`."""
    name: str = "syncline"
    """Of the stream, and the first word of its subjects; of the topic."""
    replicas: int = 1
    """How many NATS servers keep each hint, where this server makes the stream: 1, 3 or 5."""
    credentials_file: Path | None = None
    """A TOML file with `user` and `password`, or for NATS `token` or `credentials`, the path of a `.creds` file; for Kafka also
    `mechanism`."""
    ca_file: Path | None = None
    """The PEM file of who signed the brokers' certificates, where that is nobody this system trusts already."""
    tls: bool = False
    """For Kafka: talk TLS. NATS says so in its addresses."""


class ServerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `syncline serve` runs with."""

    data: Path | None = None
    """The data directory: keys, and what is kept nowhere else."""
    roles: tuple[Role, ...] = ROLES
    """What this process does: all of it, or a part beside other processes on the same database and object store."""
    keys: Path | None = None
    """The folder of keys that all processes of this server share; without it, the data directory's own."""
    database: str | None = None
    """`postgresql://USER@HOST/NAME`: a database that exists. Without it, SQLite's in the data directory."""
    database_replica: str | None = None
    """`postgresql://USER@HOST/NAME`: a replica that follows the database. It is read where it shows what must be shown, and alone
    while the primary is away."""
    listen: str = DEFAULT_LISTEN
    """`HOST:PORT`; port 0 picks a free one, an IPv6 host stands in brackets."""
    public_url: str | None = None
    """What clients reach this server by, where that differs from the address they name in `Host`."""
    content_url: str | None = None
    """What clients reach the role content by, where that is in another process."""
    trusted_proxies: tuple[str, ...] = ("127.0.0.1",)
    """Addresses and networks of proxies whose word on who asks (`X-Forwarded-For`, `-Proto`) is believed."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    """PEM files; both or none."""
    log_level: str = "info"
    log_format: Literal["auto", "json", "text"] = "auto"
    """`auto`: text on a terminal, JSON otherwise."""
    metrics_listen: str | None = None
    """`HOST:PORT` of a listener of its own for `/metrics`, `/healthz`, `/readyz`; none without it. It asks nobody who they are."""
    objects: ObjectsConfig = ObjectsConfig()
    bus: BusConfig = BusConfig()
    notice_s: float = 0.0
    """How long a process that is to end still serves while it says that it is not ready, for a balancer to see it, in seconds."""
    drain_s: float = 10.0
    """How long requests under way may take to end at shutdown, in seconds."""
    retention: Retention = Retention()
    """`[retention]`: how long deleted files and old versions are kept."""
    telemetry: TelemetryConfig = TelemetryConfig()
    redis: str | None = None
    """`redis://HOST:PORT/0`, or `rediss://…` with TLS: what the processes of one server share, and may lose at any time."""
    limits: LimitsConfig = LimitsConfig()
    cluster: ClusterConfig = ClusterConfig()
    peers: PeersConfig = PeersConfig()

    @property
    def needs_data(self) -> bool:
        """Whether anything of this process lies in the data directory."""
        elsewhere = self.database is not None and self.objects.kind != "disk" and self.keys is not None
        return bool(GROUNDED & set(self.roles)) and not elsewhere

    @property
    def host(self) -> str:
        return split_address(self.listen)[0]

    @property
    def port(self) -> int:
        return split_address(self.listen)[1]


def load(
    data: Path | None,
    listen: str | None,
    file: Path | None,
    *,
    roles: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> ServerConfig:
    """The configuration of a process: the file, then the environment, then the arguments. Raises `InvalidRequest` naming what is
    wrong and where."""
    fields = overlaid(_read(file) if file is not None else {}, ServerConfig, environment or {})
    said = {"data": data and str(data), "listen": listen, "roles": list(roles) or None}
    fields |= {name: value for name, value in said.items() if value is not None}
    try:
        config = msgspec.convert(fields, ServerConfig, dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        raise InvalidRequest(message=f"{file or 'The configuration'}: {error}") from error
    _check(config)
    return config


def database_in(file: Path | None) -> str | None:
    """The PostgreSQL database that the environment names, or a configuration file. Raises `InvalidRequest`."""
    database = os.environ.get(f"{PREFIX}DATABASE") or (None if file is None else _read(file).get("database"))
    if database is not None:
        _check_database(database)
    return database


def data_in(file: Path) -> Path:
    """The data directory that a configuration file names. Raises `InvalidRequest`."""
    data = _read(file).get("data")
    if not isinstance(data, str):
        raise InvalidRequest(message=f"{file} names no data directory; use --data DIR")
    return Path(data)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise InvalidRequest(message=f"{file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(message=f"{file} is not TOML: {error}") from error


def split_address(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`. Raises `InvalidRequest`."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidRequest(message=f"{text!r} is not HOST:PORT")
    return host, int(port)


def _decode_path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _check_database(database: Any, name: str = "database") -> None:
    if not isinstance(database, str) or not database.startswith(("postgresql://", "postgres://")):
        raise InvalidRequest(message=f"{name} must begin with postgresql://")


def _check(config: ServerConfig) -> None:
    split_address(config.listen)
    if config.database is not None:
        _check_database(config.database)
    if config.database_replica is not None:
        _check_database(config.database_replica, "database_replica")
        if config.database is None:
            raise InvalidRequest(message="database_replica follows a `database`, which is not set")
    if config.metrics_listen is not None:
        _check_metrics(config.metrics_listen)
    _check_objects(config.objects)
    _check_telemetry(config.telemetry)
    _check_bus(config.bus)
    if config.redis is not None and not config.redis.startswith(("redis://", "rediss://")):
        raise InvalidRequest(message="redis must begin with redis:// or rediss://")
    _check_limits(config.limits)
    config.retention.check()
    if (config.tls_certificate is None) != (config.tls_key is None):
        raise InvalidRequest(message="tls_certificate and tls_key go together")
    if config.public_url is not None and not config.public_url.startswith(("http://", "https://")):
        raise InvalidRequest(message="public_url must begin with http:// or https://")
    if config.content_url is not None and not _ORIGIN.fullmatch(config.content_url):
        raise InvalidRequest(message="content_url must be http:// or https:// with a host and perhaps a port, without a path")
    for proxy in config.trusted_proxies:
        _check_network(proxy)
    if config.notice_s < 0 or config.drain_s < 0:
        raise InvalidRequest(message="notice_s and drain_s are numbers of seconds, and not negative")
    check_roles(config)
    if config.log_level not in ("debug", "info", "warning", "error"):
        raise InvalidRequest(message="log_level is one of debug, info, warning, error")


def _check_metrics(listen: str) -> None:
    try:
        split_address(listen)
    except InvalidRequest as error:
        raise InvalidRequest(message=f"metrics_listen: {error}") from error


def _check_telemetry(telemetry: TelemetryConfig) -> None:
    if telemetry.endpoint is not None and not _ORIGIN.fullmatch(telemetry.endpoint):
        raise InvalidRequest(
            message="telemetry.endpoint must be http:// or https:// with a host and perhaps a port, without a path"
        )
    if not 0 <= telemetry.sample <= 1:
        raise InvalidRequest(message="telemetry.sample is a share, from 0 to 1")


def _check_more_buckets(objects: ObjectsConfig) -> None:
    if not all(_BUCKET.fullmatch(name) for name in objects.more_buckets):
        raise InvalidRequest(message="objects.more_buckets must name buckets: 3 to 63 lower-case letters, digits, dots and hyphens")
    if len({objects.bucket, *objects.more_buckets}) != 1 + len(objects.more_buckets):
        raise InvalidRequest(message="objects.more_buckets names a bucket twice")
    if len(objects.more_buckets) >= BUCKETS_MAX:
        raise InvalidRequest(message=f"objects.more_buckets may name {BUCKETS_MAX - 1}")
    if objects.more_buckets and objects.cdn is not None:
        raise InvalidRequest(message="objects.cdn stands before one bucket: it and objects.more_buckets do not go together")


def _check_limits(limits: LimitsConfig) -> None:
    for name in limits.__struct_fields__:
        value = getattr(limits, name)
        if value is not None and not 1 <= value <= LIMIT_MAX:
            raise InvalidRequest(message=f"limits.{name} is a number of requests, from 1 to {LIMIT_MAX:,}")


def _check_network(text: str) -> None:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidRequest(message=f"trusted_proxies: {text!r} is neither an address nor a network") from error


def _check_objects(objects: ObjectsConfig) -> None:
    if objects.kind == "disk":
        if objects.more_buckets:
            raise InvalidRequest(message='objects.more_buckets is for objects.kind = "s3", which is not set')
        given = [
            name
            for name in ("bucket", "endpoint", "public_endpoint", "storage_class", "credentials_file", "events_token_file")
            if getattr(objects, name) is not None
        ]
        if given:
            raise InvalidRequest(message=f'objects.{given[0]} is for objects.kind = "s3", which is not set')
        return
    if objects.bucket is None or not _BUCKET.fullmatch(objects.bucket):
        raise InvalidRequest(message="objects.bucket must name a bucket: 3 to 63 lower-case letters, digits, dots and hyphens")
    _check_more_buckets(objects)
    if objects.endpoint is None:
        raise InvalidRequest(message="objects.endpoint must say where the store is, such as https://s3.eu-central-1.amazonaws.com")
    for name in ("endpoint", "public_endpoint"):
        value = getattr(objects, name)
        if value is not None and not _ORIGIN.fullmatch(value):
            raise InvalidRequest(
                message=f"objects.{name} must be http:// or https:// with a host and perhaps a port, without a path"
            )
    if objects.cdn is not None and not _ORIGIN.fullmatch(objects.cdn.url):
        raise InvalidRequest(message="objects.cdn.url must be http:// or https:// with a host and perhaps a port, without a path")
    if objects.cdn is not None and not objects.cdn.key_pair_id:
        raise InvalidRequest(message="objects.cdn.key_pair_id must not be empty")
    if objects.storage_class is not None and not _CLASS.fullmatch(objects.storage_class):
        raise InvalidRequest(message="objects.storage_class is one word in capitals, such as STANDARD_IA")
    if objects.storage_class in _ARCHIVES:
        raise InvalidRequest(message=f"objects.storage_class: what is stored as {objects.storage_class} cannot be read at once")
    if not objects.region:
        raise InvalidRequest(message="objects.region must not be empty")


def _check_bus(bus: BusConfig) -> None:
    if bus.kind == "memory":
        if bus.servers:
            raise InvalidRequest(message='bus.servers is for bus.kind = "nats" or "kafka", which is not set')
        return
    if not bus.servers:
        raise InvalidRequest(message="bus.servers must name at least one broker")
    for server in bus.servers:
        if bus.kind == "nats" and not server.startswith(("nats://", "tls://")):
            raise InvalidRequest(message=f"bus.servers: {server!r} must begin with nats:// or tls://")
        split_address(server.rpartition("/")[2])
    if not _BUS_NAME.fullmatch(bus.name):
        raise InvalidRequest(message="bus.name is 1 to 64 letters, digits, hyphens and underscores")
    if bus.replicas not in (1, 3, 5):
        raise InvalidRequest(message="bus.replicas is 1, 3 or 5")
