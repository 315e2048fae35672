"""When a signature may hide a change: git's racy rule.

File systems note times in ticks (10 ms on ext4, 2 s on FAT). A file written to again within the tick in which it was looked at
keeps its signature, so a signature taken that early is not trusted at the next look: the content is read once more, and then it is.
"""

from __future__ import annotations

from syncline.model.entries import Signature
from syncline.model.limits import RACY_WINDOW_NS


def is_racy(signature: Signature, at_ns: int) -> bool:
    """Whether a write just after `at_ns` (wall clock) could leave `signature` as it is.

    Whoever hashes a file may clear `LocalNode.racy` when this is false for the time at which reading began.
    """
    return abs(at_ns - signature.mtime_ns) < RACY_WINDOW_NS or abs(at_ns - signature.ctime_ns) < RACY_WINDOW_NS
