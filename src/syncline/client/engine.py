"""The engine: one control loop that observes, plans and executes, and is the only writer of the trees.

A round takes what transfers brought, scans what the watcher marked, reads the journal where it moved, plans, and carries the plan
out. Everything else (watcher, long poll, the three transfer pipelines) only leaves notes and wakes the loop. Nothing here decides
about files: the planner does. Nothing here touches the disk or the network: ports do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

import structlog

from syncline.client.barriers import Barriers
from syncline.client.contact import Contact
from syncline.client.crew import Crew
from syncline.client.errands import Errands
from syncline.client.guard import DeleteGuard, guarded
from syncline.client.interludes import Interludes
from syncline.client.looks import Looked, Looks, look_at
from syncline.client.observe.scan import Observed
from syncline.client.outgoing import Ran
from syncline.client.parts import Parts, make_plan, plan_with_reading, purge_trash
from syncline.client.plan.steps import Fetch, Merge, Plan, Push, Report, Step
from syncline.client.stalls import Stalls
from syncline.client.status import Problem, State
from syncline.client.troubles import Troubles
from syncline.model.errors import NeedsDecision, SynclineError, TooBusy, Unauthenticated, Unavailable
from syncline.model.ids import NamespaceId
from syncline.model.limits import FULL_SCAN_INTERVAL_S, QUIET_WINDOW_S

log = structlog.get_logger(__name__)
T = TypeVar("T")

ROOT_RECHECK_S: Final = 2.0
ROUND_REST_S: Final = 1.0
ROUND_REST_CAP_S: Final = 60.0
ROUNDS_FAILED_MAX: Final = 3
"""So many failed rounds in a row, and whoever waits is told so."""
PURGE_INTERVAL_S: Final = 3600.0
IDLE_CAP_S: Final = 3600.0
LOOK_CAP_S: Final = 2 * QUIET_WINDOW_S
LOOK_AGAIN_S: Final = QUIET_WINDOW_S / 4
_HARMLESS: Final = frozenset(("skipped.special",))
CROWD: Final = 500
CROWD_REST_S: Final = 0.05
"""While many transfers run, results are gathered for so long before the next plan looks at them all."""


class Engine:
    """`run` until `stop`; the rest asks or nudges."""

    def __init__(self, parts: Parts, *, confirm_deletes: bool = False, once: bool = False) -> None:
        self.parts = parts
        self.paused = False
        self.contact = Contact(
            remote=parts.remote,
            puller=parts.puller,
            trees=parts.trees,
            activity=parts.activity,
            clock=parts.clock,
            chance=parts.chance,
            wake=self._nudge,
        )
        self.verified_us: dict[NamespaceId, int] = {}
        self.settled = False
        """Nothing was planned, nothing was under way, nothing was unread when the last round ended."""
        self.observed = Observed()
        self._once = once
        self._guard = DeleteGuard(parts.clock)
        if confirm_deletes:
            self._guard.confirm()
        self._wake = asyncio.Event()
        self._stopping = False
        self._barriers = Barriers()
        self._full_scan = True
        self._last_full_s = float("-inf")
        self._last_purge_s = parts.clock.monotonic_s()
        self._troubles = Troubles()
        self._looks = Looks()
        self._interludes = Interludes()
        self.scanned_whole_us: int | None = None
        """When (wall clock) the last full scan that saw everything began."""
        self._errands = Errands()
        self._crew = Crew(wake=self._nudge, fault=self._fault)
        self._running = False
        self._replan = True
        self._stuck = False
        self._failed_rounds = 0
        self._stalls = Stalls()
        self._halt = asyncio.Event()
        self._without_root: NeedsDecision | None = None

    # -- what others may ask -----------------------------------------------------------------------------------------------------

    def _nudge(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        """The round under way is the last one."""
        self._stopping = True
        self._halt.set()
        self._wake.set()

    def pause(self) -> None:
        self.paused = True
        self._wake.set()

    def resume(self, *, confirm_deletes: bool = False) -> None:
        """Goes on; what was parked or offline is tried at once."""
        self.paused = False
        if confirm_deletes:
            self._guard.confirm()
        self.parts.parking.release()
        self.contact.try_now()
        self._replan = True
        self._wake.set()

    def refresh(self) -> None:
        """Asks for a full scan and a look at the server's head."""
        self._full_scan = self.contact.wanted = True
        self.parts.parking.release()
        self.contact.try_now()
        self._wake.set()

    async def wait(self, timeout_s: float | None) -> bool:
        """A barrier: true once in sync as of a scan and a head check that both began after this call; false at the timeout, or as
        soon as nothing more can be done without a person or the server."""
        barrier = self._barriers.add()
        self.refresh()
        try:
            return await asyncio.wait_for(barrier.settled, timeout_s)
        except TimeoutError:
            return False
        finally:
            self._barriers.drop(barrier)

    async def look(self) -> Looked:
        """What the next plan would be; changes nothing but which nodes are known to agree."""
        if not self._running:
            await self._look_around()
            await self._look_at_server()
            return look_at(await asyncio.to_thread(plan_with_reading, self.parts), self._guard, self.parts.executor.files_synced)
        answer = self._looks.add()
        self._wake.set()
        return await answer

    async def between(self, work: Callable[[], T]) -> T:
        """What `work` gives, done while no round is under way. It must be quick, and change nothing the engine goes by."""
        if not self._running:
            return work()
        answer = self._interludes.add(work)
        self._wake.set()
        return await answer

    async def errand(self, work: Callable[[], T]) -> T:
        """What `work` gives, done in a thread while nothing else here touches the trees or the folder, which was just looked at."""
        if not self._running:
            await self._look_around()
            try:
                return await asyncio.to_thread(work)
            finally:
                await self.parts.executor.save()
        answer = self._errands.add(work)
        self._wake.set()
        return await answer

    async def _look_around(self) -> None:
        """A full scan for who asks while the loop does not run; what was just written, or is gone, gets the time to be sure of."""
        if not await self._root_is_here():
            raise self._without_root or Unavailable(what="The folder")
        until = self.parts.clock.monotonic_s() + LOOK_CAP_S
        await self._scan()
        while (self.observed.unquiet or self.parts.observer.is_dirty) and self.parts.clock.monotonic_s() < until:
            await asyncio.sleep(LOOK_AGAIN_S)
            await self._scan()

    def problems(self) -> list[Problem]:
        found = [*self._troubles.all(), *self.parts.parking.problems()]
        if (lost := self.contact.problem()) is not None:
            found.append(lost)
        return list(dict.fromkeys(found))

    def state(self) -> State:
        problems = self.problems()
        if self.paused:
            return State.PAUSED
        if any(problem.blocking for problem in problems):
            return State.ATTENTION
        if self.contact.offline is not None:
            return State.OFFLINE
        if self._is_failing:
            return State.DEGRADED
        unread = self._crew.hints or self._full_scan or self.contact.wanted or self.parts.observer.is_dirty
        if unread or not (self.settled or self._stuck):
            return State.SYNCING
        if any(problem.code not in _HARMLESS for problem in problems):
            return State.DEGRADED
        return State.IN_SYNC if self.settled else State.SYNCING

    @property
    def _is_failing(self) -> bool:
        return self._failed_rounds >= ROUNDS_FAILED_MAX

    # -- the tasks ---------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until `stop`, or for `once` until nothing is left that can be done."""
        parts, crew = self.parts, self._crew
        for name, work in (("sender", parts.sender.run), ("receiver", parts.receiver.run), ("hasher", parts.hasher.run)):
            crew.start(name, work)
        crew.start("poll", self.contact.poll)
        crew.collect((parts.sender.results, parts.receiver.results, parts.hasher.results), parts.executor.inbox)
        if parts.watcher is not None:
            crew.watch(parts.watcher)
        self._running = True
        control = asyncio.create_task(self._control())
        try:
            await asyncio.shield(control)
        except asyncio.CancelledError:
            # A thread cannot be cancelled: the round under way ends, so that nobody writes to what the caller closes next.
            self.stop()
            await asyncio.wait([control])
            raise
        finally:
            control.cancel()
            await asyncio.gather(control, return_exceptions=True)
            await crew.end()
            self._running = False
            self._barriers.close()
            self._looks.refuse(self._no_plan())
            self._interludes.refuse(self._no_plan())
            self._errands.refuse(self._no_plan())

    def _fault(self, name: str, fault: Exception | None) -> None:
        """A part failed by surprise (and what it had under way is planned anew), or runs again."""
        if fault is None:
            self._troubles.set(f"fault:{name}", None)
            self._replan = True
            return
        message = f"An unexpected fault in the {name} part ({type(fault).__name__}: {fault}); it is restarted."
        self._troubles.set(f"fault:{name}", Problem(code="engine.fault", path="", message=message))
        self.parts.activity.note("problem", "", message)
        self.parts.executor.forget_transfers()

    def _no_plan(self) -> SynclineError:
        return self._without_root or Unavailable(what="The engine")

    # -- the control loop ----------------------------------------------------------------------------------------------------------

    async def _control(self) -> None:
        once = self._barriers.add() if self._once else None
        while not self._stopping:
            self._wake.clear()
            self._interludes.play()
            rest_s = await self._guarded_round()
            self._answer_barriers()
            if once is not None and once.settled.done():
                return
            if rest_s:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._halt.wait(), rest_s)
            elif not self._replan:
                await self._rest()

    async def _guarded_round(self) -> float:
        """One round; how many seconds to rest after it whatever happens (0 after a good one). A round that failed is made again,
        from a full scan and the journal, later each time."""
        try:
            await self._round()
            self._failed_rounds = 0
            return self._stalls.rest_s
        except (Unavailable, TooBusy, Unauthenticated) as error:
            self.contact.lose(error)
            self.settled = self._stuck = False
            return ROUND_REST_S
        except NeedsDecision as decision:
            self._troubles.set("decision", Problem(code=decision.code, path="", message=str(decision), blocking=True))
        except SynclineError as error:
            log.warning("round.failed", code=error.code, error=str(error))
            self._troubles.set("round", Problem(code=error.code, path="", message=str(error)))
            self._failed_rounds += 1
        except Exception as fault:
            log.exception("engine.fault", part="control")
            self._fault("control", fault)
            self._failed_rounds = max(ROUNDS_FAILED_MAX, self._failed_rounds + 1)
        self.settled = self._stuck = False
        self._full_scan = self.contact.wanted = self._replan = True
        return min(ROUND_REST_CAP_S, ROUND_REST_S * 2.0 ** max(0, min(self._failed_rounds, 10) - 1))

    async def _rest(self) -> None:
        """Sleeps until something wakes the loop, or the next thing is due."""
        now = self.parts.clock.monotonic_s()
        due = [now + IDLE_CAP_S]
        if self._troubles.has("root"):
            # Whatever else is due cannot be done without the folder, and would be due for ever.
            due.append(now + ROOT_RECHECK_S)
        elif not self.paused:
            due.append(self._last_full_s + FULL_SCAN_INTERVAL_S)
            instants = (self.parts.observer.next_due_s(), self.parts.parking.next_retry_s(), self.contact.next_try_s())
            due += [instant for instant in instants if instant is not None]
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0.0, min(due) - now) + 0.001)
        if len(self.parts.executor.busy) > CROWD:
            await asyncio.sleep(CROWD_REST_S)

    async def _round(self) -> None:
        parts = self.parts
        self._replan = False
        await asyncio.to_thread(parts.applier.settle)
        self._merge(parts.executor.absorb())
        while self._crew.hints:
            self.settled = False
            parts.observer.mark(self._crew.hints.popleft())
        if self.paused and not self._looks and not self._errands:
            return
        if not await self._root_is_here():
            self._looks.refuse(self._no_plan())
            self._errands.refuse(self._no_plan())
            return
        await self._scan()
        if await self._errands.run():
            await parts.executor.save()
            self._replan = True
        await self._look_at_server()
        planned = await asyncio.to_thread(self._plan)
        parts.parking.keep(parts.trees.open)
        if self._looks:
            self._looks.answer(look_at(planned, self._guard, parts.executor.files_synced))
        if self.paused:
            return
        steps = self._guarded(planned)
        online = self.contact.offline is None
        heads = {namespace: row.sequence for namespace, row in parts.puller.cursors.items()}
        ran = await parts.executor.run(steps, heads, online=online)
        self._troubles.planned(ran.problems)
        self._merge(ran)
        if ran.committed:
            if not await parts.puller.take_own() or ran.refused:
                self.contact.wanted = True
                await self._look_at_server()
            self._replan = True
        await parts.executor.save()
        if ran.moved:
            self._replan = True
        for key in ("round", "decision", "fault:control"):
            self._troubles.set(key, None)
        self._count_stalls(steps)
        self._judge(planned, steps)

    async def _scan(self) -> None:
        parts = self.parts
        now = parts.clock.monotonic_s()
        full = self._full_scan or parts.observer.wants_full or now - self._last_full_s >= FULL_SCAN_INTERVAL_S
        if not full and not parts.observer.due(now):
            return
        self._full_scan = False
        barriers = self._barriers.waiting() if full else []
        self.observed = await asyncio.to_thread(lambda: parts.observer.scan(full=full))
        if full and self.observed.complete:
            self._last_full_s = now
            self.scanned_whole_us = parts.clock.now_us() - round((parts.clock.monotonic_s() - now) * 1e6)
            for barrier in barriers:
                barrier.scanned = True
        elif full:
            self._last_full_s = now - FULL_SCAN_INTERVAL_S + ROOT_RECHECK_S
        self._troubles.scanned(self.observed.problems)
        if full:
            # What kept these folders may be gone by now: the next plan tries once more.
            parts.executor.leftovers.clear()
        await parts.executor.save()
        if now - self._last_purge_s >= PURGE_INTERVAL_S:
            self._last_purge_s = now
            await asyncio.to_thread(purge_trash, parts)

    async def _look_at_server(self) -> None:
        barriers = self._barriers.waiting()
        if await self.contact.look():
            for barrier in barriers:
                barrier.looked = True

    async def _root_is_here(self) -> bool:
        try:
            await asyncio.to_thread(self.parts.applier.check_root, self.parts.root_id)
        except NeedsDecision as decision:
            self._without_root = decision
            problem = Problem(code=decision.code, path="", message=str(decision), blocking=True)
            if self._troubles.set("root", problem):
                self.parts.activity.note("problem", "", str(decision))
            self.settled = self._stuck = False
            return False
        self._without_root = None
        if self._troubles.set("root", None):
            self._full_scan = True
        return True

    def _plan(self) -> Plan:
        return make_plan(self.parts)

    def _guarded(self, planned: Plan) -> list[Step]:
        """The steps that may be done: deletions over the budget wait for a person."""
        steps, problem = guarded(planned, self._guard, self.parts.executor.files_synced)
        self._troubles.set("guard", problem)
        return steps

    def _merge(self, ran: Ran) -> None:
        if ran.rescan:
            self.parts.observer.mark_folders(ran.rescan)
        if ran.lost_contact is not None:
            self.contact.lose(ran.lost_contact)
        for booking in ran.bookings:
            self.parts.puller.expect(booking)
        for direction, content in ran.deleted:
            self._guard.spend(direction, (content,))
        for direction, content in ran.returned:
            self._guard.give_back(direction, content)
        if ran.moved:
            self._replan = True

    def _judge(self, planned: Plan, steps: list[Step]) -> None:
        """Whether all is done, as far as this round could see."""
        parts = self.parts
        idle = not parts.executor.busy and not parts.executor.has_results and not self._replan
        quiet = not self.observed.unquiet and not parts.observer.is_dirty and not self._crew.hints and not self._full_scan
        nothing = not [step for step in planned.steps if not _is_report(step)] and not planned.waiting
        heard = self.contact.is_current
        self.settled = idle and quiet and nothing and heard and self._roots_agree()
        at_rest = idle and quiet and not parts.parking.retrying() and self._nothing_to_run(steps)
        self._stuck = not self.settled and (at_rest or self._stalls.is_told)

    def _count_stalls(self, steps: list[Step]) -> None:
        """Notices a plan that is carried out again and again, at once, and changes nothing."""
        online = self.contact.offline is None
        doing = [step for step in steps if not _is_report(step) and (online or not isinstance(step, Push | Fetch | Merge))]
        self._stalls.see(doing, at_once=self._replan or self.parts.observer.due(self.parts.clock.monotonic_s()))
        told = None
        if self._stalls.is_told:
            path = self.parts.trees.local_path(doing[0].node) or self.parts.trees.remote_path(doing[0].node) or ""
            log.warning("plan.stalled", steps=len(doing), kind=type(doing[0]).__name__, why=doing[0].why)
            told = Problem(code="plan.stalled", path=path, message="Nothing comes of what is planned for it; it is tried on.")
        self._troubles.set("stalled", told)

    def _nothing_to_run(self, steps: list[Step]) -> bool:
        if self.contact.offline is not None:
            return True
        return not [step for step in steps if not _is_report(step)]

    def _roots_agree(self) -> bool:
        puller = self.parts.puller
        for namespace in self.parts.trees.access:
            row = puller.cursors.get(namespace)
            if row is None or puller.roots.text(namespace) != row.root:
                return False
            self.verified_us[namespace] = self.parts.clock.now_us()
        return True

    def _answer_barriers(self) -> None:
        lost = self.contact.offline is not None or self.paused or self._troubles.is_blocking
        self._barriers.answer(
            settled=self.settled,
            in_sync=self.state() is State.IN_SYNC,
            stuck=self._stuck,
            blocked=self._is_failing or (lost and not self.parts.executor.busy and not self._replan),
        )


def _is_report(step: Step) -> bool:
    return isinstance(step, Report)
