"""Failpoints: named places where a process under test ends or stops on purpose. Nothing at all unless `SYNCLINE_FAILPOINT` is set.

`SYNCLINE_FAILPOINT=files.rename:before:3=kill` ends this process, as `kill -9` does, just before it renames a file for the third
time. `after` acts when the call has succeeded and its caller knows nothing of it yet. `stop` instead of `kill` freezes the process
until it gets SIGCONT. Whoever wires a program lets its adapters pass through `arm`: a chosen method of one adapter is replaced on
that one object, so a program without a failpoint runs the very code it would run without this module.
"""

from __future__ import annotations

import inspect
import os
import re
import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from msgspec import Struct

from syncline.model.errors import InvalidRequest

VARIABLE: Final = "SYNCLINE_FAILPOINT"

POINTS: Final[dict[str, tuple[str, ...]]] = {
    # A device: its disk, its memory, its server.
    "files": (
        "create",
        "open_write",
        "write",
        "settle",
        "set_attributes",
        "sync_files",
        "rename",
        "exchange",
        "make_folder",
        "remove_folder",
        "remove_file",
        "sync_folders",
        "set_executable",
        "copy_range",
    ),
    "store": ("write", "spool_put", "spool_remove"),
    "remote": (
        "namespaces",
        "snapshot",
        "changes",
        "poll",
        "missing",
        "grant",
        "put_pack",
        "packs_done",
        "commit",
        "manifests",
        "read_into",
    ),
    # A server: a commit's transaction and what stands in it, packs, objects on their way in, and the word that goes round.
    "metadata": ("commit", "write"),
    "packs": ("add_packs", "finish"),
    "uploads": ("add", "opened", "move"),
    "objects": ("draft", "write", "sync", "rename", "place", "create_multipart", "complete_multipart"),
    "hub": ("publish",),
}
"""By adapter, then by method. Some methods belong to what another one gives: `files.write` to the files of `create` and
`open_write`, `metadata.write` to the transaction of `commit` and of `decided`, `objects.write` and `objects.sync` to a draft."""

CLIENT_ROOMS: Final = ("files", "store", "remote")
SERVER_ROOMS: Final = ("metadata", "packs", "uploads", "objects", "hub")
NAMES: Final = tuple(f"{room}.{method}" for room, methods in POINTS.items() for method in methods)

_SPEC: Final = re.compile(
    r"(?P<room>[a-z]+)\.(?P<method>[a-z_]+):(?P<moment>before|after)(?::(?P<nth>[1-9]\d*))?=(?P<act>kill|stop)"
)
_GIVERS: Final = {
    ("files", "write"): ("create", "open_write"),
    ("objects", "write"): ("draft",),
    ("objects", "sync"): ("draft",),
    ("metadata", "write"): ("commit", "decided"),
}
_ALIKE: Final = {("metadata", "commit"): ("commit", "decided")}
"""What one failpoint names and an adapter does by several methods."""
_SIGNALS: Final = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class Failpoint(Struct, frozen=True, kw_only=True):
    """At the `nth` pass of `room`.`method`, before or after the call, this process gets a signal."""

    room: str
    method: str
    after: bool = False
    nth: int = 1
    act: str = "kill"

    @property
    def text(self) -> str:
        return f"{self.room}.{self.method}:{'after' if self.after else 'before'}:{self.nth}={self.act}"


def parse(text: str) -> Failpoint:
    """The failpoint that `text` names. Raises `InvalidRequest` when there is none."""
    match = _SPEC.fullmatch(text)
    if match is None or match["method"] not in POINTS.get(match["room"], ()):
        raise InvalidRequest(message=f"{VARIABLE} names no failpoint: {text!r}")
    after, nth = match["moment"] == "after", int(match["nth"] or 1)
    return Failpoint(room=match["room"], method=match["method"], after=after, nth=nth, act=match["act"])


def arm(environment: Mapping[str, str] | None = None, **adapters: object) -> None:
    """Makes the one chosen method of these adapters (by the names of their rooms) pass the failpoint of the environment, if there
    is any. Raises `InvalidRequest`."""
    text = (os.environ if environment is None else environment).get(VARIABLE)
    if not text:
        return
    point = parse(text)
    if point.room in adapters:
        _Gate(point).stand_before(adapters[point.room])


class _Gate:
    """Counts passes over all objects it stands before, from any thread."""

    def __init__(self, point: Failpoint) -> None:
        self._point = point
        self._passes = 0
        self._lock = threading.Lock()

    def stand_before(self, adapter: object) -> None:
        point = self._point
        givers = _GIVERS.get((point.room, point.method))
        if givers is None:
            for method in _ALIKE.get((point.room, point.method), (point.method,)):
                _replace(adapter, method, self._gated)
        for giver in givers or ():
            _replace(adapter, giver, self._giving)

    def _gated(self, method: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(method):

            async def awaited(*arguments: Any, **options: Any) -> Any:
                self._pass(after=False)
                result = await method(*arguments, **options)
                self._pass(after=True)
                return result

            return awaited
        if _gives_context(method):

            @asynccontextmanager
            async def within(*arguments: Any, **options: Any) -> AsyncIterator[Any]:
                self._pass(after=False)
                async with method(*arguments, **options) as given:
                    yield given
                self._pass(after=True)

            return within

        def called(*arguments: Any, **options: Any) -> Any:
            self._pass(after=False)
            result = method(*arguments, **options)
            self._pass(after=True)
            return result

        return called

    def _giving(self, giver: Callable[..., Any]) -> Callable[..., Any]:
        """`giver`, with the failpoint's method gated on whatever it gives: to its caller, or to the work that is its last
        argument."""
        if inspect.iscoroutinefunction(giver):

            async def lent(*arguments: Any) -> Any:
                *others, work = arguments

                def gated(given: Any) -> Any:
                    _replace(given, self._point.method, self._gated)
                    return work(given)

                return await giver(*others, gated)

            return lent
        if _gives_context(giver):

            @asynccontextmanager
            async def within(*arguments: Any, **options: Any) -> AsyncIterator[Any]:
                async with giver(*arguments, **options) as given:
                    _replace(given, self._point.method, self._gated)
                    yield given

            return within

        def called(*arguments: Any, **options: Any) -> Any:
            given = giver(*arguments, **options)
            _replace(given, self._point.method, self._gated)
            return given

        return called

    def _pass(self, *, after: bool) -> None:
        if after is not self._point.after:
            return
        with self._lock:
            self._passes += 1
            due = self._passes == self._point.nth
        if due:
            os.kill(os.getpid(), _SIGNALS[self._point.act])


def _replace(target: object, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    setattr(target, name, wrap(getattr(target, name)))


def _gives_context(method: Callable[..., Any]) -> bool:
    """Whether it was made by `asynccontextmanager`."""
    return inspect.isasyncgenfunction(inspect.unwrap(method))
