"""Noticing a plan that is carried out again and again, at once, and changes nothing.

A backstop: neither planner nor disk should ever lead here. The first few repetitions cost nothing, later ones wait longer, and then
it is told, so that nobody waits in vain and no processor runs hot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog

from syncline.client.plan.steps import Step
from syncline.client.status import Problem
from syncline.client.trees.trees import Trees

log = structlog.get_logger(__name__)

FREE: Final = 3
TOLD: Final = 12
REST_FIRST_S: Final = 0.1
REST_CAP_S: Final = 5.0


class Stalls:
    """`see` every plan that was carried out."""

    def __init__(self) -> None:
        self._last = 0
        self._same = 0

    @property
    def is_told(self) -> bool:
        return self._same >= TOLD

    @property
    def rest_s(self) -> float:
        """Seconds to wait before the next round, whatever is due."""
        return 0.0 if self._same <= FREE else min(REST_CAP_S, REST_FIRST_S * 2.0 ** min(self._same - FREE - 1, 10))

    def problem(self, doing: Sequence[Step], trees: Trees) -> Problem | None:
        """What to tell of it: the first node that nothing comes of."""
        if not self.is_told:
            return None
        path = trees.local_path(doing[0].node) or trees.remote_path(doing[0].node) or ""
        log.warning("plan.stalled", steps=len(doing), kind=type(doing[0]).__name__, why=doing[0].why)
        return Problem(code="plan.stalled", path=path, message="Nothing comes of what is planned for it; it is tried on.")

    def see(self, doing: Sequence[Step], *, at_once: bool) -> None:
        """`doing` are the steps that were tried; `at_once` says that another round is due already."""
        print_of_plan = hash(tuple((type(step).__name__, step.node) for step in doing))
        self._same = self._same + 1 if doing and at_once and print_of_plan == self._last else 0
        self._last = print_of_plan
