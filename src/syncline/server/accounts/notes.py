"""What is written down about devices by the way: when each was last seen, and last knew everything.

Thousands of devices say so every minute, and none of them should wait for it, or be refused because of it: notes are collected, and
written together a moment later. A crash loses a moment's notes, which the next request makes again.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Final

from syncline.model.errors import Retryable
from syncline.model.ids import DeviceId
from syncline.ports.account_store import AccountStore

AFTER_S: Final = 0.5
AT_ONCE: Final = 2000
WAITING_MAX: Final = 50_000


class DeviceNotes:
    def __init__(self, store: AccountStore) -> None:
        self._store = store
        self._seen: dict[DeviceId, int] = {}
        self._synced: dict[DeviceId, int] = {}
        self._writing: asyncio.Task[None] | None = None

    def seen(self, device: DeviceId, time_us: int) -> None:
        """It asked something."""
        self._note(self._seen, device, time_us)

    def synced(self, device: DeviceId, time_us: int) -> None:
        """It had everything."""
        self._note(self._synced, device, time_us)

    async def flush(self) -> None:
        """What was noted up to now is written when this returns, as far as the store takes it."""
        while self._seen or self._synced:
            try:
                await self._write()
            except Retryable:
                return

    def _note(self, notes: dict[DeviceId, int], device: DeviceId, time_us: int) -> None:
        if len(notes) >= WAITING_MAX:
            return
        notes[device] = time_us
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_soon(), context=Context())

    async def _write_soon(self) -> None:
        try:
            while self._seen or self._synced:
                await asyncio.sleep(AFTER_S)
                try:
                    await self._write()
                except Retryable:
                    continue
        finally:
            self._writing = None

    async def _write(self) -> None:
        seen, synced = _first(self._seen), _first(self._synced)
        await self._store.note_devices(seen, synced)
        for notes, written in ((self._seen, seen), (self._synced, synced)):
            for device, time_us in written.items():
                if notes.get(device) == time_us:
                    del notes[device]


def _first(notes: dict[DeviceId, int]) -> dict[DeviceId, int]:
    return dict(pair for pair, _ in zip(notes.items(), range(AT_ONCE), strict=False))
