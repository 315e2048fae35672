"""The rooms of a server seen from around them: commits, pages of the journal, wake-ups, regular tasks.

They are told by what their calls take and give, so nothing here depends on how a room does its work.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from syncline.adapters.observed.calls import Ended, outcome_of, watch
from syncline.ports.clock import Clock
from syncline.ports.meter import Meter
from syncline.ports.metrics import (
    COMMIT_SECONDS,
    FILES_COMMITTED,
    INGEST_SECONDS,
    JOURNAL_LAG,
    PRUNED,
    TASK_DONE,
    TASK_FAILURES,
    TASK_SECONDS,
    WAITERS_OPEN,
    WAKE_UP_SECONDS,
)
from syncline.ports.tracer import NO_TRACER, Tracer
from syncline.protocol.notifications import Hint

COMMITS: Final = ("commit", "commit_raw", "commit_wide")
_hints: Final = msgspec.json.Decoder(Hint)
_HEARD_MAX: Final = 10_000
"""Namespaces whose last news is remembered, for the time it took to wake whoever waited."""

Task = Callable[[], Awaitable[object]]


def observe_metadata(metadata: object, clock: Clock, meter: Meter, tracer: Tracer = NO_TRACER) -> None:
    """Commits (`commit(caller, request, …)`, whose request bears `changes`) and `changes`, whose pages say where they stand."""

    def commit(_caller: Any, request: Any, *_arguments: Any, **_options: Any) -> Ended:
        since = clock.monotonic_s()
        close = tracer.begin("metadata.commit", facts={"syncline.changes": str(len(request.changes))})

        def ended(_answer: Any, error: BaseException | None) -> None:
            meter.observe(COMMIT_SECONDS, clock.monotonic_s() - since, outcome_of(error))
            if error is None:
                meter.add(FILES_COMMITTED, len(request.changes))
            close(error)

        return ended

    def changes(*_arguments: Any, **_options: Any) -> Ended:
        close = tracer.begin("metadata.changes")

        def ended(page: Any, error: BaseException | None) -> None:
            if page is not None:
                meter.observe(JOURNAL_LAG, page.head_sequence - page.sequence)
            close(error)

        return ended

    for name in COMMITS:
        if hasattr(metadata, name):
            watch(metadata, name, commit)
    watch(metadata, "changes", changes)


class WakeUps:
    """How long whoever waited took to be told. Many rooms tell the hub its news, so it must be seen before they are made."""

    def __init__(self, clock: Clock, meter: Meter) -> None:
        self._clock = clock
        self._meter = meter
        self._heard: OrderedDict[str, float] = OrderedDict()

    def observe_hub(self, hub: Any) -> None:
        """Its news: `publish(namespace, sequence)`."""
        self._meter.read_from(WAITERS_OPEN, lambda: hub.waiting)
        watch(hub, "publish", self._publish)

    def observe_polling(self, polling: object) -> None:
        """The answers to those who wait: `poll`."""
        watch(polling, "poll", self._poll)

    def said(self, message: bytes, since_s: float) -> None:
        """What a socket that is open since `since_s` was told."""
        try:
            hint = _hints.decode(message)
        except msgspec.DecodeError:
            return
        if hint.changed:
            self.told(hint.namespaces, since_s)

    def told(self, namespaces: Iterable[str], since_s: float) -> None:
        """Somebody who waited since `since_s` was told just now that these moved."""
        # What was news before the question came was not waited for.
        news = [at for name in namespaces if (at := self._heard.get(name)) is not None and at >= since_s]
        if news:
            self._meter.observe(WAKE_UP_SECONDS, self._clock.monotonic_s() - min(news))

    def _publish(self, namespace: str, *_arguments: Any, **_options: Any) -> Ended:
        self._heard[namespace] = self._clock.monotonic_s()
        self._heard.move_to_end(namespace)
        while len(self._heard) > _HEARD_MAX:
            self._heard.popitem(last=False)
        return _nothing

    def _poll(self, *_arguments: Any, **_options: Any) -> Ended:
        since = self._clock.monotonic_s()

        def ended(answer: Any, _error: BaseException | None) -> None:
            if answer is not None and answer.changed:
                self.told(answer.namespaces, since)

        return ended


def observe_ingest(ingest: object, method: str, clock: Clock, meter: Meter) -> None:
    """Taking in one content, which is what `method` does."""

    def begun(*_arguments: Any, **_options: Any) -> Ended:
        since = clock.monotonic_s()
        return lambda _result, error: meter.observe(INGEST_SECONDS, clock.monotonic_s() - since, outcome_of(error))

    watch(ingest, method, begun)


def observed_tasks(tasks: Mapping[str, Task], clock: Clock, meter: Meter) -> dict[str, Task]:
    """The same regular tasks, each round of which is told."""
    return {name: _observed(name, task, clock, meter) for name, task in tasks.items()}


def _observed(name: str, task: Task, clock: Clock, meter: Meter) -> Task:
    meter.add(TASK_FAILURES, 0, name)

    async def round_() -> object:
        since = clock.monotonic_s()
        try:
            result = await task()
        except Exception:
            meter.add(TASK_FAILURES, 1, name)
            raise
        meter.observe(TASK_SECONDS, clock.monotonic_s() - since, name)
        meter.stand(TASK_DONE, clock.now_us() / 1e6, name)
        for kind in ("journal_rows", "answers"):
            if removed := getattr(result, kind, 0):
                meter.add(PRUNED, removed, kind)
        return result

    return round_


def _nothing(_result: Any, _error: BaseException | None) -> None:
    return
