"""What the service promises whatever its clients do, and the judge who looks for a breach."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.acceptance.calls import Call, Lease, Snapshot, StoredTrial, list_grants, list_leases

_OfTrial = TypeVar("_OfTrial", Call, Lease)

_FINISHED = ("COMPLETE", "PRUNED", "FAIL")


@dataclass(frozen=True, slots=True)
class Limits:
    """What the study was created with."""

    max_trials: int
    parallelism: int
    max_attempts: int


def find_breaches(
    limits: Limits,
    calls: Sequence[Call],
    snapshots: Sequence[Snapshot],
    trials: Sequence[StoredTrial],
) -> list[str]:
    """Everything that happened and must not, in words.

    Args:
        snapshots: One per commit while the clients were at work.
        trials: As they are in the end.
    """
    return [
        *_find_wrong_statuses(calls),
        *_find_split_asks(calls),
        *_find_double_grants(calls),
        *_find_second_lives(calls),
        *_find_broken_leases(calls),
        *_find_lost_results(calls, trials),
        *_find_lost_reports(calls, trials),
        *_find_excess(limits, snapshots),
        *_find_wrong_ends(limits, trials),
    ]


def _find_wrong_statuses(calls: Sequence[Call]) -> Iterator[str]:
    for call in calls:
        if call.status not in call.expected:
            yield f"{_name(call)} was answered {call.status}: {call.answer}"


def _find_split_asks(calls: Sequence[Call]) -> Iterator[str]:
    """A repeated ask gives what the first gave, whenever it comes."""
    answers = defaultdict(list)
    for call in calls:
        if call.verb == "ask" and call.is_accepted:
            answers[call.key].append(call.answer)
    for key, given in answers.items():
        if any(answer != given[0] for answer in given):
            yield f"the ask {key} got different trials: {given}"


def _find_double_grants(calls: Sequence[Call]) -> Iterator[str]:
    keys = defaultdict(set)
    for grant in list_grants(calls):
        keys[grant.number, grant.attempt].add(grant.call.key)
    for (number, attempt), by in keys.items():
        if len(by) > 1:
            yield f"attempt {attempt} of trial {number} was given to {sorted(map(str, by))}"


def _find_second_lives(calls: Sequence[Call]) -> Iterator[str]:
    """Once a newer attempt was granted, an older one may at most bring a result that it lacks."""
    leases = _group_by_trial(list_leases(calls))
    tells = _group_by_trial(call for call in calls if call.verb == "tell" and call.is_accepted)
    for call in calls:
        for newer in _find_newer(call, leases):
            is_welcome = call.verb == "tell" and (
                not _is_live(newer, call, tells) or _is_repeat(call, tells)
            )
            if not is_welcome:
                yield f"{_name(call)} was accepted though attempt {newer.attempt} had been granted"
                break


def _find_newer(call: Call, leases: Mapping[int, Sequence[Lease]]) -> Iterator[Lease]:
    if call.number is None or call.attempt is None or not call.is_accepted:
        return
    for lease in leases.get(call.number, ()):
        if lease.attempt > call.attempt and lease.call.answered_at < call.sent_at:
            yield lease


def _is_live(lease: Lease, at: Call, tells: Mapping[int, Sequence[Call]]) -> bool:
    """Whether the attempt had been promised to be live then, and had not been given up itself."""
    gives_up = any(
        not tell.ends_trial
        and tell.attempt in (None, lease.attempt)
        and tell.sent_at < at.answered_at
        for tell in tells.get(lease.number, ())
    )
    return lease.holds_at(at) and not gives_up


def _is_repeat(call: Call, tells: Mapping[int, Sequence[Call]]) -> bool:
    """Whether a trial that has ended already is told so once more."""
    assert call.number is not None
    said = (call.body["state"], call.body.get("values"))
    return any(
        end is not call
        and end.ends_trial
        and said == (end.body["state"], end.body.get("values"))
        and end.sent_at < call.answered_at
        for end in tells.get(call.number, ())
    )


def _find_broken_leases(calls: Sequence[Call]) -> Iterator[str]:
    """No newer attempt before the lease that the older one was promised has run out."""
    leases = _group_by_trial(list_leases(calls))
    tells = _group_by_trial(call for call in calls if call.verb == "tell" and call.is_accepted)
    for grant in list_grants(calls):
        for lease in leases[grant.number]:
            if lease.attempt < grant.attempt and _is_live(lease, grant.call, tells):
                yield (
                    f"attempt {grant.attempt} was granted before {lease.until}, promised to "
                    f"attempt {lease.attempt} by {_name(lease.call)}"
                )


def _find_lost_results(calls: Sequence[Call], trials: Sequence[StoredTrial]) -> Iterator[str]:
    stored = {trial.number: trial for trial in trials}
    for call in calls:
        if call.ends_trial:
            assert call.number is not None
            trial = stored.get(call.number)
            if trial is None or not _is_kept(call, trial):
                yield f"{_name(call)} was accepted with {call.body}, but there is {trial}"


def _is_kept(call: Call, trial: StoredTrial) -> bool:
    if call.body["state"] == "COMPLETE":
        return trial.state == "COMPLETE" and list(trial.values) == [call.body["values"]]
    return bool(trial.state == call.body["state"])


def _find_lost_reports(calls: Sequence[Call], trials: Sequence[StoredTrial]) -> Iterator[str]:
    """What the last attempt reported is there; of several values for a step any one."""
    reports = _group_by_trial(call for call in calls if call.verb == "report" and call.is_accepted)
    for trial in trials:
        for call in reports[trial.number]:
            step = call.body["step"]
            said = [other.body["value"] for other in reports[trial.number] if _is_at(other, step)]
            if call.attempt == trial.attempt and trial.points.get(step) not in said:
                yield f"{_name(call)} was accepted with {call.body}, but there is {trial}"


def _is_at(call: Call, step: int) -> bool:
    return bool(call.body["step"] == step)


def _find_excess(limits: Limits, snapshots: Sequence[Snapshot]) -> Iterator[str]:
    for snapshot in snapshots:
        if (
            snapshot.live > limits.parallelism
            or snapshot.started > limits.max_trials
            or snapshot.most_attempts > limits.max_attempts
            or snapshot.at_odds
        ):
            yield f"more than {limits}, or at odds with Optuna: {snapshot}"


def _find_wrong_ends(limits: Limits, trials: Sequence[StoredTrial]) -> Iterator[str]:
    if [trial.number for trial in trials] != list(range(limits.max_trials)):
        yield f"there are not {limits.max_trials} trials, numbered from 0"
    for trial in trials:
        has_ended = trial.state in _FINISHED and trial.phase == "ended"
        if not has_ended or not 1 <= trial.attempt <= limits.max_attempts:
            yield f"{trial} has not ended within {limits.max_attempts} attempts"


def _group_by_trial(things: Iterable[_OfTrial]) -> dict[int, list[_OfTrial]]:
    groups: dict[int, list[_OfTrial]] = defaultdict(list)
    for thing in things:
        if thing.number is not None:
            groups[thing.number].append(thing)
    return groups


def _name(call: Call) -> str:
    whose = "" if call.number is None else f" of trial {call.number}, attempt {call.attempt},"
    return f"the {call.verb}{whose} at {call.sent_at:%H:%M:%S.%f}"
