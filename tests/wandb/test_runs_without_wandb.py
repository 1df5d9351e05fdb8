"""Real runs of the real SDK while W&B is away, in trouble, or gone for good."""

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import StopKind
from tests.wandb.run_bench import Outcome, RunBench, build_params, follow
from tests.wandb_backend import Backend

pytestmark = pytest.mark.timeout(240)

# So that nobody waits for a minute before the next try.
IMPATIENT = {
    "WANDB_X_FILE_STREAM_RETRY_WAIT_MAX_SECONDS": "2",
    "WANDB_X_FILE_TRANSFER_RETRY_WAIT_MAX_SECONDS": "2",
    "WANDB_X_GRAPHQL_RETRY_WAIT_MAX_SECONDS": "2",
}


@dataclass(frozen=True)
class Story:
    """What became of runs that began while W&B answered, and of one that did not.

    Attributes:
        patient: Its program waited until W&B was back, and through its troubles after that.
        cut_short: Its program was not let wait.
        late_reference: Of one that was launched when W&B was away.
        kept: By the worker that was not to wait, and by the one that was.
    """

    patient: Outcome
    cut_short: Outcome
    late_reference: str
    kept: tuple[list[str], list[str]]


@pytest.fixture(scope="module")
def story(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Story:
    return asyncio.run(_tell(backend, tmp_path_factory.mktemp("workers")))


async def _tell(backend: Backend, folder: Path) -> Story:
    environment = backend.build_environment() | IMPATIENT
    benches = [RunBench(folder / name, environment) for name in ("hasty", "patient")]
    params = [{**build_params(number, "linger"), "seconds": 4} for number in range(2)]
    launches = [
        bench.build_launch(params[number], number, stop_seconds=1)
        for number, bench in enumerate(benches)
    ]
    have_rows = [asyncio.Event() for _ in benches]
    async with benches[0].open(upload_seconds=2) as hasty, benches[1].open() as patient:
        following = [
            asyncio.create_task(follow(executor, launch, partial(_set, event)))
            for executor, launch, event in zip((hasty, patient), launches, have_rows, strict=True)
        ]
        await asyncio.gather(*(event.wait() for event in have_rows))
        backend.go_down()
        late = benches[0].build_launch(build_params(2, "wait"), 2)
        late_reference = await hasty.launch(late)
        await hasty.stop(late, StopKind.AT_ONCE)
        cut_short = await following[0]
        assert not following[1].done()
        backend.fail("*", [429, 500, 503] * 4)
        backend.come_back()
        return Story(
            await following[1],
            cut_short,
            late_reference,
            (benches[0].list_kept(), benches[1].list_kept()),
        )


async def _set(event: asyncio.Event) -> None:
    event.set()


def test_run_outlasts_an_absence_and_a_storm(story: Story, backend: Backend):
    run = backend.runs[story.patient.reference]

    assert (story.patient.ending.kind, story.patient.ending.exit_code) == (EndingKind.EXITED, 0)
    assert (run.state, len(run.history)) == ("finished", 3)
    assert story.kept[1] == []


def test_run_whose_wandb_is_gone_for_good_ends_as_it_ended(story: Story):
    last = story.cut_short.seen.rows[-1]

    assert len(story.cut_short.seen.rows) == 3
    assert story.cut_short.ending == Ending(
        EndingKind.EXITED, exit_code=0, values=dict(last.values)
    )


def test_run_whose_wandb_is_gone_for_good_is_kept(story: Story):
    run_id = story.cut_short.reference.rpartition("/")[2]

    assert [name.endswith(run_id) for name in story.kept[0]] == [True]
    assert story.cut_short.seen.note is not None
    assert "wandb sync --no-skip-online" in story.cut_short.seen.note


def test_run_that_begins_while_wandb_is_away_is_offline(story: Story):
    assert story.late_reference == "offline/mnist/k3v9x2ab-2-1"
