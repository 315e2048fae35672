"""How fresh an answer is: whether any of it came from a replica while the primary database was away, and as of when.

Whoever takes a request begins a `Freshness` for its task; a store that must answer from behind notes the time in it, and does so
only where one was begun with `may_be_behind`: work that decides what to write or remove never sees old state, it waits for the
primary. Rules ask `is_behind` before they conclude anything from what is missing.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from syncline.model.errors import Unavailable

RETRY_AFTER_S: Final = 2
_current: ContextVar[Freshness | None] = ContextVar("freshness", default=None)


class Freshness:
    """One request's. `as_of_us` is None as long as everything is as new as can be."""

    __slots__ = ("as_of_us", "may_be_behind")

    def __init__(self, *, may_be_behind: bool) -> None:
        self.may_be_behind = may_be_behind
        self.as_of_us: int | None = None


def begin(*, may_be_behind: bool) -> Freshness:
    """For the task that runs, and those it starts from here on."""
    freshness = Freshness(may_be_behind=may_be_behind)
    _current.set(freshness)
    return freshness


def may_be_behind() -> bool:
    """Whether whoever asks could do with an older state than the newest."""
    freshness = _current.get()
    return freshness is not None and freshness.may_be_behind


def note(as_of_us: int) -> None:
    """A part of the answer is as of this time; the oldest counts."""
    freshness = _current.get()
    if freshness is not None:
        freshness.as_of_us = as_of_us if freshness.as_of_us is None else min(freshness.as_of_us, as_of_us)


def is_behind() -> bool:
    """Whether what was read so far may lack the newest commits."""
    freshness = _current.get()
    return freshness is not None and freshness.as_of_us is not None


def check_newest(what: str) -> None:
    """Raises `Unavailable` where `what` may be older than what somebody has seen already, and they would take it for the newest."""
    if is_behind():
        raise Unavailable(what=what, retry_after=RETRY_AFTER_S)
