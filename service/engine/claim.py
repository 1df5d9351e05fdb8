"""Claim: a worker takes trials of a sweep to launch them, or takes its attempts up again."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.domain.attempts import build_attempt_id
from service.domain.studies import Objective
from service.domain.sweeps import LaunchSpec, Sweep
from service.domain.trials import AskedTrial
from service.domain.workers import Worker
from service.engine.actor import Actor
from service.engine.ask import Ask, ask, show_kept_params
from service.engine.launches import pass_on
from service.engine.leases import renew
from service.engine.refusals import confirms_refusals
from service.storage.journal import Launch


@dataclass(frozen=True, slots=True)
class ClaimedAttempt:
    """An attempt in a worker's hands.

    Attributes:
        attempt_id: Its name outside.
        study: The name of its study.
        spec: How to launch it.
        objectives: Their names are the values to look for.
        run_attempt: The attempt whose name it has outside, see `find_run_attempt`.
        mirror_ref: The sweep outside that it belongs to, if there is one.
    """

    attempt_id: str
    study: str
    study_id: int
    asked: AskedTrial
    launch: Launch
    spec: LaunchSpec
    objectives: tuple[Objective, ...]
    run_attempt: int
    mirror_ref: str | None = None

    @property
    def run_id(self) -> str:
        """Its name outside."""
        sweep_id = self.attempt_id.partition("-")[0]
        return build_attempt_id(sweep_id, self.launch.number, self.run_attempt)


async def claim(actor: Actor, worker: Worker, count: int) -> list[ClaimedAttempt]:
    """Asks for up to `count` trials of a sweep on behalf of a worker; returns them, committed.

    Raises:
        StudyPaused, StudyFinished, ParallelismReached: There are none.
        Unavailable: Nothing is known to have happened; what did comes back by `reclaim`.
    """
    asked = await ask(actor, Ask(count, client_id=worker.name, worker=worker))
    launches = [(trial, actor.launches.find(trial.number)) for trial in asked]
    return [_build(actor, trial, launch) for trial, launch in launches if launch is not None]


@confirms_refusals
async def reclaim(actor: Actor, worker: Worker, owners: Mapping[int, str]) -> list[ClaimedAttempt]:
    """Hands attempts out once more, to this worker, committed.

    Args:
        owners: Ids of the workers that have them, by numbers of their trials. What is another's
            by now stays that one's.

    Raises:
        Unavailable: Nothing is known to have happened; repeat it.
    """
    draft = actor.begin()
    mine = [
        launch for launch in actor.launches.list() if owners.get(launch.number) == launch.worker_id
    ]
    for launch in mine:
        pass_on(actor, draft, launch, worker)
        record = actor.get_record(launch.number)
        draft.records[launch.number] = renew(record, has_room=actor.room != 0, now=actor.clock())
    await (actor.confirm() if draft.is_empty else actor.accept(draft))
    return [_build(actor, _read_asked(actor, launch), launch) for launch in draft.launches.values()]


def _read_asked(actor: Actor, launch: Launch) -> AskedTrial:
    record = actor.get_record(launch.number)
    params = show_kept_params(actor, actor.space, launch.number)
    return AskedTrial(launch.number, launch.attempt, params, record.lease_expires_at)


def _build(actor: Actor, asked: AskedTrial, launch: Launch) -> ClaimedAttempt:
    sweep = _get_sweep(actor)
    return ClaimedAttempt(
        attempt_id=build_attempt_id(sweep.sweep_id, launch.number, launch.attempt),
        study=actor.spec.name,
        study_id=actor.study_id,
        asked=asked,
        launch=launch,
        spec=sweep.launch,
        objectives=actor.spec.objectives,
        run_attempt=launch.attempt,
    )


def _get_sweep(actor: Actor) -> Sweep:
    assert actor.sweep is not None, "only trials of sweeps are launched"
    return actor.sweep
