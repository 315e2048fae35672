"""What happens in one simulated world: its kind, its disks, and every event, drawn from a seed or read from a tape.

Events name what to touch by fractions rather than by paths ("the file that is 0.37 of the way through the list"), so an event still
means something after others were left out, which is how a failing run is made small.
"""

from __future__ import annotations

from random import Random
from typing import Final

from msgspec import Struct, field

from syncline.testing.sim.profile import DiskProfile
from syncline.testing.sim.watcher import WatcherFaults

DEVICES_MIN: Final = 3
PLAIN_NAMES: Final = ("a", "b", "c", "d")
ODD_NAMES: Final = ("a", "b", "A", "\u00e9", "e\u0301", "CON", "x.", "c.txt", "long-" + "n" * 80)
EVENTS_MIN: Final = 22
EVENTS_MAX: Final = 36

FAULT_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "crashes": ("crash before", "crash after", "crash"),
    "power": ("power before", "power after"),
    "editors": ("act",),
    "network": ("refused", "request lost", "answer lost", "late", "busy", "broken"),
    "doubles": ("twice",),
    "slow server": ("delay",),
    "disk errors": ("ENOSPC", "EIO", "EACCES", "EBUSY", "EMFILE", "ESTALE", "short"),
    "store errors": ("store busy", "store full"),
}
"""Kinds of faults that are switched on together: a run has some of these."""

USER_OPS: Final = {
    "new": 8,
    "write": 6,
    "save": 8,
    "backup": 2,
    "append": 2,
    "mkdir": 5,
    "delete": 6,
    "move": 12,
    "over": 2,
    "swap": 2,
    "chmod": 6,
    "touch": 1,
    "copy": 2,
    "writer": 1,
    "poke": 1,
}
WORLD_OPS: Final = {
    "kill": 5,
    "power": 2,
    "offline": 5,
    "pause": 2,
    "server crash": 3,
    "deaf": 2,
    "overflow": 2,
    "clock": 2,
    "refresh": 2,
    "lost database": 1,
    "old database": 1,
    "server rolled back": 1,
    "server new epoch": 1,
    "root gone": 1,
    "frozen": 1,
}
MEMORY_LOSS: Final = frozenset(("lost database", "old database", "server rolled back", "server new epoch"))
"""After these nobody can know what was deleted, so deleted files may come back."""
UNHEARD: Final = frozenset(("deaf", "poke"))
"""After these only a full scan tells what happened."""


class Event(Struct, frozen=True, array_like=True):
    """At `at_s`, device `who` (-1: the world) does `what`. `picks` choose whom it touches, `text` is a name, `size` a content's."""

    at_s: float
    who: int
    what: str
    picks: tuple[float, ...] = ()
    text: str = ""
    size: int = 0


class Script(Struct, kw_only=True):
    """A whole run: enough to play it again."""

    version: int = 1
    seed: int
    mode: str
    disks: list[DiskProfile]
    watching: list[WatcherFaults]
    page: int
    fault_rate: float
    faults_on: list[str]
    base: list[Event]
    events: list[Event]
    struck: list[tuple[str, int, str]] | None = None
    """The faults that strike; None draws them."""
    drop: list[str] = field(default_factory=list)
    """For people: what was left out on the way to a smaller run."""


MODES: Final = (
    *("many",) * 9,
    *("one-sided",) * 4,
    "moves only",
    *("mount read",) * 2,
    *("mount write",) * 2,
    "mount lost",
    *("sharing",) * 2,
)


SHARED_ALONE: Final = "shared alone"
"""Every third world of mode sharing: one person acts, on one device, while a folder of theirs becomes a shared one."""
SHARING: Final = ("sharing", SHARED_ALONE)
ALONE: Final = ("one-sided", "moves only", SHARED_ALONE)
"""One person acts, so nobody's tree has anything that they did not leave there."""


