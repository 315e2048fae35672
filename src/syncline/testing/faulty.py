"""Twins of ports that fail on purpose: a crash or an error at the n-th call, or anything a test wants to do between two calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Crash(BaseException):
    """The process died here. No rule catches it."""


class Countdown:
    """Counts calls over several twins. At the call whose number is `at` (from 0) it does `fault`: before the call is made, or after
    it with `after`. From then on every call is refused, since a dead process makes none."""

    def __init__(self, at: int, *, after: bool = False) -> None:
        self.at = at
        self.after = after
        self.calls = 0
        self.fired = False

    def around(self, call: Callable[[], Any]) -> Any:
        if self.fired:
            raise Crash
        mine = self.calls == self.at
        self.calls += 1
        if mine and not self.after:
            self.fired = True
            raise Crash
        try:
            return call()
        finally:
            if mine:
                self.fired = True
                raise Crash


class Faulty:
    """A twin of any port. `countdown` guards every method; `before` and `after` map a method to what happens around it, given
    its arguments (raise there to fail the call)."""

    def __init__(self, port: Any, countdown: Countdown | None = None) -> None:
        self.port = port
        self.countdown = countdown
        self.before: dict[str, Callable[..., None]] = {}
        self.after: dict[str, Callable[..., None]] = {}

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.port, name)
        if not callable(method):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            if name in self.before:
                self.before[name](*args, **kwargs)
            answer = method(*args, **kwargs)
            if name in self.after:
                self.after[name](*args, **kwargs)
            return answer

        def guarded(*args: Any, **kwargs: Any) -> Any:
            return call(*args, **kwargs) if self.countdown is None else self.countdown.around(lambda: call(*args, **kwargs))

        return guarded
