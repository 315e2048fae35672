"""Syncline: your files on all your devices, on storage you own.

Programs begin with `from syncline import Client` (or `AsyncClient`), and `from syncline import errors` for what to catch. They are
loaded when they are asked for: the command line, which begins here too, starts without them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syncline.sdk import AsyncClient, Client, errors

__all__ = ["AsyncClient", "Client", "errors"]


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("syncline.sdk.errors")
    if name in __all__:
        return getattr(import_module("syncline.sdk"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
