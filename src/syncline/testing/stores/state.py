"""The whole state of the stores, and what they share besides: locks, waiting, and the steps at which a simulation may cut in.

A lock is held from a transaction's enter to its exit, one a namespace. `abandon` is a process's death: whoever held or awaited a
lock belongs to an earlier life, and can neither publish anything nor free what a later one holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from msgspec import Struct

from syncline.model.errors import NotFound, TooBusy, Unavailable
from syncline.model.ids import DeviceId, Digest, NamespaceId, PackId, UserId
from syncline.ports.account_store import DeviceRow, User
from syncline.ports.metadata_store import Usage
from syncline.ports.pack_store import Copy, PackRow
from syncline.testing.stores.space import Space

WAITING_MAX: Final = 1000
Result = TypeVar("Result")
Step = Callable[[str], Awaitable[None]]


class StoredCopy(Struct, frozen=True):
    copy: Copy
    verified: bool = False


class State:
    """Everything that is stored. `copies` are by block and pack; `declared` the blocks of each pack."""

    def __init__(self) -> None:
        self.users: dict[UserId, User] = {}
        self.devices: dict[DeviceId, DeviceRow] = {}
        self.spaces: dict[NamespaceId, Space] = {}
        self.packs: dict[PackId, PackRow] = {}
        self.objects: dict[str, PackId] = {}
        self.copies: dict[Digest, dict[PackId, StoredCopy]] = {}
        self.declared: dict[PackId, tuple[Digest, ...]] = {}

    def copy(self) -> State:
        other = State()
        other.users = self.users.copy()
        other.devices = self.devices.copy()
        other.spaces = {namespace: space.copy() for namespace, space in self.spaces.items()}
        other.packs = self.packs.copy()
        other.objects = self.objects.copy()
        other.copies = {block: copies.copy() for block, copies in self.copies.items()}
        other.declared = self.declared.copy()
        return other

    def usage(self, user: UserId, own: Space | None = None) -> Usage | None:
        """What the user's namespaces hold and have reserved; `own` stands for the stored namespace of its id."""
        known = self.users.get(user)
        if known is None:
            return None
        used = 0
        for stored in self.spaces.values():
            if stored.owner == user:
                space = own if own is not None and own.id == stored.id else stored
                used += space.used_bytes + space.reserved_bytes
        return Usage(used_bytes=used, quota_bytes=known.quota_bytes)


class Shared:
    """What the stores have in common. `step` is awaited with the name of each instant at which a process could be cut off."""

    def __init__(self) -> None:
        self.state = State()
        self.step: Step | None = None
        self._life = 0
        self._waiting = 0
        self._locks: dict[NamespaceId, asyncio.Lock] = {}

    @property
    def life(self) -> int:
        """Changes when a process dies."""
        return self._life

    def abandon(self) -> None:
        self._life += 1
        self._waiting = 0
        self._locks = {}

    def check_alive(self, life: int) -> None:
        if life != self._life:
            raise Unavailable(what="The metadata database", reason="the process that asked has died")

    def space(self, namespace: NamespaceId) -> Space:
        """Raises `NotFound`."""
        space = self.state.spaces.get(namespace)
        if space is None:
            raise NotFound(what="The namespace")
        return space

    async def reading(self) -> None:
        """Said before each read outside a transaction."""
        if self.step is not None:
            await self.step("read")

    async def publish(self, life: int, change: Callable[[], Result], held: Sequence[asyncio.Lock] = ()) -> Result:
        """What `change` gives. Nothing of it shows before, all of it after. Frees the locks `held` whatever happens."""
        try:
            if self.step is not None:
                await self.step("commit.before")
            self.check_alive(life)
            result = change()
        finally:
            for lock in held:
                lock.release()
        if self.step is not None:
            await self.step("commit.after")
        return result

    async def lock(self, namespace: NamespaceId, life: int) -> asyncio.Lock:
        """The namespace's lock, held. Raises `TooBusy` when too many wait already."""
        if self._waiting >= WAITING_MAX:
            raise TooBusy(retry_after=1)
        if self.step is not None:
            await self.step("lock")
            self.check_alive(life)
        lock = self._locks.get(namespace)
        if lock is None:
            lock = self._locks[namespace] = asyncio.Lock()
        self._waiting += 1
        try:
            await lock.acquire()
        finally:
            if life == self._life:
                self._waiting -= 1
        try:
            self.check_alive(life)
            if self.step is not None:
                await self.step("locked")
                self.check_alive(life)
        except BaseException:
            lock.release()
            raise
        return lock
