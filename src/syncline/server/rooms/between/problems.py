"""Errors between processes: the same typed error on the other side, with its fields.

An error is known by its class where that is loaded on both sides, else by its code, else as what it says of itself, so that a newer
process may raise what an older one has never heard of.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Struct

from syncline.model.errors import Refused, Retryable, SynclineError

_KINDS_MAX: Final = 256


class Told(Struct, frozen=True, array_like=True):
    """An error on its way."""

    kind: str
    code: str
    status: int
    retryable: bool
    title: str
    fields: dict[str, Any]


_decoder: Final = msgspec.msgpack.Decoder(Told)


def tell(error: SynclineError) -> bytes:
    kind = type(error)
    told = Told(_name(kind), kind.code, kind.status, kind.retryable, error.title, error.fields)
    return msgspec.msgpack.encode(told, enc_hook=str)


def told(data: bytes) -> SynclineError:
    """The error that `tell` wrote."""
    heard = _decoder.decode(data)
    kind = _kinds().get(heard.kind) or _kinds(len(_all(SynclineError))).get(heard.kind)
    if kind is None or kind.code != heard.code:
        kind = _unheard(heard.code, heard.status, heard.retryable, heard.title)
    return kind(**heard.fields)


def _name(kind: type[SynclineError]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _all(base: type[SynclineError]) -> list[type[SynclineError]]:
    return [base, *(sub for kind in base.__subclasses__() for sub in _all(kind))]


@lru_cache(maxsize=4)
def _kinds(_count: int = 0) -> dict[str, type[SynclineError]]:
    """Every kind that is loaded by now, by name; asked anew when there are more of them."""
    return {_name(kind): kind for kind in _all(SynclineError)}


@lru_cache(maxsize=_KINDS_MAX)
def _unheard(code: str, status: int, retryable: bool, title: str) -> type[SynclineError]:
    """A kind made of what it says of itself."""
    base = Retryable if retryable else Refused if 400 <= status < 500 else SynclineError
    return type("Unheard", (base,), {"code": code, "status": status, "retryable": retryable, "__doc__": title})
