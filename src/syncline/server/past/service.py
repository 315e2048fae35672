"""Everything a gateway may ask about what is past: versions, trash, retention, and going back."""

from __future__ import annotations

from syncline.ports.clock import Clock
from syncline.ports.past_store import PastStore
from syncline.server.metadata.service import Metadata
from syncline.server.past.expire import Expiry
from syncline.server.past.explain import Explaining
from syncline.server.past.retention import Retention
from syncline.server.past.trash import Trash
from syncline.server.past.travel.travel import Travel
from syncline.server.past.versions import Versions

__all__ = ["Past", "Retention"]


class Past:
    """The rooms of the past, over one store and under one policy."""

    def __init__(self, metadata: Metadata, store: PastStore, clock: Clock, policy: Retention) -> None:
        self.versions = Versions(metadata, store, policy)
        self.trash = Trash(metadata, store, clock, policy)
        self.travel = Travel(metadata, store, clock)
        self.retention = Explaining(metadata, store, policy)
        self.expiry = Expiry(store, clock, policy)
