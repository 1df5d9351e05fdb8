"""When a trial gets a further attempt."""

import pytest

from service.domain.studies import MOST_PREEMPTED_ATTEMPTS, AttemptEnd, RetryPolicy


@pytest.mark.parametrize(
    ("end", "attempt", "is_workers_doing", "is_allowed"),
    [
        (AttemptEnd.LOST, 2, False, True),
        (AttemptEnd.LOST, 3, False, False),
        (AttemptEnd.FAILED, 1, False, False),
        (AttemptEnd.PREEMPTED, 3, False, False),
        (AttemptEnd.PREEMPTED, 3, True, True),
        (AttemptEnd.PREEMPTED, MOST_PREEMPTED_ATTEMPTS - 1, True, True),
        (AttemptEnd.PREEMPTED, MOST_PREEMPTED_ATTEMPTS, True, False),
    ],
)
def test_a_trial_is_tried_again_as_often_as_its_policy_allows(
    end: AttemptEnd, attempt: int, is_workers_doing: bool, is_allowed: bool
) -> None:
    policy = RetryPolicy(max_attempts=3)

    assert policy.allows(end, attempt=attempt, is_workers_doing=is_workers_doing) == is_allowed


def test_a_policy_may_allow_more() -> None:
    policy = RetryPolicy(max_attempts=200)

    assert policy.allows(AttemptEnd.PREEMPTED, attempt=150, is_workers_doing=True)
    assert not RetryPolicy(on=frozenset()).allows(
        AttemptEnd.PREEMPTED, attempt=1, is_workers_doing=True
    )
