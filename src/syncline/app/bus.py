"""The bus that a configuration names, opened: of this process, on NATS JetStream, or on Kafka."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from msgspec import Struct

from syncline.adapters.bus.memory import MemoryBus
from syncline.app.config import BusConfig
from syncline.model.errors import InvalidRequest
from syncline.ports.bus import Bus


class Login(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `bus.credentials_file` holds, as TOML. `token` and `credentials`, a file, are for NATS, `mechanism` is for Kafka."""

    user: str | None = None
    password: str | None = None
    token: str | None = None
    credentials: str | None = None
    mechanism: str = "SCRAM-SHA-512"


@asynccontextmanager
async def opened(config: BusConfig) -> AsyncIterator[Bus]:
    """The bus, until the block ends. Nothing is asked of it yet: a server starts without its brokers. Raises `InvalidRequest`
    naming the key of the configuration to correct."""
    bus = _made(config, _login(config))
    try:
        yield bus
    finally:
        await bus.close()


def _made(config: BusConfig, login: Login) -> Bus:
    try:
        if config.kind == "nats":
            return _nats(config, login)
        if config.kind == "kafka":
            return _kafka(config, login)
    except ImportError as error:
        raise InvalidRequest(message=f'bus.kind = "{config.kind}" needs its driver: pip install "syncline[scale]"') from error
    return MemoryBus()


def _nats(config: BusConfig, login: Login) -> Bus:
    from syncline.adapters.bus.nats import NatsBus, NatsPlace

    return NatsBus(
        NatsPlace(
            servers=config.servers,
            user=login.user,
            password=login.password,
            token=login.token,
            credentials=login.credentials,
            ca_file=None if config.ca_file is None else str(config.ca_file),
            stream=config.name,
            replicas=config.replicas,
        )
    )


def _kafka(config: BusConfig, login: Login) -> Bus:
    from syncline.adapters.bus.kafka import KafkaBus, KafkaPlace

    return KafkaBus(
        KafkaPlace(
            servers=config.servers,
            user=login.user,
            password=login.password,
            mechanism=login.mechanism,
            ca_file=None if config.ca_file is None else str(config.ca_file),
            tls=config.tls,
            topic=config.name,
        )
    )


def _login(config: BusConfig) -> Login:
    path = config.credentials_file
    if path is None:
        return Login()
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), Login)
    except OSError as error:
        raise InvalidRequest(message=f"bus.credentials_file: {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise InvalidRequest(message=f"bus.credentials_file: {path}: {error}") from error
