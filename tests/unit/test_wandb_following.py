"""What is known of a run by what wandb left on disk."""

import math
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from service.schedulers.executors.base import MetricRow
from service.schedulers.executors.wandb.local.following import MAX_LOOK_BYTES, RunFollower
from service.schedulers.executors.wandb.local.places import RunPlace
from service.schedulers.executors.wandb.runs.run_metrics import RunMetrics
from tests.run_logs import RunLogWriter

DATA = Path(__file__).parent / "data"


def plant(folder: Path, run_id: str, name: str) -> Path:
    """Puts a recorded log where wandb would have it; returns the folder of the run."""
    run_folder = folder / "wandb" / name
    run_folder.mkdir(parents=True)
    shutil.copy(DATA / f"{run_id}.wandb", run_folder / f"run-{run_id}.wandb")
    return run_folder


def follow(
    folder: Path,
    run_id: str,
    *metrics: str,
    directions: tuple[str, ...] | None = None,
    first: str = "",
    max_look_bytes: int = MAX_LOOK_BYTES,
    **options: Any,
) -> RunFollower:
    directions = directions or ("minimize",) * len(metrics)
    wanted = RunMetrics(metrics, directions, **options)
    place = RunPlace(str(folder / "wandb"), first)
    return RunFollower(place, run_id, wanted, max_look_bytes=max_look_bytes)


@pytest.fixture
def many_kinds(tmp_path: Path) -> Path:
    plant(tmp_path, "many_kinds", "offline-run-20260102_030405-many_kinds")
    return tmp_path


@pytest.fixture
def written(tmp_path: Path) -> RunLogWriter:
    return RunLogWriter(tmp_path, "x")


def test_finished_run(many_kinds: Path):
    seen = follow(many_kinds, "many_kinds", "val.loss").look()

    assert list(seen.rows) == [
        MetricRow(step, {"val.loss": value}) for step, value in enumerate((3.0, 2.0, 1.0))
    ]
    assert (seen.has_run, seen.exit_code, seen.is_preempting) == (True, 0, False)
    assert (seen.is_offline, seen.has_offline_part) == (True, True)
    assert seen.folders == [str(many_kinds / "wandb" / "offline-run-20260102_030405-many_kinds")]
    assert (seen.is_behind, seen.trouble) == (False, None)


def test_preempted_run(tmp_path: Path):
    plant(tmp_path, "long_and_preempted", "run-20260102_030405-long_and_preempted")

    seen = follow(tmp_path, "long_and_preempted", "loss").look()

    assert (seen.exit_code, seen.is_preempting, seen.is_offline) == (1, True, False)
    assert [row.values["loss"] for row in seen.rows] == [1 / (1 + i) for i in range(12)]


def test_killed_run_has_no_end(tmp_path: Path):
    plant(tmp_path, "killed", "offline-run-20260102_030405-killed")

    seen = follow(tmp_path, "killed", "loss").look()

    assert (seen.has_run, seen.exit_code, len(seen.rows)) == (True, None, 2)


def test_no_run(tmp_path: Path):
    (tmp_path / "wandb").mkdir()
    plant(tmp_path, "killed", "offline-run-20260102_030405-killed")

    seen = follow(tmp_path, "another", "loss").look()

    assert (seen.has_run, list(seen.rows), seen.values, seen.folders) == (False, [], {}, [])
    assert not follow(tmp_path / "nowhere", "killed", "loss").look().has_run


def test_run_that_has_only_its_folder(tmp_path: Path):
    (tmp_path / "wandb" / "run-20260102_030405-x").mkdir(parents=True)

    seen = follow(tmp_path, "x", "loss").look()

    assert (seen.has_run, seen.exit_code) == (True, None)


def test_names_are_those_that_are_logged(many_kinds: Path):
    nested = follow(many_kinds, "many_kinds", "val.loss", "val/loss", "val.per.class.cat").look()
    others = follow(many_kinds, "many_kinds", "text", "is_best", "val", "per.class.cat").look()

    assert nested.values == {"val.loss": 1.0, "val/loss": 1.0, "val.per.class.cat": 2.0}
    assert (list(others.rows), others.values) == ([], {})


def test_values_that_are_not_finite(many_kinds: Path):
    seen = follow(many_kinds, "many_kinds", "loss").look()

    values = [row.values["loss"] for row in seen.rows]
    assert (values[0], values[2:]) == (1.0, [-math.inf, 7.0])
    assert math.isnan(values[1])
    assert [row.step for row in seen.rows] == [0, 1, 2, 10]


