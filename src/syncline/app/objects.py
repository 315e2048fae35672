"""The object store that a configuration names, opened: on this server's disk, or on S3 and what speaks like it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias

from syncline.adapters.http.retry import Backoff
from syncline.adapters.objects.disk import DiskObjects
from syncline.adapters.objects.s3.caller import Bucket, Place
from syncline.adapters.objects.s3.cdn import CdnSigner
from syncline.adapters.objects.s3.probe import probed
from syncline.adapters.objects.s3.signature import Credentials, Signer
from syncline.adapters.objects.s3.spread import SpreadObjects
from syncline.adapters.objects.s3.store import S3Objects
from syncline.adapters.objects.signing import UrlSigner
from syncline.app.config import CdnConfig, ObjectsConfig
from syncline.model.errors import InvalidRequest
from syncline.ports.clock import Chance, Clock

_VARIABLES: Final = (
    ("SYNCLINE_S3_ACCESS_KEY", "SYNCLINE_S3_SECRET_KEY", "SYNCLINE_S3_SESSION_TOKEN"),
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
)
Objects: TypeAlias = DiskObjects | S3Objects | SpreadObjects
_TOKEN_LENGTH_MIN: Final = 20


@asynccontextmanager
async def opened(config: ObjectsConfig, folder: Path, signer: UrlSigner, clock: Clock, chance: Chance) -> AsyncIterator[Objects]:
    """The store, until the block ends. Raises `InvalidRequest` naming the key of the configuration to correct, `Unavailable`."""
    if config.kind == "disk":
        disk = DiskObjects.open(folder, signer, chance)
        try:
            yield disk
        finally:
            disk.close()
        return
    buckets = s3_buckets(config, clock, chance)
    cdn = _cdn(config.cdn, clock)
    try:
        stores = [await probed(bucket, chance, cdn) for bucket in buckets]
        yield stores[0] if len(stores) == 1 else SpreadObjects(stores)
    finally:
        for bucket in buckets:
            await bucket.close()


def s3_buckets(config: ObjectsConfig, clock: Clock, chance: Chance) -> list[Bucket]:
    """The buckets that a checked configuration names; nothing is asked of them yet. Raises `InvalidRequest`."""
    assert config.endpoint is not None
    origin = config.endpoint.rstrip("/")
    signer = Signer(credentials(config, os.environ), config.region, clock)
    return [
        Bucket(
            Place(
                bucket=name,
                origin=origin,
                public_origin=(config.public_endpoint or origin).rstrip("/"),
                virtual=config.addressing == "virtual",
                storage_class=config.storage_class,
            ),
            signer,
            Backoff(chance),
        )
        for name in config.buckets
    ]


def credentials(config: ObjectsConfig, environment: Mapping[str, str]) -> Credentials:
    """From `objects.credentials_file` where that is given, else from the environment. Raises `InvalidRequest`."""
    if config.credentials_file is not None:
        return _from_file(config.credentials_file)
    for access, secret, token in _VARIABLES:
        if environment.get(access) and environment.get(secret):
            return Credentials(
                access_key=environment[access], secret_key=environment[secret], session_token=environment.get(token) or None
            )
    wanted = " or ".join(f"{access} and {secret}" for access, secret, _ in _VARIABLES)
    raise InvalidRequest(message=f'objects.kind = "s3" needs credentials: set objects.credentials_file, or {wanted}')


def _cdn(config: CdnConfig | None, clock: Clock) -> CdnSigner | None:
    if config is None:
        return None
    try:
        key = config.private_key_file.read_bytes()
    except OSError as error:
        raise InvalidRequest(message=f"objects.cdn.private_key_file: {config.private_key_file}: {error.strerror}") from error
    return CdnSigner(config.url, config.key_pair_id, key, clock)


def events_token(config: ObjectsConfig) -> str | None:
    """What the store's events are known by; None where it sends none. Raises `InvalidRequest`."""
    path = config.events_token_file
    if path is None:
        return None
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(message=f"objects.events_token_file: {path} cannot be read: {error}") from error
    if len(token) < _TOKEN_LENGTH_MIN or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidRequest(
            message=f"objects.events_token_file: {path} must hold one word of at least {_TOKEN_LENGTH_MIN} characters"
        )
    return token


def _from_file(path: Path) -> Credentials:
    try:
        fields = tomllib.loads(path.read_text())
    except OSError as error:
        raise InvalidRequest(message=f"objects.credentials_file: {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(message=f"objects.credentials_file: {path} is not TOML: {error}") from error
    known = {"access_key", "secret_key", "session_token"}
    if not {"access_key", "secret_key"} <= fields.keys() <= known or not all(isinstance(value, str) for value in fields.values()):
        raise InvalidRequest(
            message=f"objects.credentials_file: {path} must hold access_key and secret_key (and session_token, if any) as texts"
        )
    return Credentials(**fields)
