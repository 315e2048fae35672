"""The phases of a run: requests from the world (good ones, and good ones made odd), requests that schemathesis draws from the
document, and its stateful runs along the document's links."""

from __future__ import annotations

import random
import warnings
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase
from schemathesis import Case, GenerationMode
from schemathesis.core import NotSet
from schemathesis.generation.stateful import run_state_machine_as_test

from tests.fuzz.feeds import FEEDS
from tests.fuzz.odd import spoil
from tests.fuzz.world import Ask, Person, Unmet, World, looks_like_ours

ODD_SHARE = 0.5
GROUNDED_SHARE = 0.7
STRANGER_SHARE = 0.03
TRIES_MAX = 4
"""What reaches too few good answers is tried so many times as often as it should."""
IDLE_MAX = 20
"""Stateful runs in a row that sent nothing, after which there is nothing to follow."""
POLLS = ("GET /v1/notifications/poll", "POST /v1/notifications/poll")
_ALIKE = {"file": "node_id", "folder": "node_id", "share": "namespace", "upload": "uploadId", "file_id": "node_id"}
"""Names under which what a parameter takes stands in answers."""


def feed(world: World, label: str, *, odd: bool = False) -> None:
    """One request from the world."""
    try:
        ask = FEEDS[label](world)
        if odd:
            ask = spoil(world, ask)
        if label in POLLS:
            _no_wait(ask)
        world.ask(label, ask)
    except Unmet:
        return


def _no_wait(ask: Ask) -> None:
    for part in (ask.query, ask.body):
        if isinstance(part, dict):
            part["timeout"] = 1


def fed(world: World, times: int) -> None:
    """Every operation so many times from the world, in a mixed order."""
    todo = [label for label in world.labels for _ in range(times)]
    world.chance.shuffle(todo)
    for label in todo:
        feed(world, label, odd=world.often(ODD_SHARE))


def topped_up(world: World, least: int) -> None:
    """Good requests for what was not answered well `least` times yet."""
    for label in world.labels:
        for _ in range(least * TRIES_MAX):
            tally = world.sender.tallies.get(label)
            if tally is not None and tally.good >= least:
                break
            feed(world, label)


def generated(world: World, times: int) -> None:
    """Every operation so many times as schemathesis draws it, by the document and against it; ids are often real ones."""
    for label in world.labels:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _drawn(world, label, mode, max(1, times // 2))


def _drawn(world: World, label: str, mode: GenerationMode, times: int) -> None:
    @hypothesis.seed(world.chance.getrandbits(60))
    @settings(times)
    @hypothesis.given(case=world.operation(label).as_strategy(generation_mode=mode))
    def once(case: Case) -> None:
        ground(world, case)
        world.sender.send(case, world.headers_of(_someone(world)))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            once()
    except (hypothesis.errors.Unsatisfiable, hypothesis.errors.FailedHealthCheck):
        # There is no way to say this wrongly: nothing in it can be varied.
        return


def stateful(world: World, schema: Any, upto: int) -> None:
    """Runs along the links until so many requests were sent."""

    class Run(schema.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            return {}

        def call(self, case: Case, **_: Any) -> Any:
            ground(world, case)
            answer = world.sender.send(case, world.headers_of(self.who))
            if answer is None:
                hypothesis.reject()
            return answer

        def setup(self) -> None:
            self.who = _someone(world)

        def validate_response(self, response: Any, case: Case, additional_checks: Any = None, **_: Any) -> None:
            """The sender has done that."""

    idle = 0
    while world.sender.sent < upto and idle < IDLE_MAX:
        before = world.sender.sent
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                seeded = hypothesis.seed(world.chance.getrandbits(60))(Run)
                run_state_machine_as_test(seeded, settings=settings(20, stateful_step_count=12))
        except hypothesis.errors.Flaky:
            # The same steps went otherwise the second time, as they may at a server that remembers: what was sent counts.
            pass
        idle = 0 if world.sender.sent > before else idle + 1


def settings(times: int, **more: Any) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=times,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        **more,
    )


def _someone(world: World) -> Person | None:
    return None if world.often(STRANGER_SHARE) else world.anyone()


def ground(world: World, case: Case) -> None:
    """Puts things of the world in the place of drawn ones, where their names say what they are; and lets no poll wait."""
    for part in (case.path_parameters, case.query, None if isinstance(case.body, NotSet) else case.body):
        if isinstance(part, dict):
            _grounded(world, part, world.chance)
    if case.operation.label in POLLS:
        for part in (case.query, case.body):
            if isinstance(part, dict) and part:
                part["timeout"] = 1


def _grounded(world: World, part: dict[str, Any], chance: random.Random) -> None:
    for name, value in list(part.items()):
        if isinstance(value, dict):
            _grounded(world, value, chance)
        elif isinstance(value, list):
            for one in value[:5]:
                if isinstance(one, dict):
                    _grounded(world, one, chance)
        elif isinstance(value, str) and chance.random() < GROUNDED_SHARE and not (looks_like_ours(value) and world.is_known(value)):
            known = world.known(_ALIKE.get(name, name))
            if known is not None:
                part[name] = known
