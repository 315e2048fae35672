"""Runs a case from its seed or its script, and makes the script of a failing one as short as it gets."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from tests.property.plan.cells import Cell
from tests.property.plan.judge import before, held_back_alone, judge
from tests.property.plan.script import TURNS, Draw, Script
from tests.property.plan.world import ROUNDS_MAX, Spoiled, World

ACT_UNTIL = 6
TWICE_EVERY = 50
"""In every such turn of all modes each plan is made twice."""
SCHEDULES_TRIED = 20


def run_seed(seed: int, mode: str | None = None, script: Script | None = None) -> World:
    """Draws and runs the case of a seed; `script` is filled as far as the case comes."""
    script = script or Script("")
    script.mode = mode or TURNS[seed % len(TURNS)]
    script.schedule = seed
    draw = Draw(seed)
    draw.set_up(script)
    return _play(script, draw, twice=seed // len(TURNS) % TWICE_EVERY == 0)


def run_script(script: Script) -> World:
    """Plays a recorded case again; operations that are not possible any more are left out."""
    return _play(script, None, twice=True)


def _play(script: Script, draw: Draw | None, *, twice: bool) -> World:
    world = World(script)
    actors = world.actors()
    _act(world, script, draw, 0, actors)
    start = before(world)
    if world.mode == "lost mount":
        world.lose_mount()
    live = world.mode == "live"
    for number in range(1, ROUNDS_MAX + 1):
        if live and number <= ACT_UNTIL:
            _act(world, script, draw, number, actors)
        if not world.round(number, twice) and not (live and number < ACT_UNTIL):
            if not any(client.parked for client in world.clients):
                break
            held_back_alone(world)
            for client in world.clients:
                client.heal()
    else:
        raise Spoiled(f"no rest after {ROUNDS_MAX} plans")
    judge(world, start, acted_since=live)
    return world


def _act(world: World, script: Script, draw: Draw | None, number: int, actors: list[str]) -> None:
    if draw is None:
        for at, who, op in script.ops:
            if at == number:
                world.act(who, op)
        return
    for who in actors:
        for _ in range(draw.upto(3 if number else 5)):
            op = draw.op(world.nodes_of(who))
            if world.act(who, op):
                script.ops.append((number, who, op))


def fails(script: Script) -> str | None:
    """How a script fails, if it does."""
    try:
        run_script(script)
    except Exception:
        return traceback.format_exc(limit=-4)
    return None


def shrink(script: Script) -> Script:
    """Leaves out operations and base nodes while the case still fails."""
    best = script
    for tries in range(4):
        for schedule in (best.schedule, *range(SCHEDULES_TRIED if tries else 0)):
            tried = replace(best, schedule=schedule)
            if fails(tried):
                best = tried
                break
        shorter = _without_base(_without_ops(best))
        if (len(shorter.ops), len(shorter.base)) == (len(best.ops), len(best.base)):
            break
        best = shorter
    return best


def _without_ops(best: Script) -> Script:
    size = max(1, len(best.ops) // 2)
    while size:
        start = 0
        while start < len(best.ops):
            tried = replace(best, ops=best.ops[:start] + best.ops[start + size :])
            if fails(tried):
                best = tried
            else:
                start += size
        size //= 2
    return best


def _without_base(best: Script) -> Script:
    for row in reversed(best.base):
        rest = [other for other in best.base if other is not row]
        if any(other[1] == row[0] for other in rest):
            continue
        excluded, untidy = [[each for each in ids if each != row[0]] for ids in (best.excluded, best.untidy)]
        tried = replace(best, base=rest, excluded=excluded, untidy=untidy)
        if fails(tried):
            best = tried
    return best


class Failure(Spoiled):
    """A case that failed: its script, as short as it gets, and what happened."""

    def __init__(self, seed: int, script: Script, trace: str) -> None:
        super().__init__(f"seed {seed}: {script.told()}\n\n{trace}")
        self.seed = seed
        self.script = script
        self.trace = trace


def run_many(seeds: Iterable[int], mode: str | None = None) -> Counter[Cell]:
    """Runs every seed; counters of all steps planned. Raises a `Failure` at the first that fails."""
    seen: list[Cell] = []
    for seed in seeds:
        script = Script("")
        try:
            world = run_seed(seed, mode, script)
        except Exception as error:
            short = shrink(script)
            raise Failure(seed, short, fails(short) or traceback.format_exc(limit=-4)) from error
        for client in world.clients:
            seen += client.seen
    return Counter(seen)
