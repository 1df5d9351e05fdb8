"""Real runs of the real SDK: what a worker sees of them, and what W&B has in the end.

They run once for all tests, several at a time: wandb takes seconds to start.
"""

import asyncio
import math
from collections.abc import Awaitable
from dataclasses import replace
from functools import partial

import pytest

from service.domain.attempts import EndingKind
from service.schedulers.executors.base import Executor, StopKind
from service.schedulers.executors.wandb.local.executor import WandbExecutor
from tests.integration.process_bench import wait_until
from tests.wandb.run_bench import (
    PROJECT,
    Outcome,
    RunBench,
    build_next,
    build_params,
    follow,
)
from tests.wandb_backend import Backend
from tests.wandb_backend.run_records import RunRecord

pytestmark = pytest.mark.timeout(240)

# What becomes of the trials of a sweep, one each.
SAME = ("finish", "raise", "kill")
ALONE = (*SAME, "leave", "fail-run", "forget", "diverge")
AT_A_TIME = 5
LABELS = {"group": "night", "job_type": "tune", "tags": ["a", "b"]}


class Story:
    """What happened, by what the programs did.

    Attributes:
        plain: Of the same programs as mere processes.
        uploaded: Whether W&B had all of the run when the program had ended.
        kept: Folders of runs that the worker keeps.
        has_link: Whether a run that was made offline by its program had one.
    """

    def __init__(self, backend: Backend, bench: RunBench) -> None:
        self.online: dict[str, Outcome] = {}
        self.offline: dict[str, Outcome] = {}
        self.plain: dict[str, Outcome] = {}
        self.uploaded: dict[str, bool] = {}
        self.kept: list[str] = []
        self.has_link = True
        self._backend = backend
        self._bench = bench
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._sweep = backend.plant_sweep("mirror01", project=PROJECT)

    def find_run(self, doing: str) -> RunRecord:
        """Returns what W&B has."""
        return self._backend.runs[self.online[doing].reference]

    async def tell(self) -> None:
        plain = self._bench.open_processes()
        async with self._bench.open() as executor:
            # The one that takes longest first.
            attempts = [
                self._stop_as_person(executor),
                self._preempt(executor),
                self._prune(executor),
                self._go_elsewhere(executor),
                self._go_offline_in_code(executor),
                *(self._go_online(executor, number, doing) for number, doing in enumerate(SAME)),
                *(self._go_offline(executor, number, doing) for number, doing in enumerate(ALONE)),
                *(self._go_plain(plain, number, doing) for number, doing in enumerate(SAME)),
            ]
            await asyncio.gather(*map(self._take_turn, attempts))
            await wait_until(lambda: self.find_run("kill").state != "running")
            await wait_until(lambda: self.find_run("elsewhere").state != "running")
        self.kept = self._bench.list_kept()

    async def _take_turn(self, attempt: Awaitable[None]) -> None:
        async with self._turns:
            await attempt

    async def _go_online(self, executor: Executor, number: int, doing: str) -> None:
        launch = self._bench.build_launch(build_params(number, doing), number, **LABELS)
        launch = replace(launch, mirror_ref=f"acme/{PROJECT}/{self._sweep.name}")

        def look_at_upload() -> None:
            self.uploaded[doing] = self._bench.has_uploaded(launch)

        self.online[doing] = await follow(executor, launch, at_end=look_at_upload)

    async def _prune(self, executor: Executor) -> None:
        launch = self._bench.build_launch(build_params(3, "wait"), 3)
        stop = partial(executor.stop, launch, StopKind.GRACEFUL)
        self.online["pruned"] = await follow(executor, launch, stop)

    async def _stop_as_person(self, executor: Executor) -> None:
        launch = self._bench.build_launch(build_params(4, "wait"), 4)

        async def stop() -> None:
            self._backend.stop_run(f"acme/{PROJECT}/{launch.run_id}")

        self.online["stopped"] = await follow(executor, launch, stop)

    async def _preempt(self, executor: Executor) -> None:
        launch = self._bench.build_launch(build_params(5, "preempt"), 5, value="best")
        self.online["preempted"] = await follow(executor, launch)
        self.online["resumed"] = await follow(executor, build_next(launch))

    async def _go_elsewhere(self, executor: Executor) -> None:
        params = build_params(6, "kill")
        launch = self._bench.build_wilful_launch(params, 6, dir="theirs")
        self.online["elsewhere"] = await follow(executor, launch)

    async def _go_offline_in_code(self, executor: WandbExecutor) -> None:
        params = build_params(7, "finish")
        launch = self._bench.build_wilful_launch(params, 7, mode="offline")
        self.offline["in-code"] = await follow(executor, launch)
        self.has_link = executor.url(self.offline["in-code"].reference) is not None

    async def _go_offline(self, executor: Executor, number: int, doing: str) -> None:
        params = build_params(number, doing)
        launch = self._bench.build_launch(params, number + 10, mode="offline")
        self.offline[doing] = await follow(executor, launch)

    async def _go_plain(self, executor: Executor, number: int, doing: str) -> None:
        launch = self._bench.build_plain_launch(build_params(number, doing), number)
        self.plain[doing] = await follow(executor, launch)