@pytest.mark.parametrize(("direction", "best"), [("minimize", -math.inf), ("maximize", 7.0)])
def test_best_value_is_not_nan(many_kinds: Path, direction: str, best: float):
    follower = follow(many_kinds, "many_kinds", "loss", directions=(direction,), value="best")

    assert follower.look().values == {"loss": best}


def test_number_is_better_than_nan(tmp_path: Path, written: RunLogWriter):
    for step, loss in enumerate((math.nan, 2.0, 3.0)):
        written.log({"loss": loss}, step=step)

    assert follow(tmp_path, "x", "loss", value="best").look().values == {"loss": 2.0}


def test_best_of_nothing_but_nan(tmp_path: Path, written: RunLogWriter):
    written.log({"loss": math.nan}, step=0)

    assert math.isnan(follow(tmp_path, "x", "loss", value="best").look().values["loss"])


def test_last_value(many_kinds: Path):
    assert follow(many_kinds, "many_kinds", "loss", "top").look().values == {
        "loss": 7.0,
        "top": 2.0,
    }


@pytest.mark.parametrize(
    ("metric", "direction", "value"),
    [
        ("loss", "minimize", 7.0),
        ("val.loss", "minimize", 1.0),
        ("val/loss", "minimize", 1.0),
        ("final", "minimize", 5.0),
        ("nested.score", "minimize", 0.5),
        ("top", "minimize", 3.0),
        ("top.max", "minimize", 3.0),
        ("span", "minimize", 4.0),
        ("span", "maximize", 6.0),
        ("mean", "maximize", 1.0),
    ],
)
def test_value_of_the_summary(many_kinds: Path, metric: str, direction: str, value: float):
    follower = follow(many_kinds, "many_kinds", metric, directions=(direction,), value="summary")

    assert follower.look().values == {metric: value}


@pytest.mark.parametrize("metric", ["gone", "text", "is_best", "nested", "absent"])
def test_no_value_in_the_summary(many_kinds: Path, metric: str):
    assert follow(many_kinds, "many_kinds", metric, value="summary").look().values == {}


def test_steps_by_a_metric(many_kinds: Path):
    seen = follow(many_kinds, "many_kinds", "loss", step_metric="epoch").look()

    # 2.5 is no step: wandb's own counts.
    assert [row.step for row in seen.rows] == [0, 10, 20, 10]


@pytest.mark.parametrize("step", [-1, 0.5, math.nan, math.inf, 2**31])
def test_no_step(tmp_path: Path, written: RunLogWriter, step: float):
    written.log({"loss": 1.0, "epoch": step}, step=7)

    assert follow(tmp_path, "x", "loss", step_metric="epoch").look().rows[0].step == 7


def test_step_metric_may_be_a_metric(tmp_path: Path, written: RunLogWriter):
    written.log({"loss": 4.0}, step=7)

    seen = follow(tmp_path, "x", "loss", step_metric="loss").look()

    assert list(seen.rows) == [MetricRow(4, {"loss": 4.0})]


def test_rows_without_a_metric_are_none(tmp_path: Path, written: RunLogWriter):
    written.log({"epoch": 1}, step=0)
    written.log({"a": 1.0, "epoch": 1}, step=1)
    written.log({"b": 2.0}, step=2)

    seen = follow(tmp_path, "x", "a", "b", step_metric="epoch").look()

    assert list(seen.rows) == [MetricRow(1, {"a": 1.0}), MetricRow(2, {"b": 2.0})]
    assert seen.values == {"a": 1.0, "b": 2.0}


def test_run_that_goes_on(tmp_path: Path, written: RunLogWriter):
    follower = follow(tmp_path, "x", "loss")
    written.log({"loss": 3.0}, step=0)
    assert len(follower.look().rows) == 1
    written.log({"loss": 2.0}, step=1)
    written.end(0)

    seen = follower.look()

    assert ([row.step for row in seen.rows], seen.exit_code) == ([0, 1], 0)


def test_first_of_two_ends_counts(tmp_path: Path, written: RunLogWriter):
    written.end(0)
    written.end(255)

    assert follow(tmp_path, "x", "loss").look().exit_code == 0


