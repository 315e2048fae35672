"""One simulated world: a server, devices, people, and everything that goes wrong between them; then peace, and the verdict.

The script says what happens; three streams drawn from its seed say how long things take, which faults strike and which ids are
made. When the script is over faults stop, lines heal and whoever is down starts again: from there the world must come to rest in a
bounded number of rounds, everywhere equal, with every debt of the ledger paid (`oracle`).
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from random import Random
from typing import Any, Final

from msgspec import Struct, field

from syncline.client.assemble import Identity
from syncline.model.entries import Access
from syncline.model.ids import DeviceId, NamespaceId, UserId, ulid
from syncline.model.paths import FOLDED_KEYS, NAME_KEY_VERSION
from syncline.ports.account_store import User
from syncline.ports.clock import Clock
from syncline.server.caller import Caller
from syncline.testing.sim.device import SimDevice
from syncline.testing.sim.faults import Faults, Struck
from syncline.testing.sim.ground import START_US, SimClock
from syncline.testing.sim.ledger import Ledger
from syncline.testing.sim.loop import SimLoop, Stuck
from syncline.testing.sim.machine import Machine, SimMachine
from syncline.testing.sim.misfortune import SHARED, Misfortune
from syncline.testing.sim.oracle import Spoiled, honest, judge
from syncline.testing.sim.person import Person
from syncline.testing.sim.profile import DiskProfile
from syncline.testing.sim.script import ALONE, FAULT_GROUPS, MEMORY_LOSS, SHARING, UNHEARD, USER_OPS, Event, Script
from syncline.testing.sim.server import SimServer
from syncline.testing.sim.trace import Trace

SETTLE_PASSES_MAX: Final = 40
SETTLE_TIMEOUT_S: Final = 900.0
BACKUP_EVERY: Final = 6
HEARSAY_S: Final = 30.0
"""So long after everything rests, everybody has heard of all that happened."""
MakeMachine = Callable[[Random, Clock, DiskProfile, Path], Machine]


class Outcome(Struct, kw_only=True):
    """What came of a run. `failure` None means that every property held."""

    seed: int
    mode: str
    failure: str | None = None
    steps: int = 0
    calls: int = 0
    user_ops: int = 0
    devices: int = 0
    virtual_s: float = 0.0
    struck: list[Struck] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    log: list[str] = field(default_factory=list)
    trace: str = ""


class World:
    def __init__(self, script: Script, spool: Path, machine: MakeMachine = SimMachine) -> None:
        self.script = script
        seed = script.seed
        self.loop = SimLoop(Random(f"schedule/{seed}"))
        enabled = frozenset(kind for group in script.faults_on for kind in FAULT_GROUPS[group])
        self.faults = Faults(f"faults/{seed}", enabled=enabled, rate=script.fault_rate, tape=script.struck)
        self.ledger = Ledger()
        self.log: list[str] = []
        self.trace = Trace(self.loop.time, self.say)
        self.faults.heard, self.faults.struck_at = self.trace.heard, self.trace.struck_at
        self.context = copy_context()
        self.server = SimServer(self.loop, self.context, self.faults, Random(f"server/{seed}"))
        self.devices: list[SimDevice] = []
        self.people: list[Person] = []
        self.pending = list(script.events)
        self.memory_lost = any(event.what in MEMORY_LOSS for event in script.events)
        self._spool = spool
        self._machine = machine
        self.misfortune = Misfortune(self)
        self._done = 0

    def say(self, what: str) -> None:
        line = f"{self.loop.time():9.3f} {what}"
        self.log.append(line)
        self.trace.note(line)

    # -- making it -----------------------------------------------------------------------------------------------------------------

    async def build(self) -> None:
        script = self.script
        self.faults.active = False
        mounted = script.mode.startswith("mount ")
        two = mounted or script.mode in SHARING
        users = [await self._user("ada", 1), *([await self._user("bob", 2)] if two else [])]
        self.server.boot()
        for index, profile in enumerate(script.disks):
            user = users[0] if not two or index < len(script.disks) - 1 else users[1]
            self._add_device(index, profile, user)
        if mounted:
            access = Access.READ if script.mode == "mount read" else Access.WRITE
            self.misfortune.shared_access = access
            members = {users[1].id: Access.OWNER, users[0].id: access}
            self.server.stores.add_namespace(SHARED, owner=users[1].id, name="shared", members=members)
            for person in self.people:
                person.left_alone.add("shared")
            for user in users:
                await self.server.stores.mount(user.root_namespace, SHARED, "shared", time_us=self.server.clock.now_us())
        for event in script.base:
            self.people[0].act(event)
        self.faults.active = True

    async def _user(self, name: str, number: int) -> User:
        user = User(
            id=UserId(ulid(START_US // 1000 - 10 * number, f"user-{name}--".encode()[:10].ljust(10, b"-"))),
            email=f"{name}@example.org",
            name=name,
            password_hash="",
            root_namespace=NamespaceId(ulid(START_US // 1000 - 10 * number, f"root-{name}--".encode()[:10].ljust(10, b"-"))),
            created_us=START_US,
        )
        folds = any(disk.names == "insensitive" for disk in self.script.disks)
        await self.server.stores.accounts.add_user(user, name_keys=FOLDED_KEYS if folds else NAME_KEY_VERSION)
        return user

    def _add_device(self, index: int, profile: Any, user: User) -> None:
        name = f"d{index}"
        clock = SimClock(self.loop)
        disk = self._machine(Random(f"disk/{self.script.seed}/{index}"), clock, profile, self._spool / "machines" / name)
        device = DeviceId(ulid(START_US // 1000 - 1, f"device-{index}--".encode()[:10]))
        rng = Random(f"device/{self.script.seed}/{index}")
        made = SimDevice(
            name=name,
            disk=disk,
            who=Identity(
                namespace=user.root_namespace,
                user=user.id,
                device=device,
                device_name=name,
                root_id="",
                fold_case=profile.names == "insensitive",
            ),
            caller=Caller(user.id, device),
            server=self.server,
            loop=self.loop,
            world=self.context,
            faults=self.faults,
            rng=rng,
            spool=self._spool / name,
            clock=clock,
            page=self.script.page,
            watching=self.script.watching[index],
            acts=self.act_now,
        )
        made.link()
        self.devices.append(made)
        self.people.append(Person(name, disk.user, self.ledger, self.say))

    # -- running it ----------------------------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """The script, from its first event to its last."""
        for device in self.devices:
            device.start()
        if self.script.mode in ALONE:
            await self._begin_alone()
        while self.pending:
            event = self.pending[0]
            wait_s = event.at_s - self.loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
                continue
            self.pending.pop(0)
            self._happen(event)

    async def _begin_alone(self) -> None:
        """One person will act, from a state that all devices share; the clock of the script starts then."""
        self.faults.active, active = False, self.faults.active
        if not await self._all_settle():
            raise Spoiled("the base tree did not settle")
        self.faults.active = active
        late_s = self.loop.time()
        self.pending = [Event(event.at_s + late_s, *_rest(event)) for event in self.pending]
        acting = {event.who for event in self.pending if event.what in USER_OPS}
        for index in acting:
            self.people[index].alone = self.people[index].disk.tree()
        for device in self.devices:
            if device.remote is not None:
                device.remote.traffic.sent_bytes = 0

    def act_now(self, device: SimDevice) -> None:
        """A person does between two system calls of the engine's what the script has for later."""
        who = self.devices.index(device)
        for at, event in enumerate(self.pending):
            if event.who == who and event.what in USER_OPS:
                del self.pending[at]
                self._happen(event)
                return

    def _happen(self, event: Event) -> None:
        self._done += 1
        if self._done % BACKUP_EVERY == 0:
            self.misfortune.back_up()
        if event.what in USER_OPS:
            # What is written where the disk should be is nobody's business once the disk is back over it.
            if not self.devices[event.who].disk.is_unmounted:
                self.people[event.who].act(event)
            return
        self.say(f"{'world' if event.who < 0 else self.devices[event.who].name}: {event.what}")
        self.misfortune.befall(event)

    # -- peace ---------------------------------------------------------------------------------------------------------------------

    async def wind_down(self) -> None:
        """Nothing fails any more, everybody is up; until all say that they are in sync."""
        self.say("peace")
        self.faults.stop()
        await asyncio.sleep(40.0)
        self.server.boot()
        for device in self.devices:
            self.misfortune.mount(device.disk)
            device.set_deaf(False)
            device.set_online(True)
            device.start()
            if device.actor is not None and device.actor.held is not None:
                self.loop.thaw(device.actor)
        for person in self.people:
            person.finish_writers()
        await asyncio.sleep(5.0)
        for device in self.devices:
            device.paused = False
            if device.engine is not None:
                device.engine.resume(confirm_deletes=True)
        if not any(event.what in UNHEARD for event in self.script.events):
            await asyncio.sleep(HEARSAY_S)
            honest(self)
        if not await self._all_settle():
            raise Spoiled("not at rest: " + "; ".join(self._states()))

    async def _all_settle(self) -> bool:
        calm = 0
        for _ in range(SETTLE_PASSES_MAX):
            before = [await self._heads(), [device.store.writes for device in self.devices]]
            settled = [await device.settle(SETTLE_TIMEOUT_S) for device in self.devices]
            after = [await self._heads(), [device.store.writes for device in self.devices]]
            calm = calm + 1 if all(settled) and before == after else 0
            if calm >= 1:
                return True
            await asyncio.sleep(30.0)
        return False

    async def _heads(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for device in self.devices:
            for head in await self.server.stores.metadata.heads(device.who.user):
                found[head.namespace] = head.sequence
        return found

    def _states(self) -> list[str]:
        told = []
        for device in self.devices:
            engine = device.engine
            if engine is None:
                told.append(f"{device.name} down")
                continue
            problems = [f"{problem.code} {problem.path} {problem.message}" for problem in engine.problems()]
            told.append(f"{device.name} {engine.state().value} {problems}")
        return told


def _rest(event: Event) -> tuple[Any, ...]:
    return (event.who, event.what, event.picks, event.text, event.size)


def play(script: Script, spool: Path, machine: MakeMachine = SimMachine) -> Outcome:
    """Runs a script from beginning to verdict. Deterministic, as far as the machines are."""
    gc.disable()
    world = World(script, spool, machine)
    loop = world.loop
    failure: str | None = None
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(_whole(world))
    except Spoiled as spoiled:
        failure = str(spoiled)
    except Stuck as stuck:
        failure = f"no end: {stuck}; " + "; ".join(world._states())
    finally:
        asyncio.set_event_loop(None)
        for device in world.devices:
            device.disk.close()
        gc.enable()
    return _outcome(world, failure)


async def _whole(world: World) -> None:
    await world.build()
    await world.live()
    await world.wind_down()
    for device in world.devices:
        device.kill(restart=False)
    await judge(world)


def _outcome(world: World, failure: str | None) -> Outcome:
    seen: Counter[str] = Counter(world.faults.seen)
    for device in world.devices:
        seen.update({f"why:{why}": count for why, count in device.why.items()})
        device._collect_refusals()
        seen.update({f"refused:{code}": count for code, count in device.refusals.items()})
    if world.loop.faults and failure is None:
        first = world.loop.faults[0]
        failure = f"a callback failed: {type(first).__name__}: {first}"
    world.trace.note(f"{failure} {world.loop.steps} {sorted(seen.items())}")
    for device in world.devices:
        with suppress(OSError):
            world.trace.note(repr(sorted(device.disk.user.everything().items())))
    return Outcome(
        seed=world.script.seed,
        mode=world.script.mode,
        failure=failure,
        steps=world.loop.steps,
        calls=world.faults.calls.total(),
        user_ops=sum(person.done for person in world.people),
        devices=len(world.devices),
        virtual_s=world.loop.time(),
        struck=world.faults.struck,
        seen=seen,
        log=world.log,
        trace=world.trace.text(),
    )
