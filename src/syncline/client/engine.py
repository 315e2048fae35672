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
from syncline.client.clock_watch import ClockWatch
from syncline.client.contact import Contact
from syncline.client.crew import Crew
from syncline.client.errands import Errands
from syncline.client.guard import DeleteGuard, guarded
from syncline.client.interludes import Interludes
from syncline.client.judge import RoundEnd, is_in_sync_as_of_a_look, state_of, unproven
from syncline.client.lookout import ROOT_RECHECK_S, Lookout
from syncline.client.looks import Looked, Looks, look_at
from syncline.client.outgoing import Ran
from syncline.client.parts import Parts, make_plan, plan_with_reading
from syncline.client.plan.steps import Fetch, Merge, Plan, Push, Report, Step
from syncline.client.stalls import Stalls
from syncline.client.status import Problem, State
from syncline.client.troubles import Troubles
from syncline.client.witness import Stage, Witness
from syncline.model.errors import NeedsDecision, SynclineError, TooBusy, Unauthenticated, Unavailable

log = structlog.get_logger(__name__)
T = TypeVar("T")

ROUND_REST_S: Final = 1.0
ROUND_REST_CAP_S: Final = 60.0
ROUNDS_FAILED_MAX: Final = 3
"""So many failed rounds in a row, and whoever waits is told so."""
IDLE_CAP_S: Final = 3600.0
FOLD_ASIDE: Final = 1_000
"""So many changed nodes are summed beside the loop, which goes on answering."""
TICK_S: Final = 30.0
"""At rest the clocks are compared so often; nothing else is done then."""
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
        self._clocks = ClockWatch(parts.clock)
        self._once = once
        self._guard = DeleteGuard(parts.clock)
        if confirm_deletes:
            self._guard.confirm()
        self._wake = asyncio.Event()
        self._stopping = False
        self._barriers = Barriers()
        self._troubles = Troubles()
        self.lookout = Lookout(parts, self._troubles, self._barriers)
        self._looks = Looks()
        self._interludes = Interludes()
        self._errands = Errands()
        self._crew = Crew(wake=self._nudge, fault=self._fault)
        self.witness = Witness(parts, self.contact, self._crew, self._troubles)
        self._running = False
        self._replan = True
        self._failed_rounds = 0
        self._stalls = Stalls()
        self._halt = asyncio.Event()

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
        self.lookout.wants_full = self.contact.wanted = True
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
            await self.lookout.look_around()
            await self._look_at_server()
            return self._looked(await asyncio.to_thread(plan_with_reading, self.parts))
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
            await self.lookout.look_around()
            try:
                return await asyncio.to_thread(work)
            finally:
                await self.parts.executor.save()
        answer = self._errands.add(work)
        self._wake.set()
        return await answer

    def problems(self) -> list[Problem]:
        return self.witness.problems()

    def state(self) -> State:
        return self.claim()[0]

    def claim(self) -> tuple[State, list[Problem], list[Problem]]:
        """State, problems, and every reason why it is not in sync, all of one instant. Whatever a program did in a watched folder
        before this call is either on the server or speaks against it."""
        self._notice_a_jump()
        now = self.witness.standing(self._stage())
        state = state_of(now)
        return state, list(now.problems), unproven(now, state)

    def _stage(self) -> Stage:
        return Stage(
            paused=self.paused,
            failing=self._is_failing,
            running=self._running,
            scanning=self.lookout.is_scanning,
            unquiet=self.lookout.unquiet(),
        )

    def _notice_a_jump(self) -> None:
        """After a clock that was set, or a sleep, nothing that was known counts until it was looked at again."""
        jump_s = self._clocks.jumped_s()
        if jump_s is not None:
            self.parts.activity.note("clock", "", f"the clock moved by {jump_s:+,.0f} s; everything is looked at again")
            self.lookout.wants_full = self.contact.wanted = True
            self.contact.try_now()
            self._wake.set()

    @property
    def settled(self) -> bool:
        """Whether the last round left nothing to do, and the roots agreed."""
        return self.witness.verdict.settled

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
        return self.lookout.without_root or Unavailable(what="The engine")

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
            self.witness.withdraw()
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
        self.witness.withdraw()
        self.lookout.wants_full = self.contact.wanted = self._replan = True
        return min(ROUND_REST_CAP_S, ROUND_REST_S * 2.0 ** max(0, min(self._failed_rounds, 10) - 1))

    async def _rest(self) -> None:
        """Sleeps until something wakes the loop, or the next thing is due."""
        now = self.parts.clock.monotonic_s()
        due = [now + IDLE_CAP_S]
        if self.parts.trees.away:
            due.append(now + ROOT_RECHECK_S)
        if self._troubles.has("root"):
            # Whatever else is due cannot be done without the folder, and would be due for ever.
            due.append(now + ROOT_RECHECK_S)
        elif not self.paused:
            due.append(self.lookout.next_full_s())
            instants = (self.parts.observer.next_due_s(), self.parts.parking.next_retry_s(), self.contact.next_due_s())
            due += [instant for instant in instants if instant is not None]
        while not self._wake.is_set() and (left_s := min(due) - self.parts.clock.monotonic_s()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), min(left_s + 0.001, TICK_S))
            self._notice_a_jump()
        if len(self.parts.executor.busy) > CROWD:
            await asyncio.sleep(CROWD_REST_S)

    async def _round(self) -> None:
        parts = self.parts
        self._replan = False
        await asyncio.to_thread(parts.applier.settle)
        self._merge(parts.executor.absorb())
        self._notice_a_jump()
        while self._crew.hints:
            self.witness.withdraw()
            hints = self._crew.hints.popleft()
            if hints.lost is not None:
                log.warning("watcher.lost", reason=hints.lost)
                parts.activity.note("rescan", "", hints.lost)
            parts.observer.mark(hints)
        if self.paused and not self._looks and not self._errands:
            return
        if not await self.lookout.root_is_here():
            self.witness.withdraw()
            self._looks.refuse(self._no_plan())
            self._errands.refuse(self._no_plan())
            return
        await self.lookout.scan()
        if await self._errands.run():
            await parts.executor.save()
            self._replan = True
        await self._look_at_server()
        planned = await asyncio.to_thread(self._plan)
        parts.parking.keep(parts.trees.open)
        if self._looks:
            self._looks.answer(self._looked(planned))
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
        if parts.trees.here.unfolded > FOLD_ASIDE:
            await asyncio.to_thread(parts.trees.here.fold)
        self._judge(planned, steps)
        if await self.witness.audit():
            self.lookout.wants_full = self._replan = True

    async def _look_at_server(self) -> None:
        barriers, before = self._barriers.waiting(), self.contact.looks
        looked = await self.contact.look()
        for barrier in barriers:
            barrier.looked |= looked
            barrier.tried |= self.contact.looks != before

    def _plan(self) -> Plan:
        self.parts.trees.here.fold()
        return make_plan(self.parts)

    def _looked(self, planned: Plan) -> Looked:
        parts = self.parts
        return look_at(planned, self._guard, parts.executor.files_synced, is_empty=not len(parts.trees.local))

    def _guarded(self, planned: Plan) -> list[Step]:
        """The steps that may be done: deletions over the budget wait for a person."""
        steps, problem = guarded(planned, self._guard, self.parts.executor.files_synced, is_empty=not len(self.parts.trees.local))
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
        parts = self.parts
        self.witness.judge(
            RoundEnd(
                under_way=bool(parts.executor.busy) or parts.executor.has_results or self._replan,
                unread=self.lookout.is_unread or bool(self._crew.hints),
                work=any(not _is_report(step) for step in steps),
                held=len(steps) < len(planned.steps),
                waiting=planned.waiting > 0 or bool(parts.trees.away),
                heard=self.contact.is_current,
                offline=self.contact.offline is not None,
                retrying=parts.parking.retrying() or bool(parts.trees.away) or bool(parts.trees.settling),
                stalled=self._stalls.is_told,
            )
        )

    def _count_stalls(self, steps: list[Step]) -> None:
        """Notices a plan that is carried out again and again, at once, and changes nothing."""
        online = self.contact.offline is None
        doing = [step for step in steps if not _is_report(step) and (online or not isinstance(step, Push | Fetch | Merge))]
        self._stalls.see(doing, at_once=self._replan or self.parts.observer.due(self.parts.clock.monotonic_s()))
        self._troubles.set("stalled", self._stalls.problem(doing, self.parts.trees))

    def _answer_barriers(self) -> None:
        waits = not self.parts.executor.busy and not self._replan
        lost = self.paused or self._troubles.is_blocking or isinstance(self.contact.offline, Unauthenticated)
        self._barriers.answer(
            settled=self.witness.verdict.settled,
            in_sync=is_in_sync_as_of_a_look(self.witness.standing(self._stage())),
            stuck=self.witness.verdict.stuck,
            blocked=self._is_failing or (lost and waits),
            offline=self.contact.offline is not None and waits,
        )


def _is_report(step: Step) -> bool:
    return isinstance(step, Report)