def test_run_that_was_begun_again(tmp_path: Path):
    plant(tmp_path, "killed", "offline-run-20260102_030405-killed-10")
    plant(tmp_path, "killed", "offline-run-20260102_030405-killed-9")
    folder = plant(tmp_path, "killed", "offline-run-20260102_030405-killed")
    plant(tmp_path, "many_kinds", "run-20260102_030406-killed")
    (tmp_path / "wandb" / "run-20260102_030406-killed" / "many_kinds").touch()
    log = tmp_path / "wandb" / "run-20260102_030406-killed" / "run-many_kinds.wandb"
    log.rename(log.with_name("run-killed.wandb"))
    (tmp_path / "wandb" / "latest-run").symlink_to(folder)

    seen = follow(tmp_path, "killed", "loss").look()

    assert [Path(each).name for each in seen.folders] == [
        "offline-run-20260102_030405-killed",
        "offline-run-20260102_030405-killed-9",
        "offline-run-20260102_030405-killed-10",
        "run-20260102_030406-killed",
    ]
    assert [row.step for row in seen.rows] == [0, 1, 0, 1, 0, 1, 0, 1, 2, 10]
    assert (seen.exit_code, seen.is_offline, seen.has_offline_part) == (0, False, True)


def test_what_an_earlier_attempt_has_left_is_none_of_this_one(tmp_path: Path):
    plant(tmp_path, "many_kinds", "run-20260102_030405-many_kinds")
    plant(tmp_path, "many_kinds", "run-20260102_030405-many_kinds-1")
    first = "run-20260102_030405-many_kinds-1"

    seen = follow(tmp_path, "many_kinds", "loss", first=first).look()

    assert [Path(each).name for each in seen.folders] == [first]


def test_end_of_an_earlier_run_is_none_of_this_one(tmp_path: Path):
    plant(tmp_path, "long_and_preempted", "run-20260102_030405-long_and_preempted")
    (tmp_path / "wandb" / "run-20260102_030406-long_and_preempted").mkdir()

    seen = follow(tmp_path, "long_and_preempted", "loss").look()

    assert (seen.exit_code, seen.is_preempting, len(seen.rows)) == (None, False, 12)


def test_a_look_reads_a_part(tmp_path: Path):
    plant(tmp_path, "long_and_preempted", "run-20260102_030405-long_and_preempted")
    follower = follow(tmp_path, "long_and_preempted", "loss", max_look_bytes=16_000)

    looks = [follower.look() for _ in range(3)]

    assert [look.is_behind for look in looks] == [True, True, False]
    assert [look.exit_code for look in looks] == [None, None, 1]
    assert len(looks[-1].rows) == 12


def test_a_look_reads_a_part_of_all_folders_together(tmp_path: Path):
    plant(tmp_path, "killed", "run-20260102_030405-killed")
    plant(tmp_path, "killed", "run-20260102_030406-killed")
    follower = follow(tmp_path, "killed", "loss", max_look_bytes=1_000)

    looks = [follower.look() for _ in range(2)]

    assert [(look.is_behind, len(look.folders)) for look in looks] == [(True, 2), (False, 2)]
    assert [row.step for row in looks[-1].rows] == [0, 1, 0, 1]


def test_too_many_rows(tmp_path: Path, written: RunLogWriter):
    for step in range(5):
        written.log({"loss": float(step)}, step=step)

    seen = follow(tmp_path, "x", "loss", max_rows=2).look()

    assert ([row.step for row in seen.rows], seen.values) == ([0, 1], {"loss": 4.0})


def test_many_rows_take_little_memory():
    metrics = RunMetrics(("loss", "odd"), ("minimize", "minimize"))
    tracemalloc.start()
    for step in range(10_000):
        metrics.add({"loss": step / 3, "odd": math.nan} if step % 2 else {"loss": step / 3}, step)
    taken_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert taken_bytes < 50 * len(metrics.rows)
    assert metrics.rows[8:9] == [MetricRow(8, {"loss": 8 / 3})]
    assert set(metrics.rows[-1].values) == {"loss", "odd"}


def test_foreign_log_is_no_end_of_the_worker(tmp_path: Path, written: RunLogWriter):
    written.begin()
    (written.folder / "run-x.wandb").write_bytes(b"something else")

    seen = follow(tmp_path, "x", "loss").look()

    assert (seen.has_run, seen.exit_code) == (True, None)
    assert seen.trouble is not None