@pytest.fixture(scope="module")
def bench(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> RunBench:
    return RunBench(tmp_path_factory.mktemp("worker"), backend.build_environment())


@pytest.fixture(scope="module")
def story(backend: Backend, bench: RunBench) -> Story:
    story = Story(backend, bench)
    asyncio.run(story.tell())
    return story


def test_finished_run_has_all_that_the_sweep_gives_it(story: Story):
    run = story.find_run("finish")

    assert (run.state, run.exit_code, run.starts) == ("finished", 0, 1)
    assert (run.group, run.job_type, run.tags) == ("night", "tune", ["a", "b"])
    assert (run.display_name, run.sweep) == ("trial-0", "mirror01")
    assert run.params["lr"] == build_params(0, "finish")["lr"]
    assert run.params["opt"] == {"name": "adam", "decay": 0.5}
    assert run.params["asktell"] == {"study": "digits", "trial": 0, "attempt": 1}
    assert [row["_step"] for row in run.history] == [0, 1, 2]


def test_finished_run_is_seen_as_it_was_logged(story: Story):
    seen, ending = story.online["finish"].seen, story.online["finish"].ending
    logged = story.find_run("finish").history

    assert [row.step for row in seen.rows] == [0, 1, 2]
    assert [row.values["loss"] for row in seen.rows] == [row["loss"] for row in logged]
    assert ending.kind is EndingKind.EXITED
    assert ending.values == dict(seen.rows[-1].values)
    assert set(ending.values) == {"loss", "val.accuracy"}
    assert seen.note is None


@pytest.mark.parametrize("doing", SAME)
def test_outcome_is_the_same_online_offline_and_without_wandb(story: Story, doing: str):
    ends = [outcomes[doing].ending for outcomes in (story.online, story.offline, story.plain)]

    assert len({(end.kind, end.exit_code, end.signal, str(end.values)) for end in ends}) == 1
    assert ends[0].values is not None
    assert all(map(math.isfinite, ends[0].values.values()))
    assert (ends[0].exit_code, ends[0].signal) == {
        "finish": (0, None),
        "raise": (1, None),
        "kill": (None, 9),
    }[doing]


def test_core_tells_whether_all_was_uploaded(story: Story):
    assert story.uploaded == {"finish": True, "raise": True, "kill": False}


def test_failed_run_says_why(story: Story):
    assert story.find_run("raise").state == "failed"
    assert story.online["raise"].ending.message == "RuntimeError: boom"
    assert "boom" in (story.plain["raise"].ending.message or "")


def test_killed_run_of_a_sweep_is_repaired(story: Story):
    run = story.find_run("kill")

    assert (run.state, run.sweep) == ("failed", "mirror01")


def test_pruned_run_is_killed_on_wandb(story: Story):
    ending = story.online["pruned"].ending

    assert story.find_run("pruned").state == "killed"
    assert (ending.kind, ending.signal) == (EndingKind.EXITED, 2)


def test_run_that_a_person_stopped_is_cancelled(story: Story):
    ending = story.online["stopped"].ending

    assert story.find_run("stopped").state == "killed"
    assert (ending.kind, ending.message) == (
        EndingKind.CANCELLED,
        "A person stopped the run in W&B.",
    )


def test_preempted_run_goes_on(story: Story):
    run = story.find_run("preempted")

    assert story.online["preempted"].ending.kind is EndingKind.PREEMPTED
    assert story.online["resumed"].reference == story.online["preempted"].reference
    assert (run.state, run.starts) == ("finished", 2)
    assert [row["_step"] for row in run.history] == [0, 1, 2, 3, 4]
    assert [row.step for row in story.online["resumed"].seen.rows] == [2, 3, 4]


def test_best_value_of_a_resumed_run_is_that_of_both_parts(story: Story):
    before, after = story.online["preempted"].ending.values, story.online["resumed"].ending.values
    logged = [row["loss"] for row in story.find_run("preempted").history]

    assert min(logged) == logged[1] < min(logged[2:])
    assert before == after
    assert after is not None
    assert after["loss"] == logged[1]


def test_offline_run_without_an_end_has_failed(story: Story):
    ending = story.offline["leave"].ending

    assert (ending.kind, ending.exit_code) == (EndingKind.FAILED, 0)
    assert ending.message is not None
    assert "no end" in ending.message


def test_offline_run_that_calls_itself_failed_has(story: Story):
    ending = story.offline["fail-run"].ending

    assert (ending.kind, ending.exit_code, ending.values) == (EndingKind.FAILED, 0, {})
    assert ending.message is not None
    assert "exit code 5" in ending.message


def test_run_that_finishes_without_its_metric_has_no_value(story: Story):
    ending = story.offline["forget"].ending

    assert (ending.kind, ending.exit_code, ending.values) == (EndingKind.EXITED, 0, {})


def test_nan_is_the_value_of_a_run_that_logs_it_last(story: Story):
    outcome = story.offline["diverge"]

    assert (outcome.ending.kind, outcome.ending.exit_code) == (EndingKind.EXITED, 0)
    assert outcome.ending.values is not None
    assert math.isnan(outcome.ending.values["loss"])
    assert [math.isnan(row.values["loss"]) for row in outcome.seen.rows] == [False, False, True]


def test_what_wandb_lacks_is_kept(story: Story):
    ids = [outcome.reference.rpartition("/")[2] for outcome in story.offline.values()]
    killed = story.find_run("kill").name

    assert len(story.kept) == len(ids) + 1
    assert all(any(name.endswith(run_id) for name in story.kept) for run_id in (*ids, killed))


def test_offline_run_says_how_to_upload_it(story: Story):
    outcome = story.offline["finish"]

    assert outcome.reference.startswith("offline/")
    assert outcome.seen.note is not None
    assert "wandb sync --no-skip-online" in outcome.seen.note


def test_run_that_is_offline_by_its_program_is_kept_and_said_to_be(story: Story):
    outcome = story.offline["in-code"]

    assert (outcome.ending.kind, outcome.ending.exit_code) == (EndingKind.EXITED, 0)
    assert outcome.seen.note is not None
    assert outcome.seen.note.startswith("Recorded offline. Its program itself asks for that")
    assert not story.has_link


def test_run_in_a_folder_of_its_program_is_followed_and_repaired(story: Story, bench: RunBench):
    outcome = story.online["elsewhere"]
    run_id = outcome.reference.rpartition("/")[2]

    assert [row.step for row in outcome.seen.rows] == [0, 1]
    assert story.find_run("elsewhere").state == "failed"
    assert outcome.seen.note is not None
    assert f"wandb sync --no-skip-online {bench.folder}/theirs/wandb/*run-" in outcome.seen.note
    assert len(list((bench.folder / "theirs" / "wandb").glob(f"run-*-{run_id}"))) == 1


def test_nothing_secret_is_kept(story: Story, backend: Backend):
    params = [run.params for run in backend.runs.values()]

    assert len(params) == 7
    assert "ASKTELL_TOKEN" not in str(params)
    assert "a-secret-of-the-attempt" not in str(params)
