"""Counting what happens, for whoever operates a server. Rules do not call it: what is worth counting is seen from around a call, so
adapters and wiring count, and a rule that is given a meter nevertheless gets one that knows nothing of where its figures go.

Laws: a label's values are few and known beforehand, never a path, a name, an id or an address; counting never fails and never
waits.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

from msgspec import Struct


class Shape(Enum):
    COUNTER = "counter"
    """Only grows; what is read of it is its rate."""
    GAUGE = "gauge"
    """Stands at a value."""
    HISTOGRAM = "histogram"
    """How many observations were at most so large."""


class Metric(Struct, frozen=True, eq=False):
    """`name` is what is scraped; a counter's ends in `_total`. `bounds` are a histogram's, ascending."""

    name: str
    shape: Shape
    means: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


class Meter(Protocol):
    """`labels` are values for the metric's labels, in their order."""

    def add(self, metric: Metric, amount: float = 1, /, *labels: str) -> None:
        """A counter grows, a gauge moves by `amount`."""
        ...

    def observe(self, metric: Metric, value: float, /, *labels: str) -> None: ...

    def stand(self, metric: Metric, value: float, /, *labels: str) -> None:
        """A gauge stands at `value`."""
        ...

    def read_from(self, metric: Metric, read: Callable[[], float], /, *labels: str) -> None:
        """A gauge that is read, on any thread, when somebody looks."""
        ...


class NoMeter:
    """Counts nothing."""

    def add(self, metric: Metric, amount: float = 1, /, *labels: str) -> None:
        return

    def observe(self, metric: Metric, value: float, /, *labels: str) -> None:
        return

    def stand(self, metric: Metric, value: float, /, *labels: str) -> None:
        return

    def read_from(self, metric: Metric, read: Callable[[], float], /, *labels: str) -> None:
        return


NO_METER: Final = NoMeter()
