"""Syncline for Python programs: `Client`, `AsyncClient`, and what their calls answer. Errors are in `syncline.sdk.errors`."""

from syncline.adapters.http import Tokens
from syncline.app.remote_past import Thrown
from syncline.model.entries import Access, Kind
from syncline.protocol.links import LinkKind
from syncline.sdk.client import AsyncClient, Client
from syncline.sdk.values import Changed, Copied, Downloaded, Item, Progress, Purged, Undone, Uploaded

__all__ = [
    "Access",
    "AsyncClient",
    "Changed",
    "Client",
    "Copied",
    "Downloaded",
    "Item",
    "Kind",
    "LinkKind",
    "Progress",
    "Purged",
    "Thrown",
    "Tokens",
    "Undone",
    "Uploaded",
]
