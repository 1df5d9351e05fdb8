"""What the process counts about itself, in Prometheus's words.

Labels come from closed sets (route templates, codes, states), never from what a client sends: a
series lives as long as the process. Calls are cheap enough for every request and every commit;
all of them belong to the event loop.
"""

from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from service.domain.trials import TrialState

METRICS_MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ENDED_STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)

# An ask may wait for its turn; the long buckets are for those.
_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
_COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

# A series more for each of ours, only to say when it began.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library does not annotate it

# Our own registry: what other libraries put into the default one is not ours to publish.
_registry = CollectorRegistry()
ProcessCollector(registry=_registry)

_request_seconds = Histogram(
    "asktell_request_seconds",
    "Time from a request's arrival to the end of its answer, waits for a trial included",
    ("route", "method", "status"),
    buckets=_REQUEST_BUCKETS,
    registry=_registry,
)
_problems = Counter(
    "asktell_problems_total",
    "Requests that were refused or failed, by the code of the problem they were answered with",
    ("status", "code"),
    registry=_registry,
)
_commit_operations = Histogram(
    "asktell_commit_operations",
    "Operations that one transaction committed together",
    buckets=_BATCH_BUCKETS,
    registry=_registry,
)
_commit_seconds = Histogram(
    "asktell_commit_seconds",
    "Time from BEGIN until the database has confirmed the COMMIT",
    buckets=_COMMIT_BUCKETS,
    registry=_registry,
)
_commits_refused = Counter(
    "asktell_commits_refused_total",
    "Operations that the database refused when they were tried alone",
    registry=_registry,
)
_leases_expired = Counter("asktell_leases_expired_total", "Leases that ran out", registry=_registry)
_attempts_granted = Counter(
    "asktell_attempts_granted_total",
    "Attempts handed out by asks: first ones and further ones",
    registry=_registry,
)
_trials_ended = Counter(
    "asktell_trials_ended_total",
    "Trials that ended, by the state they ended in",
    ("state",),
    registry=_registry,
)
_commit_queue_operations = Gauge(
    "asktell_commit_queue_operations",
    "Operations that wait for the next transaction",
    registry=_registry,
)
_active_actors = Gauge(
    "asktell_active_actors", "Studies that are held in memory", registry=_registry
)
_live_attempts = Gauge(
    "asktell_live_attempts",
    "Attempts under way in the studies that are held in memory",
    registry=_registry,
)


def observe_request(route: str, method: str, *, status: int | None, seconds: float) -> None:
    """Counts a request and how long it took.

    Args:
        route: Template of the path, such as /studies/{study}; never the path itself.
        method: As the client sent it.
        status: None if the client left before there was an answer.
    """
    known_method = method if method in _METHODS else "other"
    _find_request_child(route, known_method, status and status // 100).observe(seconds)


def count_problem(status: int, code: str) -> None:
    """Counts a problem+json answer."""
    _find_problem_child(status, code).inc()


def observe_commit(operations: int, seconds: float) -> None:
    """Counts a transaction that the database has confirmed."""
    _commit_operations.observe(operations)
    _commit_seconds.observe(seconds)


def count_refused_commit() -> None:
    """Counts an operation whose rows the database did not take."""
    _commits_refused.inc()


def count_expired_lease() -> None:
    """Counts a lease that ran out, whatever became of its trial."""
    _leases_expired.inc()


def count_granted_attempts(attempts: int = 1) -> None:
    """Counts attempts that an ask handed out."""
    _attempts_granted.inc(attempts)


def count_ended_trial(state: TrialState) -> None:
    """Counts a trial that ended here, told or by itself."""
    _find_ended_child(state).inc()


def render_metrics(*, actors: int, live_attempts: int, queued_operations: int) -> bytes:
    """Everything counted so far, with the levels as they are now, as `METRICS_MEDIA_TYPE`."""
    _active_actors.set(actors)
    _live_attempts.set(live_attempts)
    _commit_queue_operations.set(queued_operations)
    return generate_latest(_registry)


# Finding a child by its labels costs more than counting, so each is looked up once.


@cache
def _find_request_child(route: str, method: str, status_class: int | None) -> Histogram:
    status = "none" if status_class is None else f"{status_class}xx"
    return _request_seconds.labels(route, method, status)


@cache
def _find_problem_child(status: int, code: str) -> Counter:
    return _problems.labels(status, code)


@cache
def _find_ended_child(state: TrialState) -> Counter:
    return _trials_ended.labels(state.value)


# A series that is there from the start shows its first increase as one.
for _state in _ENDED_STATES:
    _find_ended_child(_state)
