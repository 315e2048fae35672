"""The engine: one control loop that observes, plans and executes, and is the only writer of the trees.

A round takes what transfers brought, scans what the watcher marked, reads the journal where it moved, plans, and carries the plan
out. Everything else (watcher, long poll, the three transfer pipelines) only leaves notes and wakes the loop. Nothing here decides
about files: the planner does. Nothing here touches the disk or the network: ports do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import structlog
from msgspec import Struct

from syncline.client.activity import Activity
from syncline.client.execute import DELETIONS, Executor, Ran
from syncline.client.guard import DeleteGuard, Direction
from syncline.client.hashing import Hasher
from syncline.client.observe.pull import Puller
from syncline.client.observe.scan import Observed, Observer
from syncline.client.parking import Parking
from syncline.client.plan.planner import PlanContext, plan
from syncline.client.plan.steps import Plan, Push, Report, Step
from syncline.client.receive.apply import Applier
from syncline.client.receive.receiver import Receiver
from syncline.client.send.sender import Sender
from syncline.client.status import Problem, State
from syncline.client.trees.trees import Trees
from syncline.model.errors import NeedsDecision, SynclineError, Unauthenticated, Unavailable
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import CLIENT_POLL_MAX_S, CLIENT_POLL_MIN_S, FULL_SCAN_INTERVAL_S
from syncline.ports.clock import Chance, Clock, Ids
from syncline.ports.remote import Remote
from syncline.ports.tree_store import TreeStore
from syncline.ports.watcher import Hints, Watcher
from syncline.protocol.commits import Op

log = structlog.get_logger(__name__)

RECONNECT_FIRST_S: Final = 1.0
RECONNECT_CAP_S: Final = 60.0
ROOT_RECHECK_S: Final = 2.0
FAULT_REST_S: Final = 5.0
HINTS_MAX: Final = 10_000
PURGE_INTERVAL_S: Final = 3600.0
IDLE_CAP_S: Final = 3600.0
CROWD: Final = 500
CROWD_REST_S: Final = 0.05
"""While many transfers run, results are gathered for so long before the next plan looks at them all."""


class Parts(Struct, kw_only=True):
    """Everything an engine is made of."""

    trees: Trees
    store: TreeStore
    remote: Remote
    observer: Observer
    watcher: Watcher | None
    puller: Puller
    applier: Applier
    sender: Sender
    receiver: Receiver
    hasher: Hasher
    executor: Executor
    parking: Parking
    activity: Activity
    clock: Clock
    chance: Chance
    ids: Ids
    device_name: str
    root_id: str
    fold_case: bool = False


class _Barrier:
    """Somebody waits for "in sync as of a scan and a head check begun after this"."""

    def __init__(self) -> None:
        self.scanned = False
        self.pulled = False
        self.settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class Engine:
    """`run` until `stop`; the rest asks or nudges."""

    def __init__(self, parts: Parts, *, confirm_deletes: bool = False, once: bool = False) -> None:
        self.parts = parts
        self.paused = False
        self.offline: SynclineError | None = None
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
        self._hints: deque[Hints] = deque()
        self._barriers: list[_Barrier] = []
        self._full_scan = True
        self._pull_wanted = True
        self._pulled = asyncio.Event()
        self._greeted = False
        self._last_full_s = float("-inf")
        self._last_purge_s = parts.clock.monotonic_s()
        self._reconnect_s = RECONNECT_FIRST_S
        self._reconnect_at_s = float("-inf")
        self._blocking: dict[str, Problem] = {}
        self._plan_problems: list[Problem] = []
        self._scan_problems: list[Problem] = []
        self._disk_problems: dict[str, Problem] = {}
        self._replan = True
        self._stuck = False

    # -- what others may ask -----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        self._stopping = True
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
        self._reconnect_at_s = float("-inf")
        self._replan = True
        self._wake.set()

    def refresh(self) -> None:
        """Asks for a full scan and a look at the server's head."""
        self._full_scan = self._pull_wanted = True
        self.parts.parking.release()
        self._reconnect_at_s = float("-inf")
        self._wake.set()

    async def wait(self, timeout_s: float | None) -> bool:
        """A barrier: true once in sync as of a scan and a head check that both began after this call; false at the timeout, or as
        soon as nothing more can be done without a person or the server."""
        barrier = _Barrier()
        self._barriers.append(barrier)
        self.refresh()
        try:
            return await asyncio.wait_for(barrier.settled, timeout_s)
        except TimeoutError:
            return False
        finally:
            if barrier in self._barriers:
                self._barriers.remove(barrier)

    async def look(self) -> list[Step]:
        """What the next plan would be; changes nothing but which nodes are known to agree."""
        planned = await asyncio.to_thread(self._plan)
        return list(planned.steps)

    def problems(self) -> list[Problem]:
        found = [*self._blocking.values(), *self.parts.parking.problems(), *self._disk_problems.values()]
        found += [*self._plan_problems, *self._scan_problems]
        if self.offline is not None:
            found.append(Problem(code=self.offline.code, path="", message=str(self.offline)))
        return list(dict.fromkeys(found))

    def state(self) -> State:
        problems = self.problems()
        if self.paused:
            return State.PAUSED
        if any(problem.blocking for problem in problems):
            return State.ATTENTION
        if self.offline is not None:
            return State.OFFLINE
        if not self.settled:
            return State.SYNCING
        if any(problem.code != "skipped.special" for problem in problems):
            return State.DEGRADED
        return State.IN_SYNC

    # -- the tasks ---------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until `stop`, or for `once` until nothing is left that can be done."""
        parts = self.parts
        tasks = [
            asyncio.create_task(self._supervised("sender", parts.sender.run)),
            asyncio.create_task(self._supervised("receiver", parts.receiver.run)),
            asyncio.create_task(self._supervised("hasher", parts.hasher.run)),
            asyncio.create_task(self._supervised("poll", self._poll)),
            *(
                asyncio.create_task(self._supervised("results", partial(self._collect, queue)))
                for queue in (parts.sender.results, parts.receiver.results, parts.hasher.results)
            ),
        ]
        if parts.watcher is not None:
            tasks.append(asyncio.create_task(self._supervised("watcher", self._watch)))
        try:
            await self._control()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for barrier in self._barriers:
                if not barrier.settled.done():
                    barrier.settled.set_result(False)

    async def _supervised(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except asyncio.CancelledError:
                raise
            except Exception as fault:
                log.exception("engine.fault", part=name)
                self._fault(name, fault)
                self.parts.executor.forget_transfers()
                await asyncio.sleep(FAULT_REST_S)
                self._disk_problems.pop(f"fault:{name}", None)
                self._replan = True
                self._wake.set()

    def _fault(self, name: str, fault: Exception) -> None:
        message = f"An unexpected fault in the {name} part ({type(fault).__name__}: {fault}); it is restarted."
        self._disk_problems[f"fault:{name}"] = Problem(code="engine.fault", path="", message=message)
        self.parts.activity.note("problem", "", message)

    async def _watch(self) -> None:
        assert self.parts.watcher is not None
        while True:
            hints = await self.parts.watcher.next()
            if len(self._hints) >= HINTS_MAX:
                self._hints.clear()
                hints = Hints(seen=[], lost="more changes at once than could be followed")
            self._hints.append(hints)
            self._wake.set()

    async def _collect(self, results: asyncio.Queue[Any]) -> None:
        """Moves what a pipeline brings to the loop's inbox, and wakes it."""
        while True:
            self.parts.executor.inbox.append(await results.get())
            self._wake.set()

    async def _poll(self) -> None:
        """Holds a long poll; any answer asks for a pull, and the next poll waits until that has moved the cursors."""
        parts = self.parts
        while True:
            await self._pulled.wait()
            cursors = [row.cursor for row in parts.puller.cursors.values()]
            span = CLIENT_POLL_MAX_S - CLIENT_POLL_MIN_S
            timeout_s = int(CLIENT_POLL_MIN_S + span * parts.chance.fraction())
            try:
                answer = await parts.remote.poll(cursors, timeout_s)
            except SynclineError as error:
                if isinstance(error, Unavailable | Unauthenticated):
                    self._lose_contact(error)
                self._pulled.clear()
                self._pull_wanted = True
                self._wake.set()
                await asyncio.sleep(RECONNECT_FIRST_S)
                continue
            if answer.changed or answer.sync:
                moved = any(
                    sequence > parts.puller.cursors[namespace].sequence
                    for namespace, sequence in answer.namespaces.items()
                    if namespace in parts.puller.cursors
                )
                if moved or answer.sync or not answer.namespaces:
                    self._pulled.clear()
                    self._pull_wanted = True
                    self._wake.set()

    # -- the control loop ----------------------------------------------------------------------------------------------------------

    async def _control(self) -> None:
        once = _Barrier() if self._once else None
        if once is not None:
            self._barriers.append(once)
        while not self._stopping:
            self._wake.clear()
            try:
                await self._round()
            except (Unavailable, Unauthenticated) as error:
                self._lose_contact(error)
            except NeedsDecision as decision:
                self._blocking["decision"] = Problem(code=decision.code, path="", message=str(decision), blocking=True)
            except SynclineError as error:
                log.warning("round.failed", code=error.code, error=str(error))
                self._disk_problems["round"] = Problem(code=error.code, path="", message=str(error))
                self._full_scan = self._pull_wanted = True
                await asyncio.sleep(RECONNECT_FIRST_S)
            except Exception as fault:
                log.exception("engine.fault", part="control")
                self._fault("control", fault)
                self._full_scan = self._pull_wanted = True
                await asyncio.sleep(FAULT_REST_S)
            self._answer_barriers()
            if once is not None and once.settled.done():
                return
            if not self._replan:
                await self._rest()

    async def _rest(self) -> None:
        """Sleeps until something wakes the loop, or the next thing is due."""
        now = self.parts.clock.monotonic_s()
        due = [now + IDLE_CAP_S, self._last_full_s + FULL_SCAN_INTERVAL_S]
        for instant in (self.parts.observer.next_due_s(), self.parts.parking.next_retry_s()):
            if instant is not None:
                due.append(instant)
        if self.offline is not None:
            due.append(self._reconnect_at_s)
        if "root" in self._blocking:
            due.append(now + ROOT_RECHECK_S)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0.0, min(due) - now) + 0.001)
        if len(self.parts.executor.busy) > CROWD:
            await asyncio.sleep(CROWD_REST_S)

    async def _round(self) -> None:
        parts = self.parts
        self._replan = False
        self._merge(parts.executor.absorb())
        while self._hints:
            parts.observer.mark(self._hints.popleft())
        if self.paused:
            return
        if not await self._root_is_here():
            return
        await self._scan()
        await self._contact()
        planned = await asyncio.to_thread(self._plan)
        steps = self._guarded(planned)
        online = self.offline is None
        heads = {namespace: row.sequence for namespace, row in parts.puller.cursors.items()}
        ran = await parts.executor.run(steps, heads, online=online)
        self._plan_problems = [problem for problem in ran.problems if problem.code not in _PASSING]
        self._merge(ran)
        if ran.committed:
            self._pull_wanted = True
            await self._contact()
            self._replan = True
        await parts.executor.save()
        if ran.moved:
            self._replan = True
        self._disk_problems.pop("round", None)
        self._disk_problems.pop("fault:control", None)
        self._judge(planned, steps)

    async def _scan(self) -> None:
        parts = self.parts
        now = parts.clock.monotonic_s()
        full = self._full_scan or now - self._last_full_s >= FULL_SCAN_INTERVAL_S
        if not full and not parts.observer.due(now):
            return
        self._full_scan = False
        barriers = [barrier for barrier in self._barriers if full]
        self.observed = await asyncio.to_thread(lambda: parts.observer.scan(full=full))
        if full and self.observed.complete:
            self._last_full_s = now
            for barrier in barriers:
                barrier.scanned = True
        elif full:
            self._last_full_s = now - FULL_SCAN_INTERVAL_S + ROOT_RECHECK_S
        if full:
            self._scan_problems = list(self.observed.problems)
            parts.parking.forget_absent()
        else:
            known = {(problem.code, problem.path) for problem in self._scan_problems}
            self._scan_problems += [new for new in self.observed.problems if (new.code, new.path) not in known]
        await parts.executor.save()
        if now - self._last_purge_s >= PURGE_INTERVAL_S:
            self._last_purge_s = now
            await asyncio.to_thread(parts.applier.purge_trash)

    async def _contact(self) -> None:
        """Reads the journal where it has moved, if there is a server to read."""
        parts = self.parts
        if not self._pull_wanted and self.offline is None:
            return
        if self.offline is not None and parts.clock.monotonic_s() < self._reconnect_at_s:
            return
        self._pull_wanted = False
        barriers = list(self._barriers)
        try:
            if not self._greeted or self.offline is not None:
                await parts.puller.refresh_namespaces()
                self._greeted = True
            for namespace in list(parts.trees.access):
                resets = parts.puller.resets
                await parts.puller.pull(namespace)
                if parts.puller.resets != resets:
                    parts.activity.note("reset", "", "the server's history changed: everything was observed anew, nothing deleted")
        except (Unavailable, Unauthenticated) as error:
            self._pull_wanted = True
            self._lose_contact(error)
            return
        self._find_contact()
        for barrier in barriers:
            barrier.pulled = True
        self._pulled.set()

    def _lose_contact(self, error: SynclineError) -> None:
        if self.offline is None:
            self.parts.activity.note("offline", "", str(error))
        self.offline = error
        self._pulled.clear()
        jitter = 0.5 + self.parts.chance.fraction()
        self._reconnect_at_s = self.parts.clock.monotonic_s() + self._reconnect_s * jitter
        self._reconnect_s = min(RECONNECT_CAP_S, self._reconnect_s * 2)
        if isinstance(error, Unauthenticated):
            message = f"{error} Run `syncline login` again; local changes are kept and will sync then."
            self._blocking["auth"] = Problem(code=error.code, path="", message=message, blocking=True)

    def _find_contact(self) -> None:
        self._blocking.pop("auth", None)
        self._reconnect_s = RECONNECT_FIRST_S
        if self.offline is not None:
            self.offline = None
            self._replan = True
            self.parts.activity.note("online")

    async def _root_is_here(self) -> bool:
        try:
            await asyncio.to_thread(self.parts.applier.check_root, self.parts.root_id)
        except NeedsDecision as decision:
            if "root" not in self._blocking:
                self.parts.activity.note("problem", "", str(decision))
            self._blocking["root"] = Problem(code=decision.code, path="", message=str(decision), blocking=True)
            self.settled = False
            return False
        if self._blocking.pop("root", None) is not None:
            self._full_scan = True
        return True

    def _plan(self) -> Plan:
        parts = self.parts
        held = parts.executor.busy | parts.parking.held()
        today = datetime.fromtimestamp(parts.clock.now_us() / 1e6, UTC).date().isoformat()
        context = PlanContext(
            device=parts.device_name,
            today=today,
            fresh_id=lambda: NodeId(parts.ids.fresh()),
            case_sensitive_disk=not parts.fold_case,
        )
        return plan(parts.trees, context=context, busy=held)

    def _guarded(self, planned: Plan) -> list[Step]:
        """The steps that may be done: deletions over the budget wait for a person."""
        steps = list(planned.steps)
        if not planned.deletes_up and not planned.deletes_down:
            self._blocking.pop("guard", None)
            return steps
        files = self.parts.executor.files_synced()
        over = []
        for direction, count in ((Direction.UP, planned.deletes_up), (Direction.DOWN, planned.deletes_down)):
            if self._guard.allows(direction, count, files):
                self._guard.spend(direction, count)
            else:
                over.append((direction, count))
        if not over:
            self._blocking.pop("guard", None)
            return steps
        held = {direction for direction, _ in over}
        places = {Direction.UP: "on the server", Direction.DOWN: "in this folder"}
        told = " and ".join(f"{count} files {places[direction]}" for direction, count in over)
        message = f"{told} would be deleted. If that is meant, run `syncline resume --yes`; nothing is deleted until then."
        self._blocking["guard"] = Problem(code="delete.guard", path="", message=message, blocking=True)
        groups = {step.group for step in steps if isinstance(step, Push) and step.op is Op.DELETE and step.group is not None}
        return [
            step
            for step in steps
            if not (Direction.DOWN in held and isinstance(step, DELETIONS))
            and not (Direction.UP in held and isinstance(step, Push) and (step.op is Op.DELETE or step.group in groups))
        ]

    def _merge(self, ran: Ran) -> None:
        if ran.rescan:
            self.parts.observer.mark_folders(ran.rescan)
        if ran.lost_contact is not None:
            self._lose_contact(ran.lost_contact)
        if ran.moved:
            self._replan = True

    def _judge(self, planned: Plan, steps: list[Step]) -> None:
        """Whether all is done, as far as this round could see."""
        parts = self.parts
        idle = not parts.executor.busy and not parts.executor.has_results and not self._replan
        quiet = not self.observed.unquiet and not parts.observer.is_dirty and not self._hints and not self._full_scan
        nothing = not [step for step in planned.steps if not _is_report(step)] and not planned.waiting
        heard = self.offline is None and not self._pull_wanted
        self.settled = idle and quiet and nothing and heard and self._roots_agree()
        self._stuck = idle and quiet and not self.settled and not parts.parking.retrying() and self._nothing_to_run(steps)

    def _nothing_to_run(self, steps: list[Step]) -> bool:
        if self.offline is not None:
            return True
        return not [step for step in steps if not _is_report(step)]

    def _roots_agree(self) -> bool:
        puller = self.parts.puller
        for namespace, row in puller.cursors.items():
            if namespace not in self.parts.trees.access:
                continue
            if puller.roots.text(namespace) != row.root:
                return False
            self.verified_us[namespace] = self.parts.clock.now_us()
        return True

    def _answer_barriers(self) -> None:
        for barrier in list(self._barriers):
            if barrier.settled.done():
                self._barriers.remove(barrier)
                continue
            blocked = bool(self._blocking) or self.paused or (self.offline is not None and not self._replan)
            if self.settled and barrier.scanned and barrier.pulled:
                barrier.settled.set_result(self.state() is State.IN_SYNC)
            elif blocked and not self.parts.executor.busy and not self._replan:
                barrier.settled.set_result(False)
            elif self._stuck and barrier.scanned and barrier.pulled:
                barrier.settled.set_result(False)
            if barrier.settled.done():
                self._barriers.remove(barrier)


_PASSING: Final = frozenset(("folder.leftover.pending",))


def _is_report(step: Step) -> bool:
    return isinstance(step, Report)
