"""Every figure that a server tells, by name: dashboards, alert rules and docs/operations/metrics.md name these and no others."""

from __future__ import annotations

from typing import Final

from syncline.ports.meter import Metric, Shape

_FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLOW: Final = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)
_ROWS: Final = (0.0, 1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)


def _counter(name: str, means: str, *labels: str) -> Metric:
    return Metric(f"syncline_{name}_total", Shape.COUNTER, means, labels)


def _gauge(name: str, means: str, *labels: str) -> Metric:
    return Metric(f"syncline_{name}", Shape.GAUGE, means, labels)


def _histogram(name: str, means: str, *labels: str, bounds: tuple[float, ...] = _FAST) -> Metric:
    return Metric(f"syncline_{name}", Shape.HISTOGRAM, means, labels, bounds)


BUILD: Final = _gauge("build_info", "1 for the version and the roles that run", "version", "roles")

REQUESTS: Final = _counter("requests", "Requests answered, by route and HTTP status", "operation", "status")
REQUEST_SECONDS: Final = _histogram("request_seconds", "From a request's head to the end of its answer", "operation")
REQUESTS_OPEN: Final = _gauge("requests_open", "Requests under way, long polls among them")
SOCKETS_OPEN: Final = _gauge("sockets_open", "WebSockets open")
GATEWAY_BYTES: Final = _counter(
    "gateway_bytes", "Bytes of bodies that crossed this process: facts, or content of files", "kind", "direction"
)
LIMITED: Final = _counter("limited", "Requests answered 429 because somebody asked too often", "by")

COMMIT_SECONDS: Final = _histogram("commit_seconds", "A changeset, from the call to its end", "outcome")
FILES_COMMITTED: Final = _counter("files_committed", "Changes to files and folders that were committed")
JOURNAL_LAG: Final = _histogram(
    "journal_lag_entries", "How many entries a device was still behind after a page of the journal", bounds=_ROWS
)

RELAY_WAITING: Final = _gauge("relay_waiting_namespaces", "Namespaces whose newest entries the relay has not told the bus")
RELAY_LAG: Final = _gauge("relay_lag_seconds", "Age of the oldest entry that the relay has not told the bus")
WAKE_UP_SECONDS: Final = _histogram("wake_up_seconds", "From this process hearing of a commit to the answer to who waited for it")
WAITERS_OPEN: Final = _gauge("waiters_open", "Long polls and sockets that wait for a change")

PEER_SECONDS: Final = _histogram("peer_seconds", "One question of a gateway to another role, all tries together", "role", "outcome")

STATEMENT_SECONDS: Final = _histogram("database_statement_seconds", "One statement in the database", "kind")
DATABASE_WAIT_SECONDS: Final = _histogram("database_wait_seconds", "From asking for a connection to having it", "way")
DATABASE_OPEN: Final = _gauge("database_calls_open", "Calls that have a connection or wait for one", "way")
DATABASE_ERRORS: Final = _counter("database_errors", "Calls that the database failed", "way")

OBJECT_SECONDS: Final = _histogram("objects_seconds", "One call to the object store", "call", "outcome")

UPLOADS_OPEN: Final = _gauge("uploads_open", "Plain uploads that are neither done nor given up")
INGEST_WAITING: Final = _gauge("ingest_waiting", "Plain uploads whose bytes are not cut and packed yet")
INGEST_OLDEST: Final = _gauge("ingest_oldest_seconds", "Since when the oldest of them is due")
INGEST_SECONDS: Final = _histogram("ingest_seconds", "Taking in one plain upload", "outcome", bounds=_SLOW)

TASK_SECONDS: Final = _histogram("task_seconds", "One round of a regular task", "task", bounds=_SLOW)
TASK_FAILURES: Final = _counter("task_failures", "Rounds of a regular task that failed", "task")
TASK_DONE: Final = _gauge("task_done_timestamp_seconds", "When a regular task last ended well, in seconds since 1970", "task")
PRUNED: Final = _counter("pruned_rows", "Rows removed as past their time", "kind")
BACKLOG_DONE: Final = _gauge("backlog_timestamp_seconds", "When the backlogs were last counted, in seconds since 1970")

CACHE_CALLS: Final = _counter("cache_calls", "Calls to the shared cache, by how they ended", "call", "outcome")
CACHE_SECONDS: Final = _histogram("cache_seconds", "One call to the shared cache", "call")
CACHE_OPEN: Final = _gauge("cache_breaker_open", "1 while the shared cache is left alone because it did not answer")

ALL: Final = tuple(value for value in tuple(globals().values()) if isinstance(value, Metric))
