"""Who is asking: the user and device a token was checked for. Every door hands it inwards; nothing else identifies a person."""

from __future__ import annotations

from msgspec import Struct

from syncline.model.ids import DeviceId, UserId


class Caller(Struct, frozen=True):
    user_id: UserId
    device_id: DeviceId
