"""One simulated world from one seed, played quietly and tidied away, and what a run of many needs to know of it."""

from __future__ import annotations

import gc
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
from msgspec import Struct, field
from msgspec.structs import replace

from syncline.testing.sim.script import Script, draw
from syncline.testing.sim.world import Outcome, play

DEVICES_MIN: Final = 3
USER_OPS_MIN: Final = 15
STEPS_MIN: Final = 150
FAULT_RATE: Final = 0.015
_MEMORY: Final = Path("/dev/shm")


class Result(Struct, kw_only=True):
    """What a run reports of one seed. `mode` is the world's, `cpu_s` what it cost."""

    seed: int
    mode: str
    failure: str | None = None
    steps: int = 0
    user_ops: int = 0
    devices: int = 0
    cpu_s: float = 0.0
    trace: str = ""
    seen: dict[str, int] = field(default_factory=dict)

    @property
    def has_power(self) -> bool:
        """Whether enough happened for the seed to count."""
        return self.devices >= DEVICES_MIN and self.user_ops >= USER_OPS_MIN and self.steps >= STEPS_MIN


def quieten() -> None:
    """Logs, and what Python says of the unfinished tasks of killed devices, are nobody's business here."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    warnings.simplefilter("ignore", RuntimeWarning)
    sys.unraisablehook = lambda _told: None
    gc.collect()
    gc.freeze()


def played(script: Script) -> Outcome:
    """Plays a script with a spool of its own, in memory where there is one. What breaks the world itself is a failure too."""
    spool = tempfile.mkdtemp(prefix="world-", dir=_MEMORY if _MEMORY.is_dir() else None)
    try:
        return play(script, Path(spool))
    except Exception as error:
        return Outcome(seed=script.seed, mode=script.mode, failure=f"the world broke: {type(error).__name__}: {error}")
    finally:
        shutil.rmtree(spool, ignore_errors=True)
        gc.collect()


def drawn(seed: int, mode: str | None = None, faults: Sequence[str] = ()) -> Script:
    """A seed's script; with `faults`, groups of them, those alone strike, and often."""
    script = draw(seed, mode)
    return replace(script, faults_on=list(faults), fault_rate=FAULT_RATE) if faults else script


def run_seed(seed: int, mode: str | None = None, faults: Sequence[str] = ()) -> Result:
    """Draws a seed's script and plays it."""
    began = time.process_time()
    outcome = played(drawn(seed, mode, faults))
    return Result(
        seed=seed,
        mode=outcome.mode,
        failure=outcome.failure,
        steps=outcome.steps,
        user_ops=outcome.user_ops,
        devices=outcome.devices,
        cpu_s=time.process_time() - began,
        trace=outcome.trace,
        seen=dict(outcome.seen),
    )


def property_of(failure: str) -> str:
    """The property that a failure speaks of: what a smaller script must break too."""
    named = re.match(r"P\d+(/P\d+)?", failure)
    if named is not None:
        return named[0]
    if failure.startswith(("not at rest", "no end", "the base tree")):
        return "P1"
    if "failed by surprise" in failure or failure.startswith("a callback failed"):
        found = re.search(r"(by surprise|a callback failed): (\w+)", failure)
        return f"no surprises ({found[2] if found else 'unknown'})"
    return failure.split(":", 1)[0][:60]
