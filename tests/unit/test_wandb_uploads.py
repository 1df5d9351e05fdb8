"""Who uploads may take long; who cannot, because W&B is away, is cut short."""

import asyncio
from pathlib import Path

import pytest
import structlog

from service.schedulers.executors.wandb.local.kept_runs import KeptRuns
from service.schedulers.executors.wandb.local.uploads import (
    Uploads,
    has_unanswered_request,
    has_uploaded,
)
from tests.integration.process_bench import wait_until
from tests.memory_wandb import MemoryWandb

ATTEMPT_ID = "k3v9x2ab-0-1"
SENDING = '{"msg":"filestream: sending request","total_files":2,"complete":true,"exit_code":0}\n'
SENT = '{"msg":"filestream: request sent","status":"200 OK"}\n'


class Bench:
    """Uploads, W&B, and a clock that passes a second whenever W&B is asked."""

    def __init__(self) -> None:
        self.wandb = MemoryWandb()
        self.cut_short: list[tuple[str, float]] = []
        self.uploads = Uploads(
            self.wandb.api, self._cut_short, upload_seconds=60.0, clock=self.read_clock
        )

    def read_clock(self) -> float:
        return float(len(self.wandb.calls))

    async def watch(self, seconds: float) -> None:
        """Has it look so often, without the pauses in between."""
        for _ in range(int(seconds)):
            await self.uploads.look()

    async def _cut_short(self, attempt_id: str) -> None:
        self.cut_short.append((attempt_id, self.read_clock()))


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_slow_upload_goes_on_as_long_as_it_takes(bench: Bench):
    bench.uploads.note(ATTEMPT_ID, is_finishing=True)

    await bench.watch(1000)

    assert bench.cut_short == []


async def test_upload_to_nobody_is_cut_short(bench: Bench):
    bench.wandb.is_away = True
    bench.uploads.note(ATTEMPT_ID, is_finishing=True)

    await bench.watch(59)
    assert bench.cut_short == []
    await bench.watch(2)

    assert bench.cut_short[0] == (ATTEMPT_ID, 60.0)


async def test_refused_key_is_as_good_as_no_answer(bench: Bench):
    bench.wandb.refusal = "W&B does not know the API key."
    bench.uploads.note(ATTEMPT_ID, is_finishing=True)

    await bench.watch(60)

    assert len(bench.cut_short) == 1


async def test_seconds_are_counted_from_the_last_answer_on(bench: Bench):
    bench.uploads.note(ATTEMPT_ID, is_finishing=True)
    bench.wandb.is_away = True
    await bench.watch(50)
    bench.wandb.is_away = False
    await bench.watch(1)
    bench.wandb.is_away = True
    bench.uploads.note(ATTEMPT_ID, is_finishing=True)

    await bench.watch(59)
    assert bench.cut_short == []
    await bench.watch(1)

    assert len(bench.cut_short) == 1


async def test_request_that_gets_no_answer_is_cut_short_though_wandb_answers(bench: Bench):
    for _ in range(600):
        bench.uploads.note(ATTEMPT_ID, is_finishing=True, is_unanswered=True)
        await bench.watch(1)
    assert bench.cut_short == [(ATTEMPT_ID, 600.0)]


async def test_answer_to_a_request_begins_the_count_anew(bench: Bench):
    for second in range(1500):
        bench.uploads.note(ATTEMPT_ID, is_finishing=True, is_unanswered=second % 500 > 0)
        await bench.watch(1)

    assert bench.cut_short == []


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (None, False),
        ("", False),
        (SENDING, True),
        (SENDING + SENT, False),
        (SENDING + SENT + SENDING + "more", True),
    ],
)
def test_core_says_when_a_request_waits(tmp_path: Path, log: str | None, expected: bool):
    if log is not None:
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "debug-internal.log").write_text("x" * 100_000 + log)

    assert has_unanswered_request(str(tmp_path)) is expected


async def test_who_has_ended_is_left_alone(bench: Bench):
    bench.wandb.is_away = True
    bench.uploads.note(ATTEMPT_ID, is_finishing=True)
    bench.uploads.note(ATTEMPT_ID, is_finishing=False)

    await bench.watch(100)

    assert bench.cut_short == []


async def test_wandb_is_asked_only_while_somebody_waits(bench: Bench):
    running = asyncio.create_task(bench.uploads.run())
    for _ in range(10):
        await asyncio.sleep(0)
    assert bench.wandb.calls == []

    bench.uploads.note(ATTEMPT_ID, is_finishing=True)
    await wait_until(lambda: len(bench.wandb.calls) > 0)
    running.cancel()


async def test_accident_ends_no_watch(bench: Bench):
    async def cut_short(attempt_id: str) -> None:
        raise RuntimeError(f"{attempt_id} cannot be stopped")

    uploads = Uploads(bench.wandb.api, cut_short, upload_seconds=0.0, clock=bench.read_clock)
    uploads.note(ATTEMPT_ID, is_finishing=True)
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(uploads.run())
        await wait_until(lambda: len(bench.wandb.calls) > 2 or running.done())
    assert not running.done()
    running.cancel()
    assert "look.broken" in [line["event"] for line in logs]


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (None, False),
        ("", False),
        (SENT, False),
        (SENT + SENDING, False),
        (SENDING + SENT, True),
        (SENDING + SENT * 2 + "more", True),
    ],
)
def test_core_says_when_all_was_taken(tmp_path: Path, log: str | None, expected: bool):
    if log is not None:
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "debug-internal.log").write_text("x" * 100_000 + log)

    assert has_uploaded(str(tmp_path)) is expected


def test_kept_run_has_the_name_that_wandb_gave_it(tmp_path: Path):
    kept = KeptRuns(tmp_path / "with space")
    name = f"offline-run-20260102_030405-{ATTEMPT_ID}"
    run_folder = tmp_path / "attempt" / name
    run_folder.mkdir(parents=True)
    (run_folder / "run.wandb").touch()

    kept.keep(ATTEMPT_ID, [str(run_folder)])
    kept.keep(ATTEMPT_ID, [str(run_folder)])

    assert [path.name for path in tmp_path.glob("with space/*/*")] == ["run.wandb"]
    assert kept.describe_sync(ATTEMPT_ID, str(tmp_path), []) == (
        f"wandb sync --no-skip-online '{tmp_path}/with space'/*run-*-{ATTEMPT_ID}"
    )


def test_second_run_of_the_same_name_does_not_hide_the_first(tmp_path: Path):
    kept = KeptRuns(tmp_path / "kept")
    name = f"offline-run-20260102_030405-{ATTEMPT_ID}"
    for number, attempt_id in enumerate((ATTEMPT_ID, "k3v9x2ab-0-2")):
        run_folder = tmp_path / "attempt" / name
        run_folder.mkdir(parents=True)
        (run_folder / str(number)).touch()
        kept.keep(attempt_id, [str(run_folder)])

    assert sorted(path.name for path in tmp_path.glob("kept/*/*")) == ["0", "1"]
