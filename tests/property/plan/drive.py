"""Runs a case from its seed or its script, and makes the script of a failing one as short as it gets."""

from __future__ import annotations

import traceback
from collections import Counter

from tests.property.plan.cells import Cell
from tests.property.plan.judge import before, judge
from tests.property.plan.world import ROUNDS_MAX, TURNS, Draw, Script, Spoiled, World

ACT_UNTIL = 6
TWICE_EVERY = 50
"""In every such turn of all modes each plan is made twice."""


def run_seed(seed: int, mode: str | None = None) -> tuple[Script, World]:
    """Draws and runs the case of a seed; its script is complete as far as the case came."""
    script = Script(mode or TURNS[seed % len(TURNS)])
    draw = Draw(seed)
    script.base = draw.base()
    world = World(script.mode, script.base, seed)
    _play(world, script, draw, seed)
    return script, world


def run_script(script: Script, seed: int) -> World:
    """Plays a recorded case again; operations that are not possible any more are left out."""
    world = World(script.mode, script.base, seed)
    _play(world, script, None, seed)
    return world


def _play(world: World, script: Script, draw: Draw | None, seed: int) -> None:
    actors = world.actors()
    _act(world, script, draw, 0, actors)
    start = before(world)
    if world.mode == "lost mount":
        world.lose_mount()
    live = world.mode == "live"
    for number in range(1, ROUNDS_MAX + 1):
        if live and number <= ACT_UNTIL:
            _act(world, script, draw, number, actors)
        if not world.round(number, twice=seed // len(TURNS) % TWICE_EVERY == 0) and not (live and number < ACT_UNTIL):
            break
    else:
        raise Spoiled(f"no rest after {ROUNDS_MAX} plans")
    judge(world, start, acted_since=live)


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


def fails(script: Script, seed: int) -> str | None:
    try:
        run_script(script, seed)
    except Exception:
        return traceback.format_exc(limit=-4)
    return None


def shrink(script: Script, seed: int) -> Script:
    """Leaves out operations and base nodes while the case still fails."""
    best = script
    for tries in range(4):
        for attempt in (seed, *range(20)) if tries else (seed,):
            if fails(best, attempt):
                seed = attempt
                break
        shorter = _shrink_once(best, seed)
        if (len(shorter.ops), len(shorter.base)) == (len(best.ops), len(best.base)):
            break
        best = shorter
    return best


def _shrink_once(script: Script, seed: int) -> Script:
    best = script
    size = max(1, len(script.ops) // 2)
    while size > 1:
        for start in range(0, len(best.ops), size):
            tried = Script(best.mode, best.base, best.ops[:start] + best.ops[start + size :])
            if fails(tried, seed):
                best = tried
                break
        else:
            size //= 2
    index = 0
    while index < len(best.ops):
        tried = Script(best.mode, best.base, best.ops[:index] + best.ops[index + 1 :])
        if fails(tried, seed):
            best = tried
        else:
            index += 1
    index = len(best.base) - 1
    while index >= 0:
        tried = Script(best.mode, best.base[:index] + best.base[index + 1 :], best.ops)
        if not any(row[1] == best.base[index][0] for row in best.base) and fails(tried, seed):
            best = tried
        index -= 1
    return best


def told(script: Script, seed: int) -> str:
    """A failing case in words."""
    lines = [f"seed {seed}, {script.mode}", "base:"]
    lines += [f"  {node_id} = {parent}/{name} {content or '(folder)'}" for node_id, parent, name, _, content in script.base]
    lines += [
        f"{'at once' if not at else f'round {at}'}: {who}.{op[0]} {' '.join(str(part) for part in op[1:])}"
        for at, who, op in script.ops
    ]
    return "\n".join(lines)


def run_many(seeds: range, mode: str | None = None) -> Counter[Cell]:
    """Runs every seed; counters of all steps done. Raises with a shrunk script at the first failure."""
    why: Counter[Cell] = Counter()
    for seed in seeds:
        script = Script("")
        try:
            script, world = run_seed(seed, mode)
        except Exception as error:
            script = _recorded(seed, mode)
            short = shrink(script, seed)
            again = fails(short, seed) or fails(script, seed) or traceback.format_exc(limit=-4)
            raise Spoiled(f"{told(short, seed)}\n\n{again}") from error
        for client in world.clients:
            why.update(client.seen)
    return why


def _recorded(seed: int, mode: str | None) -> Script:
    script = Script(mode or TURNS[seed % len(TURNS)])
    draw = Draw(seed)
    script.base = draw.base()
    world = World(script.mode, script.base, seed)
    try:
        _play(world, script, draw, seed)
    except Exception:
        return script
    return script
