"""When a signature may hide a change: git's racy rule.

File systems note times in ticks: 10 ms at most where the kernel's clock is kept, 1 or 2 s on FAT and its like. A file written to
again within the tick in which it was looked at keeps its signature, so a signature taken that early is not trusted at the next
look: the content is read once more, and then it is. A change time with digits below 10 ms proves the finer tick.
"""

from __future__ import annotations

from typing import Final

from syncline.model.entries import Signature
from syncline.model.limits import CLOSED_QUIET_S, RACY_WINDOW_NS

TICK_MAX_NS: Final = 10_000_000
FINE_WINDOW_NS: Final = 4 * TICK_MAX_NS

assert FINE_WINDOW_NS < CLOSED_QUIET_S * 1e9, "a file that is let go after its quiet window is not racy on a good file system"


def is_racy(signature: Signature, at_ns: int) -> bool:
    """Whether a write just after `at_ns` (wall clock) could leave `signature` as it is.

    Whoever hashes a file may clear `LocalNode.racy` when this is false for the time at which reading began.
    """
    window_ns = _window_ns(signature)
    return abs(at_ns - signature.mtime_ns) < window_ns or abs(at_ns - signature.ctime_ns) < window_ns


def is_racy_though_set(signature: Signature, at_ns: int) -> bool:
    """The same for a file whose mtime was set to a time of its own, and whose bytes are known: a later write gives it the time of
    that write, so it shows unless the time set lies in the same tick."""
    return abs(at_ns - signature.mtime_ns) < _window_ns(signature)


def window_s(signature: Signature) -> float:
    """How long after its times a signature may hide a write."""
    return _window_ns(signature) / 1e9


def _window_ns(signature: Signature) -> int:
    return FINE_WINDOW_NS if signature.ctime_ns % TICK_MAX_NS else RACY_WINDOW_NS
