"""Memory manners of the processes that live long: the server, the background engine, a sync in the foreground.

glibc gives every thread an arena of its own and keeps in each what was freed, so a dozen threads that take turns at one job hold
a dozen times its memory; and it returns every large buffer to the system only to ask for a fresh one, whose every page must be
made and cleared again. Two arenas and a raised threshold end both. On other systems this does nothing.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Final

from syncline.model.limits import KIB, MIB

_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
"""Parameters of `mallopt`, from glibc's malloc.h."""

ARENAS: Final = 2
HEAP_BELOW_BYTES: Final = 4 * MIB
"""Buffers below this come from the heap, whose pages are warm."""
KEPT_BYTES: Final = 4 * MIB
"""What an arena keeps at its end before it gives memory back."""
YOUNG_MAX: Final = 10_000
"""New containers before the collector looks at them: a batch of a thousand rows ends without it."""
YOUNG_PER_WAIT: Final = 40
"""And so many for each request that waits: answering all at once should end without it, too."""


def settle() -> None:
    """Sets the process up; call it before any thread is started."""
    gc.set_threshold(YOUNG_MAX, 20, 20)
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl has none, and no arenas either.
        return
    mallopt(_ARENA_MAX, ARENAS)
    mallopt(_MMAP_THRESHOLD, HEAP_BELOW_BYTES)
    mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
    mallopt(_TOP_PAD, 256 * KIB)


def expect(waiting: int) -> None:
    """So many requests wait and may have to be answered at once. Ten thousand long polls cost 4.1 s of processor time while the
    collector looked at the young ones again and again, 1.6 s without."""
    gc.set_threshold(YOUNG_MAX + YOUNG_PER_WAIT * waiting, 20, 20)


def without_rich() -> None:
    """Spares a process that talks to no person the five megabytes of `rich`, which structlog loads, where it is installed, for
    drawing tracebacks that our logs never hold. Call it before structlog is imported."""
    if "rich" not in sys.modules and "structlog" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment]


def freeze() -> None:
    """Call it once everything is loaded and built: what is there now stays, so the collector need not walk it again."""
    gc.collect()
    gc.freeze()
