"""What outside systems have of a sweep: names, other workers that go on, mirrors."""

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from service.domain.attempts import AttemptState, Ending, EndingKind
from service.domain.errors import AttemptSuperseded, ClaimLost
from service.domain.mirrors import MIRROR_LEASE_SECONDS, MirrorReport, MirrorState
from service.domain.studies import AttemptEnd, Budget, RetryPolicy, StopReason, StudyState
from service.domain.sweeps import LaunchSpec
from service.domain.trials import TrialState
from service.domain.workers import Worker, WorkerReport, WorkerState
from service.engine import states
from service.engine.claim import ClaimedAttempt
from service.engine.create import create_study
from service.engine.dispatch import WorkerClaim, claim_attempts
from service.engine.mirrors import keep_mirror
from service.storage.database import Database
from tests.integration.sweep_use import ADA, BOB, new_sweep, see, see_exit, take, take_any
from tests.integration.timed_study import TimedStudy, open_timed_study

AWAY_SECONDS = 31.0
REMOTE = "remote"
REF = "acme/digits/k2j4"
MANY_MIRRORED = """
WITH many AS (
    INSERT INTO public.studies (study_name) SELECT 'many ' || s FROM generate_series(1, 1500) AS s
    RETURNING study_id, study_name
), managed AS (
    INSERT INTO asktell.studies
        (study_id, name, spec, settings, state, created_at, last_activity_at)
    SELECT study_id, study_name, '{"objectives": [], "space": null, "user_attrs": {}}', '{}',
           'paused', now(), now()
    FROM many RETURNING study_id
), swept AS (
    INSERT INTO asktell.sweeps (study_id, sweep_id, executor, queue, arguments)
    SELECT study_id, to_char(study_id, 'FM00000000'), 'process', 'default', '{"sweep": true}'
    FROM managed RETURNING study_id
)
INSERT INTO asktell.mirrors (study_id, external_ref, agreed)
SELECT study_id, 'x', 'paused' FROM swept
"""
MIRRORED = LaunchSpec("process", {"sweep": True})


@pytest.fixture
async def study(database: Database) -> AsyncIterator[TimedStudy]:
    async with open_timed_study(database) as opened:
        yield opened


class TestRunNames:
    async def end(self, study: TimedStudy, kind: EndingKind) -> ClaimedAttempt:
        """Ends the attempt that is open; returns the next one of the same trial."""
        (attempt,) = await take_any(study, 0) or await take_any(study, 1)
        await see(study, attempt, ending=Ending(kind))
        (again,) = await take_any(study, 1)
        assert again.launch.attempt == attempt.launch.attempt + 1
        return again

    async def test_what_was_preempted_goes_on_under_its_name(self, study: TimedStudy) -> None:
        await study.create(new_sweep(), parallelism=1)
        for _ in range(3):
            again = await self.end(study, EndingKind.PREEMPTED)
        assert again.run_id == again.attempt_id.removesuffix("-4") + "-1"

        (handed_back,) = await take_any(study, 0)
        assert handed_back.run_id == again.run_id

    async def test_what_was_lost_does_not(self, study: TimedStudy) -> None:
        await study.create(new_sweep(), parallelism=1)
        await self.end(study, EndingKind.PREEMPTED)
        lost = await self.end(study, EndingKind.VANISHED)
        assert lost.run_id == lost.attempt_id
        again = await self.end(study, EndingKind.PREEMPTED)
        assert again.run_id == lost.attempt_id


class TestCancelledOutside:
    async def test_nobody_tries_again_what_a_person_ended(self, study: TimedStudy) -> None:
        retry = RetryPolicy(max_attempts=5, on=frozenset(AttemptEnd))
        await study.create(new_sweep(), retry=retry)
        (attempt,) = await take(study)
        ending = Ending(EndingKind.CANCELLED, message="A person stopped the run in W&B.")
        assert (await see(study, attempt, ending=ending)).is_over
        view = await study.view(0)
        assert (view.state, view.reason) == (TrialState.FAIL, ending.message)
        stored = await study.engine.attempts.find_attempt(study.actor.study_id, 0, 1)
        assert stored is not None
        assert stored.launch.state is AttemptState.CANCELLED


