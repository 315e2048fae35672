"""The word that goes round in a process when something was committed in it: to those who wait here, and to whoever passes it on."""

from __future__ import annotations

from collections.abc import Callable

from syncline.model.ids import NamespaceId
from syncline.server.notify.hub import Hub


class Word:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.listeners: list[Callable[[NamespaceId, int], None]] = []
        """Each is called after the hub, on the event loop, and must not raise."""

    def spread(self, namespace: NamespaceId, sequence: int) -> None:
        """`namespace`'s head is at `sequence` now. Called on the event loop, after the commit."""
        self._hub.publish(namespace, sequence)
        for listener in self.listeners:
            listener(namespace, sequence)
