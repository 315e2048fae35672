"""Names of dropped files: whatever a stranger's program calls a file becomes a name a tree can hold, and one nobody has taken."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from syncline.model.limits import NAME_MAX_BYTES
from syncline.model.paths import name_problem, numbered_name

UNNAMED: Final = "file"
NUMBER_MAX: Final = 1 << 20
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def dropped_name(given: str) -> str:
    """The last part of what may be a path of any system, without what no name may hold, at most 255 bytes; never empty."""
    last = re.split(r"[/\\]", given)[-1]
    clean = _CONTROL.sub("_", last).encode(errors="replace").decode().strip()
    stem, dot, extension = clean.rpartition(".")
    tail = (dot + extension).encode() if stem and len(extension.encode()) <= 32 else b""
    head = clean.encode()[: len(clean.encode()) - len(tail)]
    short = head[: NAME_MAX_BYTES - len(tail)].decode(errors="ignore") + tail.decode()
    return short if name_problem(short) is None else UNNAMED


async def free_name(name: str, taken: Callable[[str], Awaitable[bool]]) -> str:
    """`name`, or `stem (N).ext` with an N from 2 on that is free: the doubled until one is, then the middle of what lies between,
    so that ten thousand files of one name cost each two dozen questions."""
    if not await taken(name):
        return name
    low, high = 1, 2
    while await taken(numbered_name(name, high)) and high < NUMBER_MAX:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if await taken(numbered_name(name, middle)):
            low = middle
        else:
            high = middle
    return numbered_name(name, high)
