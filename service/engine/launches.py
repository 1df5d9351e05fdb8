"""Attempts in the hands of workers: where one is changes here and nowhere else."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import structlog

from service.domain.attempts import AttemptState, Observation, StopCause
from service.domain.workers import Worker
from service.engine.actor import Actor
from service.engine.draft import Draft
from service.storage.journal import Launch, TrialRecord

_log = structlog.get_logger(__name__)


def open_launch(actor: Actor, draft: Draft, record: TrialRecord, worker: Worker) -> None:
    """Puts an attempt that has just been granted into a worker's hands."""
    _put(
        draft,
        Launch(
            record.number,
            record.attempt,
            AttemptState.LAUNCHING,
            claim=1,
            worker_id=worker.worker_id,
            worker_name=worker.name,
            host=worker.host,
            claimed_at=actor.clock(),
        ),
    )
    _log_change("attempt.granted", actor, record.number, record.attempt, worker=worker.name)


def pass_on(actor: Actor, draft: Draft, launch: Launch, worker: Worker) -> None:
    """Hands an attempt out once more; whoever had it before is not heard any more."""
    passed = replace(
        launch,
        claim=launch.claim + 1,
        worker_id=worker.worker_id,
        worker_name=worker.name,
        host=worker.host,
    )
    _put(draft, passed)
    _log_change("attempt.passed_on", actor, launch.number, launch.attempt, worker=worker.name)


def advance_launch(
    draft: Draft, launch: Launch, seen: Observation, *, should_prune: bool, now: datetime
) -> None:
    """Notes what a worker saw of an attempt; it never goes back."""
    is_later = _ORDER[seen.state] > _ORDER[launch.state]
    ending = seen.ending
    advanced = replace(
        launch,
        state=seen.state if is_later else launch.state,
        external_ref=seen.external_ref or launch.external_ref,
        url=seen.url or launch.url,
        note=launch.note if seen.note is None else seen.note or None,
        stop=launch.stop or (StopCause.PRUNED if should_prune else None),
        started_at=launch.started_at or (None if seen.state is AttemptState.LAUNCHING else now),
    )
    if ending is not None:
        advanced = replace(advanced, exit_code=ending.exit_code, signal=ending.signal)
    _put(draft, advanced)


def cancel_launches(draft: Draft, launches: Iterable[Launch]) -> None:
    """Has workers end attempts; nothing takes that back."""
    for launch in launches:
        _put(draft, replace(launch, stop=launch.stop or StopCause.CANCELLED))


def close_launch(
    actor: Actor, draft: Draft, number: int, *, state: AttemptState, reason: str | None
) -> None:
    """Ends the attempt of a trial, if a worker has it."""
    launch = _find(actor, draft, number)
    if launch is not None:
        _put(draft, replace(launch, state=state, ended_at=actor.clock(), reason=reason))
        _log_change("attempt.closed", actor, number, launch.attempt, state=state.value)


def _find(actor: Actor, draft: Draft, number: int) -> Launch | None:
    launch = actor.launches.find(number)
    return None if launch is None else draft.launches.get((number, launch.attempt), launch)


def _put(draft: Draft, launch: Launch) -> None:
    draft.launches[launch.number, launch.attempt] = launch


def _log_change(event: str, actor: Actor, number: int, attempt: int, **details: str) -> None:
    _log.info(event, study=actor.spec.name, trial=number, attempt=attempt, **details)


_ORDER = {state: position for position, state in enumerate(AttemptState)}
