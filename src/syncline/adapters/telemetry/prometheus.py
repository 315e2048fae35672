"""`ports.meter.Meter` for Prometheus, and the text that is scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from syncline.ports.meter import Metric, Shape
from syncline.ports.metrics import ALL

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
SERIES_MAX: Final = 500
"""Of one metric. What goes beyond is counted as `OTHER`: a defect that makes labels without end must not fill the memory."""
OTHER: Final = "other"


class PrometheusMeter:
    """A registry of its own, so that two servers in one process do not share figures."""

    def __init__(self, metrics: Iterable[Metric] = ALL) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._known = {metric: self._made(metric) for metric in metrics}
        self._series: dict[tuple[Metric, tuple[str, ...]], Counter | Gauge | Histogram] = {}
        self._counts = dict.fromkeys(self._known, 0)
        for metric, made in self._known.items():
            if not metric.labels:
                self._series[metric, ()] = made

    def add(self, metric: Metric, amount: float = 1, /, *labels: str) -> None:
        series = self._of(metric, labels)
        assert not isinstance(series, Histogram)
        series.inc(amount)

    def observe(self, metric: Metric, value: float, /, *labels: str) -> None:
        series = self._of(metric, labels)
        assert isinstance(series, Histogram)
        series.observe(value)

    def stand(self, metric: Metric, value: float, /, *labels: str) -> None:
        series = self._of(metric, labels)
        assert isinstance(series, Gauge)
        series.set(value)

    def read_from(self, metric: Metric, read: Callable[[], float], /, *labels: str) -> None:
        series = self._of(metric, labels)
        assert isinstance(series, Gauge)
        series.set_function(read)

    def page(self) -> bytes:
        """What Prometheus reads."""
        return generate_latest(self._registry)

    def _made(self, metric: Metric) -> Counter | Gauge | Histogram:
        told = metric.name, metric.means, metric.labels
        if metric.shape is Shape.HISTOGRAM:
            return Histogram(*told, buckets=metric.bounds, registry=self._registry)
        return (Counter if metric.shape is Shape.COUNTER else Gauge)(*told, registry=self._registry)

    def _of(self, metric: Metric, labels: tuple[str, ...]) -> Counter | Gauge | Histogram:
        series = self._series.get((metric, labels))
        if series is None:
            if self._counts[metric] >= SERIES_MAX:
                labels = (OTHER,) * len(metric.labels)
            else:
                self._counts[metric] += 1
            made: Counter | Gauge | Histogram = self._known[metric].labels(*labels)
            series = self._series.setdefault((metric, labels), made)
        return series
