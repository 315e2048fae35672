"""Who did something, in names."""

from __future__ import annotations

from collections.abc import Iterable

from syncline.model.journal import JournalEntry
from syncline.ports.past_store import Names, PastStore
from syncline.protocol.past import Author


class Authors:
    """The names behind some rows."""

    def __init__(self, names: Names) -> None:
        self._names = names

    @classmethod
    async def of(cls, store: PastStore, rows: Iterable[JournalEntry]) -> Authors:
        found = list(rows)
        people = sorted({row.actor for row in found if row.actor is not None})
        devices = sorted({row.device for row in found if row.device is not None})
        return cls(await store.names(people, devices))

    def author(self, row: JournalEntry) -> Author:
        person = None if row.actor is None else self._names.people.get(row.actor)
        return Author(
            user_id=row.actor,
            name=None if person is None else person.name,
            email=None if person is None else person.email,
            device_id=row.device,
            device_name=None if row.device is None else self._names.devices.get(row.device),
        )
