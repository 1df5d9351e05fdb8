"""What may happen to a study, for hypothesis to choose from.

What is drawn never depends on what happened before: which trial or attempt a number means is
decided afterwards.
"""

from hypothesis import strategies as st

from service.domain.studies import (
    AttemptEnd,
    Budget,
    RetryMode,
    RetryPolicy,
    StudySettings,
)
from service.domain.trials import Outcome, TrialState

TRIALS = st.integers(0, 14)
ATTEMPTS = st.sampled_from(["whoever", "latest", "latest", "latest", "earlier", "later"])
VALUES = st.integers(0, 9).map(float)
POINTS = st.lists(st.tuples(st.integers(0, 4), VALUES), min_size=1, max_size=3)
LEASE_SECONDS = st.sampled_from(["study", "study", None, 7.0, 30.0])
SETTINGS = st.builds(
    StudySettings,
    budget=st.sampled_from(
        [
            *[Budget()] * 8,
            Budget(max_trials=4),
            Budget(max_trials=8),
            Budget(max_trials=4, max_seconds=100.0),
            Budget(max_seconds=500.0),
            Budget(max_failures=2),
            Budget(target=0.0),
            Budget(patience=3),
            Budget(max_trials=8, max_failures=3, patience=4),
        ]
    ),
    parallelism=st.sampled_from([None, 1, 2, 2, 3]),
    lease_seconds=st.sampled_from([None, 10.0, 10.0, 30.0]),
    retry=st.builds(
        RetryPolicy,
        max_attempts=st.sampled_from([1, 2, 3, 3]),
        on=st.sampled_from(
            [frozenset(AttemptEnd), RetryPolicy().on, RetryPolicy().on, frozenset()]
        ),
        mode=st.sampled_from(RetryMode),
    ),
)
PATCHES = st.sampled_from(
    [
        *[("budget", limit, None) for limit in ("max_trials", "max_seconds", "max_failures")] * 2,
        *[("budget", limit, None) for limit in ("target", "patience")] * 2,
        ("budget", "max_trials", 2),
        ("budget", "max_trials", 9),
        ("budget", "max_seconds", 100.0),
        ("budget", "max_failures", 2),
        ("budget", "patience", 3),
        ("retry", "max_attempts", 1),
        ("retry", "max_attempts", 3),
        (None, "parallelism", 1),
        (None, "parallelism", 4),
        (None, "lease_seconds", 20.0),
    ]
)
COMMANDS = st.sampled_from(["pause", "stop", *["resume"] * 6])
REASONS = st.sampled_from([None, None, "disk full"])
CONSTRAINTS = st.sampled_from([None, None, {"size": -1.0}, {"size": 1.0}])
COMPLETE = st.builds(
    Outcome,
    st.just(TrialState.COMPLETE),
    st.tuples(VALUES),
    REASONS,
    constraints=CONSTRAINTS,
)
PRUNED = st.builds(Outcome, st.just(TrialState.PRUNED), reason=REASONS, constraints=CONSTRAINTS)
NONSENSE = st.just(Outcome(TrialState.COMPLETE))
FAILED = st.builds(
    Outcome, st.just(TrialState.FAIL), reason=REASONS, cause=st.sampled_from(AttemptEnd)
)
OUTCOMES = COMPLETE | PRUNED | FAILED