def draw(seed: int, mode: str | None = None) -> Script:
    """The script of a seed."""
    rng = Random(f"script/{seed}")
    mode = mode or rng.choice(MODES)
    if mode == "sharing" and seed % 3 == 0:
        mode = SHARED_ALONE
    quiet = mode == "moves only" or rng.random() < 0.2
    groups = [] if quiet else [name for name in FAULT_GROUPS if rng.random() < 0.4]
    odd = mode == "many" and rng.random() < 0.25
    disks = [_disk(rng, odd) for _ in range(DEVICES_MIN + (rng.random() < 0.15))]
    return Script(
        seed=seed,
        mode=mode,
        disks=disks,
        watching=[_watching(rng, quiet) for _ in disks],
        page=rng.choice((2, 3, 10, 1000)),
        fault_rate=0.0 if not groups else rng.choice((0.002, 0.006, 0.015)),
        faults_on=groups,
        base=[_user_event(rng, 0.0, 0, PLAIN_NAMES, {"new": 3, "mkdir": 2}) for _ in range(rng.randint(3, 7))],
        events=_events(rng, mode, len(disks), ODD_NAMES if odd else PLAIN_NAMES, quiet),
    )


def _disk(rng: Random, odd: bool) -> DiskProfile:
    return DiskProfile(
        names=rng.choice(("sensitive", "sensitive", "insensitive", "nfd")) if odd else "sensitive",
        tick_ns=rng.choice((1, 1, 10_000_000, 1_000_000_000, 2_000_000_000)),
        reuse_inodes=rng.random() < 0.5,
        has_exec=rng.random() < 0.9,
        exchange=rng.random() < 0.8,
    )


def _watching(rng: Random, quiet: bool) -> WatcherFaults:
    if quiet or rng.random() < 0.4:
        return WatcherFaults()
    rates = [rng.choice((0.0, 0.0, 0.05, 0.3)) for _ in range(5)]
    return WatcherFaults(
        delay=rates[0],
        split=rates[1],
        swap=rates[2],
        duplicate=rates[3],
        coalesce=rates[4],
        queue_max=rng.choice((16_384, 16_384, 6)),
        watches_max=rng.choice((None, None, None, 2)),
    )


def _events(rng: Random, mode: str, devices: int, names: tuple[str, ...], quiet: bool) -> list[Event]:
    ops = dict(USER_OPS)
    if mode == "moves only":
        ops = {"move": 10, "mkdir": 2}
    elif rng.random() < 0.4:
        kept = rng.sample(sorted(ops), 6)
        ops = {"new": 2, "move": 4, "delete": 3, **{name: ops[name] for name in kept}}
    elif rng.random() < 0.3:
        ops = {"move": 10, "delete": 5, "mkdir": 4, "new": 3, "save": 2}
    world = {
        name: weight for name, weight in WORLD_OPS.items() if rng.random() < 0.5 and (name not in MEMORY_LOSS or rng.random() < 0.4)
    }
    acting = list(range(devices))
    if mode in ALONE:  # The last is the guest's, who is shown what others do.
        acting = [rng.randrange(devices - (mode == SHARED_ALONE))]
    events: list[Event] = []
    at_s = rng.choice((0.0, 2.0, 8.0)) if mode != "moves only" else 30.0
    count = rng.randint(EVENTS_MIN, EVENTS_MAX)
    while len(events) < count:
        if rng.random() > 0.25:
            at_s += rng.expovariate(1 / rng.choice((0.2, 1.5, 4.0)))
        if not quiet and world and rng.random() < 0.18:
            what = rng.choices(list(world), list(world.values()))[0]
            who = -1 if what.startswith("server") else rng.randrange(devices)
            events.append(Event(round(at_s, 3), who, what, (rng.random(), rng.random())))
        elif mode.startswith("mount") and rng.random() < 0.06:
            events.append(Event(round(at_s, 3), -1, "access", (rng.random(),)))
        elif mode in SHARING and rng.random() < 0.15:
            events.append(Event(round(at_s, 3), -1, "sharing", (rng.random(), rng.random())))
        else:
            events.append(_user_event(rng, at_s, rng.choice(acting), names, ops))
    return events


def _user_event(rng: Random, at_s: float, who: int, names: tuple[str, ...], ops: dict[str, int]) -> Event:
    what = rng.choices(list(ops), list(ops.values()))[0]
    size = rng.choice((0, 5, 20, 20, 20, 60)) if rng.random() < 0.98 else 300_000
    return Event(round(at_s, 3), who, what, (rng.random(), rng.random(), rng.random()), rng.choice(names), size)
