"""Counting without an application."""

import re
from pathlib import Path

import pytest

from service.domain.trials import TrialState
from service.metrics import (
    count_ended_trial,
    count_expired_lease,
    count_granted_attempts,
    observe_request,
    render_metrics,
)
from tests.api.scrapes import Scrape


def scrape(*, actors: int = 0, live_attempts: int = 0, queued_operations: int = 0) -> Scrape:
    text = render_metrics(
        actors=actors, live_attempts=live_attempts, queued_operations=queued_operations
    )
    return Scrape(text.decode())


def test_levels_are_as_given() -> None:
    levels = scrape(actors=2, live_attempts=5, queued_operations=7)

    assert levels.read("asktell_active_actors") == 2
    assert levels.read("asktell_live_attempts") == 5
    assert levels.read("asktell_commit_queue_operations") == 7
    assert scrape().read("asktell_live_attempts") == 0


def test_leases_and_attempts_are_counted() -> None:
    before = scrape()
    count_expired_lease()
    count_granted_attempts(3)
    count_granted_attempts()
    after = scrape()

    expired, granted = "asktell_leases_expired_total", "asktell_attempts_granted_total"
    assert after.rise(before, expired) == 1
    assert after.rise(before, granted) == 4


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
def test_ended_trials_are_counted_by_state_from_zero_on(state: TrialState) -> None:
    name = "asktell_trials_ended_total"
    before = scrape()
    count_ended_trial(state)
    after = scrape()

    assert (name, frozenset({("state", state.value)})) in before.values
    assert after.rise(before, name, state=state.value) == 1


def test_a_request_that_nobody_waited_for_is_counted() -> None:
    labels = {"route": "/studies", "method": "other", "status": "none"}
    name = "asktell_request_seconds_count"
    before = scrape()
    observe_request("/studies", "BREW", status=None, seconds=0.1)

    assert scrape().rise(before, name, **labels) == 1


def test_every_name_is_ours_or_the_process_s_own() -> None:
    names = {name for name, _ in scrape().values}

    assert all(name.startswith(("asktell_", "process_")) for name in names)
    assert not any(name.endswith("_created") for name in names)


def test_the_documentation_has_every_metric() -> None:
    page = Path(__file__).parents[2] / "docs" / "monitoring.md"
    documented = set(re.findall(r"^\| `(asktell_\w+)`", page.read_text(), re.MULTILINE))
    text = render_metrics(actors=0, live_attempts=0, queued_operations=0).decode()

    assert documented == set(re.findall(r"^# TYPE (asktell_\w+)", text, re.MULTILINE))
