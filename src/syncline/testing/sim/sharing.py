"""People who share in a simulated world, through the real rooms of the server: one of two turns a folder into a shared one, the
other takes part, may write or not, leaves, is shown out and let in again, takes the folder out of their tree and back into it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from syncline.model.entries import Access, Kind
from syncline.model.errors import Retryable, SynclineError
from syncline.model.ids import NamespaceId, NodeId
from syncline.protocol.sharing import MountRequest, ShareRequest, ShareUser
from syncline.server.caller import Caller
from syncline.testing.sim.script import SHARED_ALONE, Event
from syncline.testing.sim.server import Rooms

if TYPE_CHECKING:
    from syncline.testing.sim.world import World

ASKED_MAX: Final = 20
SHARED_MAX: Final = 2
SHARED_ALONE_MAX: Final = 1
"""One cannot lie in another: what a person who is alone moves stays where they moved it."""
OWNER, GUEST = "ada@example.org", "bob@example.org"


class Sharers:
    """`act` does the next deed of one of the two. Their deeds take turns, as those of people who talk to each other."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._turn = asyncio.Lock()
        self._most = SHARED_ALONE_MAX if world.script.mode == SHARED_ALONE else SHARED_MAX
        self._shared: dict[NamespaceId, Access | None] = {}
        """What the guest may do in each shared folder; None for one they are not in."""
        self._mounted: dict[NamespaceId, bool] = {}

    def act(self, event: Event) -> None:
        self._world.loop.create_task(self._act(event), context=self._world.context)

    async def _act(self, event: Event) -> None:
        async with self._turn:
            what, which = event.picks[0], event.picks[1]
            if not self._shared or (what < 0.2 and len(self._shared) < self._most):
                await self._share(which, Access.READ if what < 0.1 or what > 0.8 else Access.WRITE)
                return
            namespace = sorted(self._shared)[int(which * len(self._shared))]
            access = self._shared[namespace]
            if access is None:
                await self._let_in(namespace, Access.WRITE if what < 0.6 else Access.READ)
            elif not self._mounted[namespace]:
                await self._mount(namespace)
            elif what < 0.5:
                await self._change(namespace, Access.READ if access is Access.WRITE else Access.WRITE)
            elif what < 0.65:
                await self._end(namespace, "is shown out of", lambda rooms: self._show_out(rooms, namespace))
            elif what < 0.8:
                await self._end(namespace, "leaves", lambda rooms: rooms.sharing.leave(self._guest, namespace))
            else:
                await self._unmount(namespace)

    # -- deeds ---------------------------------------------------------------------------------------------------------------------

    async def _share(self, which: float, access: Access) -> None:
        """A folder of the owner's own tree, wherever it lies."""
        root = self._world.devices[0].who.namespace
        found = await self._world.server.stores.metadata.live(root, None, 100_000)
        folders = sorted((node.node_id, node.name) for node in found if node.kind is Kind.DIR and not node.mount)
        if not folders:
            return
        node, name = folders[int(which * len(folders))]
        # Whatever is answered, it may have been done.
        self._shared[NamespaceId(node)] = None
        self._mounted[NamespaceId(node)] = False
        if await self._invite(node, access, f"shares {name!r} {access.value}"):
            await self._accept(NamespaceId(node), access)

    async def _let_in(self, namespace: NamespaceId, access: Access) -> None:
        if await self._invite(NodeId(namespace), access, f"lets the guest in again {access.value}"):
            await self._accept(namespace, access)

    async def _change(self, namespace: NamespaceId, access: Access) -> None:
        if await self._invite(NodeId(namespace), access, f"gives {access.value}"):
            self._shared[namespace] = access

    async def _invite(self, node: NodeId, access: Access, said: str) -> bool:
        request = ShareRequest(users=[ShareUser(email=GUEST, access=access)])
        return await self._asked(f"{OWNER} {said}", lambda rooms: rooms.sharing.share(self._owner, node, request))

    async def _accept(self, namespace: NamespaceId, access: Access) -> None:
        if await self._asked(f"{GUEST} accepts", lambda rooms: rooms.sharing.accept(self._guest, namespace, MountRequest())):
            self._shared[namespace] = access
            self._mounted[namespace] = True

    async def _mount(self, namespace: NamespaceId) -> None:
        if await self._asked(f"{GUEST} mounts", lambda rooms: rooms.sharing.mount(self._guest, namespace, MountRequest())):
            self._mounted[namespace] = True

    async def _unmount(self, namespace: NamespaceId) -> None:
        if await self._asked(f"{GUEST} unmounts", lambda rooms: rooms.sharing.unmount(self._guest, namespace)):
            self._mounted[namespace] = False

    async def _end(self, namespace: NamespaceId, said: str, work: Callable[[Rooms], Awaitable[object]]) -> None:
        if await self._asked(f"{GUEST} {said} a shared folder", work):
            self._shared[namespace] = None
            self._mounted[namespace] = False

    def _show_out(self, rooms: Rooms, namespace: NamespaceId) -> Awaitable[object]:
        return rooms.sharing.unshare(self._owner, NodeId(namespace), namespace, GUEST)

    # -- asking --------------------------------------------------------------------------------------------------------------------

    async def _asked(self, said: str, work: Callable[[Rooms], Awaitable[object]]) -> bool:
        """Whether the server did it. One that dies over it is asked again: each deed done twice is done once."""
        self._world.say(f"world: {said}")
        for _ in range(ASKED_MAX):
            try:
                await self._world.server.serve(work)
                return True
            except Retryable:
                await asyncio.sleep(0.5)
            except SynclineError as error:
                self._world.say(f"world: that is refused: {error.code}")
                return False
        return False

    @property
    def _owner(self) -> Caller:
        return self._world.devices[0].caller

    @property
    def _guest(self) -> Caller:
        return self._world.devices[-1].caller
