"""The judge: whether a round left nothing to do (settled), nothing that can be done (stuck), and what may be claimed from that.

"In sync" is a claim about one instant. It stands only while nothing has moved since: neither a tree, nor the disk by the watcher's
word, nor the server by the journal's. Whatever speaks against it has a line with a code, a path and a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from syncline.client.status import Problem, State

HARMLESS: Final = frozenset(("skipped.special",))
"""Told, but no doubt about what is synced."""
UNSEEN: Final = frozenset(("watcher.deaf",))
"""Doubts about what came after the last look at the disk: they say nothing against a scan that was just made."""


class RoundEnd(Struct, frozen=True, kw_only=True):
    """How things stood when a round ended."""

    under_way: bool = False
    """Transfers run, results are unread, or another plan is due at once."""
    unread: bool = False
    """The disk has more to look at: hints, files still being written, a scan that is due."""
    work: bool = False
    """Steps may be done that are no mere reports."""
    held: bool = False
    """Steps are held back until a person decides."""
    waiting: bool = False
    """Planned nodes wait for others that are under way."""
    heard: bool = True
    """The server's head is known."""
    offline: bool = False
    retrying: bool = False
    """Something that failed waits for its next try, or the server for the end of what it is doing."""
    stalled: bool = False
    """The same plan came to nothing again and again."""
    doubt: str | None = None
    """Why the roots prove nothing (`proof.doubt`)."""


class Verdict(Struct, frozen=True, kw_only=True):
    """`settled`: all is done, and proven. `stuck`: nothing more can be done now. `doubt`: all seems done, but roots disagree."""

    settled: bool = False
    stuck: bool = False
    doubt: str | None = None
    version: int = -1
    """The trees' version this speaks about."""


def judge(end: RoundEnd, version: int) -> Verdict:
    """What a round's end amounts to."""
    at_rest = not end.under_way and not end.unread
    done = at_rest and not end.work and not end.held and not end.waiting and end.heard
    if done and end.doubt is None:
        return Verdict(settled=True, version=version)
    # A journal that has moved brings another round at once, and whoever waits is answered by what that one finds.
    idle = at_rest and not end.retrying and (end.offline or (end.heard and not end.work))
    return Verdict(stuck=idle or end.stalled, doubt=end.doubt if done else None, version=version)


class Standing(Struct, frozen=True, kw_only=True):
    """Everything that state and claim depend on, at the moment somebody asks."""

    verdict: Verdict
    version: int
    """The trees' version now."""
    problems: Sequence[Problem]
    moving: Sequence[Problem]
    """What is still to be read, done or waited for, one line each."""
    paused: bool = False
    offline: bool = False
    failing: bool = False

    @property
    def is_moving(self) -> bool:
        stale = self.verdict.version != self.version
        return bool(self.moving) or stale or not (self.verdict.settled or self.verdict.stuck)


def state_of(now: Standing) -> State:
    """The one word. `in_sync` only for a settled verdict about these very trees, with nothing moving and nothing wrong."""
    if now.paused:
        return State.PAUSED
    if any(problem.blocking for problem in now.problems):
        return State.ATTENTION
    if now.offline:
        return State.OFFLINE
    if now.failing:
        return State.DEGRADED
    if now.is_moving:
        return State.SYNCING
    if any(problem.code not in HARMLESS for problem in now.problems):
        return State.DEGRADED
    return State.IN_SYNC if now.verdict.settled else State.SYNCING


def is_in_sync_as_of_a_look(now: Standing) -> bool:
    """What a barrier may answer whose scan and look at the server were just made: later changes are none of its business."""
    clean = all(problem.code in HARMLESS | UNSEEN for problem in now.problems)
    return now.verdict.settled and clean and not (now.paused or now.offline or now.failing)


def unproven(now: Standing, state: State) -> list[Problem]:
    """Every reason why "in sync" is not said; empty only where it is."""
    if state is State.IN_SYNC:
        return []
    reasons = [problem for problem in now.problems if problem.code not in HARMLESS]
    if now.paused:
        reasons.append(Problem(code="paused", path="", message="Nothing is looked at or synced until `syncline resume`."))
    reasons += now.moving
    if not reasons:
        message = now.verdict.doubt or "What was found is being compared with the server's tree."
        reasons.append(Problem(code="work.pending", path="", message=message))
    return list(dict.fromkeys(reasons))
