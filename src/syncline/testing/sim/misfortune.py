"""What befalls a simulated world by its script: processes and machines that die, lines cut, memories lost, roots gone, clocks set,
servers rolled back, and a shared folder whose owner changes their mind.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from syncline.model.entries import Access
from syncline.model.errors import AlreadyExists, Unavailable
from syncline.model.ids import NamespaceId, ulid
from syncline.testing.sim.device import SimDevice
from syncline.testing.sim.ground import START_US
from syncline.testing.sim.machine import Machine
from syncline.testing.sim.script import Event
from syncline.testing.sim.sharing import Sharers

if TYPE_CHECKING:
    from syncline.testing.sim.world import World

BURST_DEEDS: Final = 3
ASKED_MAX: Final = 20
SHARED: Final = NamespaceId(ulid(START_US // 1000 - 5, b"shared-one"))


class Misfortune:
    """One method for each event of `script.WORLD_OPS`, `access` and `sharing`. What heals by itself heals later, by the world's
    own time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.shared_access: Access | None = None
        self._backups: dict[int, Any] = {}
        self._server_backup: object = None
        self._giving = asyncio.Lock()
        self._sharers = Sharers(world)

    def befall(self, event: Event) -> None:
        getattr(self, event.what.replace(" ", "_"))(event)

    def back_up(self) -> None:
        """What old copies of databases are put back from."""
        self._backups = {index: device.store.twin() for index, device in enumerate(self._world.devices)}
        self._server_backup = self._world.server.stores.snapshot()

    def _later(self, seconds: float, what: Any, *args: Any) -> None:
        self._world.loop.call_later(seconds, what, *args, context=self._world.context)

    def kill(self, event: Event) -> None:
        self._world.devices[event.who].kill()

    def power(self, event: Event) -> None:
        self._world.devices[event.who].kill(power=True)

    def offline(self, event: Event) -> None:
        device = self._world.devices[event.who]
        device.set_online(False)
        self._later(1.0 + 20.0 * event.picks[0] ** 2, device.set_online, True)

    def pause(self, event: Event) -> None:
        device = self._world.devices[event.who]
        device.paused = True
        if device.engine is not None:
            device.engine.pause()
        self._later(1.0 + 10.0 * event.picks[0], self._resume, device)

    def _resume(self, device: SimDevice) -> None:
        device.paused = False
        if device.engine is not None:
            device.engine.resume()

    def server_crash(self, event: Event) -> None:
        self._world.server.crash()

    def deaf(self, event: Event) -> None:
        device = self._world.devices[event.who]
        device.set_deaf(True)
        self._later(5.0 + 30.0 * event.picks[0], device.set_deaf, False)

    def overflow(self, event: Event) -> None:
        """A burst of a person's deeds, of which the watcher tells only that there were too many."""
        device = self._world.devices[event.who]
        for _ in range(BURST_DEEDS):
            self._world.act_now(device)
        device.overflow()

    def clock(self, event: Event) -> None:
        hours = (-24.0, -1.0, 1.0, 24.0)[int(event.picks[0] * 4)]
        self._world.devices[event.who].clock.step_us += int(hours * 3600e6)

    def refresh(self, event: Event) -> None:
        engine = self._world.devices[event.who].engine
        if engine is not None:
            engine.refresh()

    def lost_database(self, event: Event) -> None:
        device = self._world.devices[event.who]
        device.kill()
        device.store = device.disk.new_store()

    def old_database(self, event: Event) -> None:
        device, backup = self._world.devices[event.who], self._backups.get(event.who)
        if backup is not None:
            device.kill()
            device.store = backup.twin()

    def server_rolled_back(self, event: Event) -> None:
        if self._server_backup is not None:
            self._world.server.crash()
            self._world.server.stores.restore(self._server_backup)

    def server_new_epoch(self, event: Event) -> None:
        self._world.server.crash()
        self._world.server.stores.new_epoch()

    def root_gone(self, event: Event) -> None:
        disk = self._world.devices[event.who].disk
        if not disk.is_unmounted:
            disk.unmount(empty=event.picks[1] < 0.5)
            self._later(1.0 + 15.0 * event.picks[0], self.mount, disk)

    def mount(self, disk: Machine) -> None:
        if disk.is_unmounted:
            disk.mount()

    def frozen(self, event: Event) -> None:
        actor = self._world.devices[event.who].actor
        if actor is not None and actor.alive:
            actor.freeze()
            self._later(1.0 + 60.0 * event.picks[0], self._world.loop.thaw, actor)

    def sharing(self, event: Event) -> None:
        self._sharers.act(event)

    def access(self, event: Event) -> None:
        """The owner of the shared folder changes what the other user may do with it, or takes it away, or gives it back."""
        lost = self._world.script.mode == "mount lost"
        now = self.shared_access
        if lost:
            new = None if now is not None else Access.WRITE
        elif now is Access.READ:
            new = Access.WRITE
        else:
            new = Access.READ
        if event.picks[0] < 0.5 or lost:
            self.shared_access = new
            self._world.say(f"world: the shared folder is {'taken away' if new is None else new.value}")
            self._world.loop.create_task(self._give(new, was=now), context=self._world.context)

    async def _give(self, access: Access | None, *, was: Access | None) -> None:
        head = None
        async with self._giving:
            for _ in range(ASKED_MAX):
                # A server that dies over it is asked again.
                try:
                    head = await self._changed_membership(access, was=was)
                    break
                except Unavailable:
                    await asyncio.sleep(0.5)
        if head is not None and self._world.server.rooms is not None:
            self._world.server.rooms.hub.publish(self._world.devices[0].who.namespace, head)

    async def _changed_membership(self, access: Access | None, *, was: Access | None) -> int | None:
        """The head of the user's own journal where the mount came or went."""
        stores, user = self._world.server.stores, self._world.devices[0].who
        with self._world.server.uninterrupted():
            # Membership and mount are one transaction: no crash comes between them.
            stores.set_access(SHARED, user.user, access)
            if access is None:
                return await stores.unmount(user.namespace, SHARED, time_us=self._world.server.clock.now_us())
            return await self._mount_again(user.namespace) if was is None else None

    async def _mount_again(self, root: NamespaceId) -> int:
        """Under another name where a device that had lost its memory made a folder of the user's own of what was left here."""
        for name in ("shared", "shared again", "shared once more"):
            with suppress(AlreadyExists):
                head = await self._world.server.stores.mount(root, SHARED, name, time_us=self._world.server.clock.now_us())
                for person in self._world.people:
                    person.left_alone.add(name)
                return head
        raise AlreadyExists(what="shared")