class TestWords:
    async def test_where_to_look_and_what_to_know_are_kept(self, study: TimedStudy) -> None:
        await study.create(new_sweep())
        (attempt,) = await take(study)
        words = {"external_ref": REF, "url": "https://wandb.ai/x", "note": "Recorded offline."}
        await see(study, attempt, AttemptState.LAUNCHING, **words)
        await see(study, attempt, points=((0, 0.5),))
        await study.restart()
        await see(study, attempt, note="Uploaded.")
        await see_exit(study, attempt, values={"value": 0.5})
        stored = await study.engine.attempts.find_attempt(study.actor.study_id, 0, 1)
        assert stored is not None
        launch = stored.launch
        assert (launch.external_ref, launch.url) == (REF, "https://wandb.ai/x")
        assert launch.note == "Uploaded."


class TestAdoption:
    @pytest.fixture
    async def attempt(self, study: TimedStudy) -> ClaimedAttempt:
        """Ada's, who can be followed by others."""
        await study.create(new_sweep(launch=LaunchSpec(REMOTE, {})), budget=Budget(max_trials=1))
        (attempt,) = await claim_remote(study, ADA)
        return attempt

    async def test_a_worker_that_is_away_is_followed(
        self, study: TimedStudy, attempt: ClaimedAttempt
    ) -> None:
        await report(study, ADA)
        await see(study, attempt, external_ref=REF)
        study.move_clock(AWAY_SECONDS)

        (adopted,) = await claim_remote(study, BOB)

        assert (adopted.attempt_id, adopted.launch.claim) == (attempt.attempt_id, 2)
        assert adopted.launch.external_ref == REF
        assert adopted.launch.worker_id == BOB.worker_id
        with pytest.raises(ClaimLost):
            await see(study, attempt, points=((0, 0.5),))
        assert await claim_remote(study, ADA, count=0) == []
        await see_exit(study, adopted, values={"value": 1.0})
        assert (await study.summary()).state is StudyState.FINISHED

    async def test_a_worker_that_has_left_is_followed(
        self, study: TimedStudy, attempt: ClaimedAttempt
    ) -> None:
        await report(study, ADA)
        await study.engine.workers.remove(ADA.worker_id)
        study.move_clock(AWAY_SECONDS)
        assert len(await claim_remote(study, BOB)) == 1

    async def test_a_worker_that_is_there_keeps_what_it_has(
        self, study: TimedStudy, attempt: ClaimedAttempt
    ) -> None:
        study.move_clock(AWAY_SECONDS)
        await report(study, ADA)
        assert await claim_remote(study, BOB) == []

    async def test_only_with_room_and_with_an_executor_that_can(
        self, study: TimedStudy, attempt: ClaimedAttempt
    ) -> None:
        study.move_clock(AWAY_SECONDS)
        assert await claim_remote(study, BOB, count=0) == []
        assert await claim_remote(study, BOB, adopts=()) == []
        assert await claim_remote(study, BOB, queue="other") == []
        assert len(await claim_remote(study, BOB)) == 1

    async def test_a_lost_attempt_is_superseded_and_not_passed_on(
        self, study: TimedStudy, attempt: ClaimedAttempt
    ) -> None:
        await study.lose()
        (again,) = await claim_remote(study, BOB, adopts=())
        assert again.launch.attempt == 2
        with pytest.raises(AttemptSuperseded):
            await see(study, attempt)


