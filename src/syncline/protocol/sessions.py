"""Signing in, devices, and who one is."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from syncline.model.entries import Access
from syncline.model.ids import DeviceId, Digest, NamespaceId, UserId


class TokenRequest(Struct, kw_only=True):
    """`POST /v1/auth/token`."""

    email: str
    password: str
    device_name: str = "device"


class RefreshRequest(Struct, kw_only=True):
    """`POST /v1/auth/refresh`; the old refresh token ends with it."""

    refresh_token: str


class TokenAnswer(Struct, kw_only=True):
    access_token: str
    expires_in: int
    refresh_token: str
    device_id: DeviceId
    user_id: UserId


class Me(Struct, kw_only=True):
    """`GET /v1/me`."""

    user_id: UserId
    email: str
    name: str
    device_id: DeviceId
    device_name: str
    root_namespace: NamespaceId
    server_id: str
    quota_bytes: int | None = None
    used_bytes: int = 0


class Device(Struct, kw_only=True):
    """`last_seen` is when it last asked for anything, `last_synced` when it last had everything. `connected`: it waits for changes,
    or did a minute ago."""

    id: DeviceId
    name: str
    created: datetime
    last_seen: datetime | None
    last_synced: datetime | None = None
    current: bool = False
    connected: bool = False


class Devices(Struct, kw_only=True):
    """`GET /v1/devices`."""

    devices: list[Device]


class Namespace(Struct, kw_only=True):
    """A namespace the caller may see, and its head: sequence, chain and Merkle root."""

    id: NamespaceId
    name: str
    access: Access
    is_root: bool
    epoch: str
    sequence: int
    chain: Digest
    root: str
    name_key_version: int = 1
    """The rule by which names collide in it (`model.paths.key_rule`)."""
    owner: str = ""
    """Of a shared folder: the owner's e-mail address, how many are members, and where it is mounted (None: nowhere now)."""
    members: int = 1
    path: str | None = None
    mounted: bool = True
    """Whether it lies in the caller's tree now. What was taken out of it is no business of their devices."""


class Namespaces(Struct, kw_only=True):
    """`GET /v1/namespaces`."""

    namespaces: list[Namespace]
    server_id: str
