"""The witness: everything that may be claimed of a device at any instant, and the audits that keep the claim honest.

The engine tells it how each round ended; whoever asks is answered from that verdict and from what moved since. It never takes the
engine's word for "in sync": the Merkle sums over what is here must be the server's.
"""

from __future__ import annotations

import asyncio

import structlog
from msgspec import Struct
from msgspec.structs import replace

from syncline.client import moving
from syncline.client.audit import Auditor, audit
from syncline.client.contact import Contact
from syncline.client.crew import Crew
from syncline.client.judge import RoundEnd, Standing, Verdict, judge
from syncline.client.parts import Parts
from syncline.client.proof import away_on_purpose, doubt
from syncline.client.status import Problem
from syncline.client.troubles import Troubles
from syncline.model.ids import NamespaceId

log = structlog.get_logger(__name__)


class Stage(Struct, frozen=True, kw_only=True):
    """What the engine alone knows of the moment."""

    paused: bool
    failing: bool
    running: bool
    scanning: bool
    """A scan runs, or a full one is due."""
    unquiet: list[str]
    """Some of the files that wait until nobody writes to them any more."""


class Witness:
    """`judge` at each round's end, then `audit`; `standing` whenever somebody asks."""

    def __init__(self, parts: Parts, contact: Contact, crew: Crew, troubles: Troubles) -> None:
        self._parts = parts
        self._contact = contact
        self._crew = crew
        self._troubles = troubles
        self.auditor = Auditor(parts.clock)
        self.verdict = Verdict()
        self.verified_us: dict[NamespaceId, int] = {}
        """When each namespace's root last equalled the server's (wall clock)."""

    def withdraw(self) -> None:
        """The last verdict holds no more."""
        self.verdict = Verdict()

    def problems(self) -> list[Problem]:
        found = [*self._troubles.all(), *self._parts.parking.problems()]
        if (lost := self._contact.problem()) is not None:
            found.append(lost)
        watcher = self._parts.watcher
        if watcher is not None and (deaf := watcher.deaf()) is not None:
            message = f"{deaf[:1].upper()}{deaf[1:]}. Changes there are found by a scan every ten minutes only."
            found.append(Problem(code="watcher.deaf", path="", message=message))
        return list(dict.fromkeys(found))

    def standing(self, stage: Stage) -> Standing:
        parts, watcher = self._parts, self._parts.watcher
        # What a watcher saw after the last round of all is nobody's any more: the claim is as of that round.
        unread = bool(self._crew.hints) or (stage.running and watcher is not None and watcher.is_unread())
        dirty = parts.observer.is_dirty
        disk = moving.of_the_disk(unread=unread, scanning=stage.scanning, dirty=dirty, unquiet=stage.unquiet)
        return Standing(
            verdict=self.verdict,
            version=parts.trees.version,
            problems=self.problems(),
            moving=[*disk, *moving.of_the_server(self._contact), *moving.of_the_work(parts.trees, parts.executor.busy)],
            paused=stage.paused,
            offline=self._contact.offline is not None,
            failing=stage.failing,
        )

    def judge(self, end: RoundEnd) -> Verdict:
        """The verdict on a round; `end.doubt` is this witness's own to say."""
        parts = self._parts
        parts.trees.here.fold()
        reason = doubt(parts.trees, parts.puller.cursors, away_on_purpose(parts.trees, parts.excluded))
        self.verdict = judge(replace(end, doubt=reason), parts.trees.version)
        if self.verdict.settled:
            for namespace in parts.trees.access:
                self.verified_us[namespace] = parts.clock.now_us()
            self.auditor.proven()
            if self._troubles.set("proof", None):
                parts.activity.note("healed", "", "the Merkle roots agree again")
        return self.verdict

    async def audit(self) -> bool:
        """Daily, and where all is done but the roots disagree: everything is compared, mended and told. True when something was
        mended, so that a full scan, a look at the server and another plan are due, in this order."""
        verdict, parts = self.verdict, self._parts
        doubted = verdict.doubt is not None
        if not (verdict.settled or doubted) or not self.auditor.is_due(doubt=doubted):
            return False
        found = await asyncio.to_thread(audit, parts.trees, parts.puller)
        clean = found.is_clean and not doubted
        self.auditor.done(clean=clean)
        if clean:
            return False
        problem = found.problem(verdict.doubt)
        log.warning("proof.mismatch", reason=problem.message)
        if self._troubles.set("proof", problem):
            parts.activity.note("problem", problem.path, problem.message)
        self.verdict = Verdict(stuck=found.is_clean, doubt=verdict.doubt, version=parts.trees.version)
        parts.puller.doubt(found.read_anew)
        self._contact.wanted = self._contact.wanted or bool(found.read_anew)
        return not found.is_clean