class TestMirrors:
    async def keep(self, study: TimedStudy, worker: Worker = ADA, **given: Any) -> Any:
        """The worker says how the sweep outside is."""
        return await keep_mirror(study.engine, study.actor, MirrorReport(worker.worker_id, **given))

    async def claim(self, study: TimedStudy, worker: Worker = ADA, **given: Any) -> list[str]:
        """Studies whose mirror the worker is to keep."""
        command = {"queue": "default", "executors": ("process",), "now": study.now} | given
        return [
            each.study for each in await study.engine.mirrors.claim(worker.worker_id, **command)
        ]

    @pytest.fixture
    async def mirrored(self, study: TimedStudy) -> TimedStudy:
        """With a mirror that Ada keeps, running like ours."""
        await study.create(new_sweep(launch=MIRRORED), budget=Budget(max_trials=2))
        assert await self.claim(study) == ["s"]
        assert await self.keep(study, external_ref=REF, seen=MirrorState.RUNNING) is None
        return study

    async def test_attempts_wait_for_the_mirror_and_belong_to_it(self, study: TimedStudy) -> None:
        await study.create(new_sweep(launch=MIRRORED))
        assert await take_any(study, 1) == []
        await self.claim(study)
        await self.keep(study, external_ref=REF)
        (attempt,) = await take_any(study, 1)
        assert attempt.mirror_ref == REF

    async def test_attempts_do_not_wait_for_what_cannot_be(self, study: TimedStudy) -> None:
        await study.create(new_sweep(launch=MIRRORED))
        await self.claim(study)
        await self.keep(study, problem="W&B does not answer.")
        (attempt,) = await take_any(study, 1)
        assert attempt.mirror_ref is None
        await self.keep(study, external_ref=REF, seen=MirrorState.RUNNING)
        mirror = await study.engine.mirrors.find(study.actor.study_id)
        assert mirror is not None
        assert mirror.problem is None

    async def test_a_sweep_without_one_does_not_wait(self, study: TimedStudy) -> None:
        await study.create(new_sweep())
        assert await self.claim(study) == []
        (attempt,) = await take_any(study, 1)
        assert attempt.mirror_ref is None
        with pytest.raises(ClaimLost):
            await self.keep(study)

    async def test_one_worker_keeps_it(self, mirrored: TimedStudy) -> None:
        assert await self.claim(mirrored, BOB) == []
        with pytest.raises(ClaimLost):
            await self.keep(mirrored, BOB, seen=MirrorState.PAUSED)
        assert mirrored.actor.state is StudyState.ACTIVE
        mirrored.move_clock(MIRROR_LEASE_SECONDS + 1)
        assert await self.claim(mirrored, BOB) == ["s"]
        assert await self.claim(mirrored) == []

    async def test_a_new_one_does_not_wait_behind_many(self, mirrored: TimedStudy) -> None:
        with psycopg.connect(mirrored.database.conninfo, autocommit=True) as connection:
            connection.execute(MANY_MIRRORED)
        await create_study(mirrored.engine, new_sweep("new", launch=MIRRORED))
        assert (await self.claim(mirrored))[:1] == ["new"]
        assert "s" in await self.claim(mirrored)

    async def test_only_for_workers_of_the_queue_and_the_executor(
        self, mirrored: TimedStudy
    ) -> None:
        assert await self.claim(mirrored, queue="other") == []
        assert await self.claim(mirrored, executors=("other",)) == []
        assert await self.claim(mirrored) == ["s"]

    async def test_what_people_do_outside_is_done_here(self, mirrored: TimedStudy) -> None:
        assert await self.keep(mirrored, seen=MirrorState.PAUSED) is None
        assert (await mirrored.summary()).state is StudyState.PAUSED
        assert await self.keep(mirrored, seen=MirrorState.RUNNING) is None
        assert (await mirrored.summary()).state is StudyState.ACTIVE
        (attempt,) = await take_any(mirrored, 1)
        assert await self.keep(mirrored, seen=MirrorState.FINISHED) is None
        assert (await mirrored.summary()).state is StudyState.STOPPING
        assert (await see(mirrored, attempt)).stop is None
        assert await self.claim(mirrored) == ["s"]

    async def test_a_cancel_outside_ends_what_runs(self, mirrored: TimedStudy) -> None:
        (attempt,) = await take_any(mirrored, 1)
        await self.keep(mirrored, seen=MirrorState.CANCELLED)
        assert (await see(mirrored, attempt)).stop == "cancelled"

    async def test_what_people_do_here_is_done_outside(self, mirrored: TimedStudy) -> None:
        await states.pause(mirrored.actor)
        assert await self.keep(mirrored, seen=MirrorState.RUNNING) is MirrorState.PAUSED
        assert await self.keep(mirrored, seen=MirrorState.RUNNING) is MirrorState.PAUSED
        assert await self.keep(mirrored, seen=MirrorState.PAUSED) is None
        await states.resume(mirrored.actor)
        assert await self.keep(mirrored, seen=MirrorState.PAUSED) is MirrorState.RUNNING
        assert await self.keep(mirrored, seen=MirrorState.RUNNING) is None

    async def test_a_mirror_is_kept_until_both_have_ended(self, mirrored: TimedStudy) -> None:
        for attempt in await take_any(mirrored, 2):
            await see_exit(mirrored, attempt, values={"value": 1.0})
        assert (await mirrored.summary()).state is StudyState.FINISHED
        assert await self.claim(mirrored) == ["s"]
        assert await self.keep(mirrored, seen=MirrorState.RUNNING) is MirrorState.FINISHED
        assert await self.claim(mirrored) == ["s"]
        assert await self.keep(mirrored, seen=MirrorState.FINISHED) is None
        assert await self.claim(mirrored) == []

    async def test_what_is_used_up_is_not_resumed_from_outside(self, mirrored: TimedStudy) -> None:
        for attempt in await take_any(mirrored, 2):
            await see_exit(mirrored, attempt, values={"value": 1.0})
        await self.keep(mirrored, seen=MirrorState.FINISHED)
        assert await self.keep(mirrored, seen=MirrorState.RUNNING) is MirrorState.FINISHED
        assert (await mirrored.summary()).state is StudyState.FINISHED

    async def test_who_deletes_the_one_outside_stops_ours(self, mirrored: TimedStudy) -> None:
        (attempt,) = await take_any(mirrored, 1)
        deleted = {"external_ref": REF, "is_deleted": True, "problem": "It was deleted."}
        assert await self.keep(mirrored, **deleted) is None
        assert (await mirrored.summary()).state is StudyState.STOPPING
        assert await self.claim(mirrored) == []
        with pytest.raises(ClaimLost):
            await self.keep(mirrored, BOB, external_ref=REF, seen=MirrorState.RUNNING)
        await states.resume(mirrored.actor)
        assert await self.claim(mirrored) == ["s"]
        (other,) = await take_any(mirrored, 1, held=frozenset({attempt.attempt_id}))
        assert other.mirror_ref is None
        assert await self.keep(mirrored, external_ref="acme/digits/new") is None
        mirror = await mirrored.engine.mirrors.find(mirrored.actor.study_id)
        assert mirror is not None
        assert (mirror.external_ref, mirror.problem) == ("acme/digits/new", None)
        # Said again of the one before, it is no news.
        assert await self.keep(mirrored, **deleted) is None
        assert (await mirrored.summary()).stop_reason is StopReason.MAX_TRIALS

    async def test_a_state_that_is_not_known_changes_nothing(self, mirrored: TimedStudy) -> None:
        await states.pause(mirrored.actor)
        assert await self.keep(mirrored, problem="W&B does not answer.") is None
        mirror = await mirrored.engine.mirrors.find(mirrored.actor.study_id)
        assert mirror is not None
        assert (mirror.external_ref, mirror.agreed) == (REF, MirrorState.RUNNING)
        assert mirror.problem == "W&B does not answer."


async def claim_remote(
    study: TimedStudy, worker: Worker, count: int = 1, **given: Any
) -> list[ClaimedAttempt]:
    command: dict[str, Any] = {"queue": "default", "adopts": (REMOTE,)} | given
    claim = WorkerClaim(worker, executors=(REMOTE,), count=count, **command)
    return (await claim_attempts(study.engine, claim)).attempts


async def report(study: TimedStudy, worker: Worker) -> None:
    """The worker says that it is there."""
    said = WorkerReport(
        worker,
        queue="default",
        executors=(REMOTE,),
        slots=1,
        busy=1,
        state=WorkerState.ACTIVE,
        version="0.1.0",
    )
    await study.engine.workers.put(said, now=study.now)
