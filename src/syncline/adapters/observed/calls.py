"""Standing around one method of one object, as failpoints do: without it, a program runs the very code it would run anyway."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

from syncline.model.errors import SynclineError, Unavailable
from syncline.ports.clock import Clock
from syncline.ports.meter import Meter, Metric
from syncline.ports.tracer import NO_TRACER, Tracer

Ended: TypeAlias = Callable[[Any, BaseException | None], None]
"""Told of a call's result or of what it raised."""
Begun: TypeAlias = Callable[..., Ended]
"""Told of a call's arguments as it begins; gives what to tell of its end."""

OK: Final = "ok"
REFUSED: Final = "refused"
"""The caller's fault, or nobody's: an answer like any other."""
FAILED: Final = "failed"


def watch(target: object, method: str, begun: Begun) -> None:
    """From now on `begun` is told of every call of `target.method`, be it a function, a coroutine or an async context."""
    inner = getattr(target, method)
    if inspect.iscoroutinefunction(inner):
        setattr(target, method, _awaited(inner, begun))
    elif inspect.isasyncgenfunction(inspect.unwrap(inner)):
        setattr(target, method, _within(inner, begun))
    else:
        setattr(target, method, _called(inner, begun))


def outcome_of(error: BaseException | None) -> str:
    """Few values: what an operator acts on is `failed`."""
    if error is None:
        return OK
    return REFUSED if isinstance(error, SynclineError) and not isinstance(error, Unavailable) else FAILED


def time_calls(
    target: object,
    methods: Iterable[str],
    clock: Clock,
    meter: Meter,
    seconds: Metric,
    *,
    label: str = "",
    span: str = "",
    tracer: Tracer = NO_TRACER,
) -> None:
    """Observes in `seconds`, labelled with the method (or `label`) and the outcome, each call of these methods that `target` has;
    with `span` a tracer is told of each, too."""
    for method in methods:
        if hasattr(target, method):
            watch(target, method, _timed(label or method, clock, meter, seconds, f"{span}.{method}" if span else "", tracer))


def _timed(label: str, clock: Clock, meter: Meter, seconds: Metric, span: str, tracer: Tracer) -> Begun:
    def begun(*_arguments: Any, **_options: Any) -> Ended:
        since = clock.monotonic_s()
        close = tracer.begin(span) if span else None

        def ended(_result: Any, error: BaseException | None) -> None:
            meter.observe(seconds, clock.monotonic_s() - since, label, outcome_of(error))
            if close is not None:
                close(error)

        return ended

    return begun


def _awaited(inner: Callable[..., Any], begun: Begun) -> Callable[..., Any]:
    async def awaited(*arguments: Any, **options: Any) -> Any:
        ended = begun(*arguments, **options)
        try:
            result = await inner(*arguments, **options)
        except BaseException as error:
            ended(None, error)
            raise
        ended(result, None)
        return result

    return awaited


def _called(inner: Callable[..., Any], begun: Begun) -> Callable[..., Any]:
    def called(*arguments: Any, **options: Any) -> Any:
        ended = begun(*arguments, **options)
        try:
            result = inner(*arguments, **options)
        except BaseException as error:
            ended(None, error)
            raise
        ended(result, None)
        return result

    return called


def _within(inner: Callable[..., Any], begun: Begun) -> Callable[..., Any]:
    @asynccontextmanager
    async def within(*arguments: Any, **options: Any) -> AsyncIterator[Any]:
        ended = begun(*arguments, **options)
        try:
            async with inner(*arguments, **options) as given:
                yield given
        except BaseException as error:
            ended(None, error)
            raise
        ended(None, None)

    return within
