"""What of a study must be as its model says, and what must hold whatever the model says."""

from typing import Any

from service.domain.trials import AttemptPhase, TrialView
from tests.integration.study_life_model import PlainStudy
from tests.integration.study_life_server import Seen
from tests.integration.study_life_trial import PlainTrial


def find_differences(seen: Seen, model: PlainStudy) -> dict[str, Any]:
    """Returns what is stored and what was expected, where that is not the same."""
    stored, expected = _describe_stored(seen), _describe_model(model)
    return {
        name: (stored[name], expected[name]) for name in stored if stored[name] != expected[name]
    }


def check_params(earlier: Seen, seen: Seen, model: PlainStudy) -> None:
    """What a trial was given it keeps, and it is what somebody fixed."""
    for before, now in zip(earlier.trials, seen.trials, strict=False):
        assert before.params.items() <= now.params.items()
    for plain, now in zip(model.trials, seen.trials, strict=True):
        assert all(now.params.get(name, value) == value for name, value in plain.fixed.items())


def check_leases(seen: Seen, model: PlainStudy) -> None:
    """The stored leases never promise more than was granted; somebody looks before they end."""
    for plain, now in zip(model.trials, seen.trials, strict=True):
        stored_at = now.decision.lease_expires_at
        assert (stored_at is None) == (plain.expires_at is None)
        assert stored_at is None or stored_at <= plain.expires_at
    if model.due_at is not None:
        assert seen.wake_at is not None
        assert seen.wake_at <= max(model.due_at, model.now)


def check_limits(earlier: Seen, seen: Seen) -> None:
    """A budget that was lowered may be exceeded already, but never more than it was."""
    now, before = seen.study.summary, earlier.study.summary
    assert now.max_trials is None or now.started <= max(now.max_trials, before.started)
    parallelism = seen.study.settings.parallelism
    assert parallelism is None or _count_live(seen) <= max(parallelism, _count_live(earlier))
    for trial, later in zip(earlier.trials, seen.trials, strict=False):
        assert later == trial or not trial.state.is_finished
        assert later.attempt >= trial.attempt
    numbers = [trial.ask_seq for trial in seen.trials if trial.ask_seq is not None]
    numbers += [
        trial.tell_seq
        for trial in seen.trials
        if trial.tell_seq is not None and trial.tell_seq != trial.ask_seq
    ]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers, default=0) <= seen.last_seq


def _describe_stored(seen: Seen) -> dict[str, Any]:
    study = seen.study
    by_end = sorted(
        (trial for trial in seen.trials if trial.tell_seq is not None),
        key=lambda trial: trial.tell_seq or 0,
    )
    return {
        "numbers": [trial.number for trial in seen.trials],
        "trials": [_describe_trial(trial) for trial in seen.trials],
        "ends": [trial.number for trial in by_end],
        "counts": study.summary.counts,
        "started": study.summary.started,
        "best": study.summary.best and study.summary.best.number,
        "state": study.summary.state,
        "stop_reason": study.summary.stop_reason,
        "is_paused": seen.is_paused,
        "settings": study.settings,
    }


def _describe_trial(trial: TrialView) -> tuple[Any, ...]:
    told = trial.decision
    return (
        *(trial.state, trial.phase, trial.attempt, trial.values, trial.intermediate_values),
        *(told.should_prune, told.step, trial.constraints, set(trial.params)),
    )


def _describe_model(model: PlainStudy) -> dict[str, Any]:
    return {
        "numbers": list(range(len(model.trials))),
        "trials": [_describe_plain(trial) for trial in model.trials],
        "ends": model.ends,
        "counts": model.counts,
        "started": model.started,
        "best": model.best,
        "state": model.state,
        "stop_reason": model.stop_reason,
        "is_paused": model.is_paused,
        "settings": model.settings,
    }


def _describe_plain(trial: PlainTrial) -> tuple[Any, ...]:
    return (
        *(trial.state, trial.phase, trial.attempt, trial.values, trial.reports),
        *(trial.should_prune, trial.judged_at, trial.constraints, trial.names),
    )


def _count_live(seen: Seen) -> int:
    return sum(trial.phase is AttemptPhase.LIVE for trial in seen.trials)
