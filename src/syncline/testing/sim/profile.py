"""What kind of disk is simulated: how it spells names, how finely it tells time, what it cannot do."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct

from syncline.model.paths import name_key

Names = Literal["sensitive", "insensitive", "nfd"]


class DiskProfile(Struct, frozen=True):
    """`names`: "sensitive" keeps and tells apart every spelling; "insensitive" keeps the first one and finds it under all that
    differ by case or normalisation; "nfd" stores names decomposed, as HFS+ did, and tells case apart.

    `tick_ns` is the granularity of timestamps: 1, 10 ms, 1 s or 2 s. `reuse_inodes` gives a freed inode number to the very next
    file. Without `has_exec` no file has an executable bit; without `exchange` it is `OSError(EINVAL)`.
    """

    names: Names = "sensitive"
    tick_ns: int = 1
    reuse_inodes: bool = False
    has_exec: bool = True
    exchange: bool = True


def _as_it_is(name: str) -> str:
    return name


def _decomposed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFD", name)


KEYS: Final[dict[str, Callable[[str], str]]] = {"sensitive": _as_it_is, "insensitive": name_key, "nfd": _decomposed}
"""Names of a folder whose keys are equal are one entry."""
SPELLINGS: Final[dict[str, Callable[[str], str]]] = {"sensitive": _as_it_is, "insensitive": _as_it_is, "nfd": _decomposed}
"""How a new name is stored."""
