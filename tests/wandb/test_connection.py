"""The connection with the real wandb, which asks the stand-in."""

import asyncio
import math
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from service.schedulers.executors.connection.connection import (
    SystemAway,
    SystemConnection,
    SystemRefused,
    SystemThrottled,
)
from service.schedulers.executors.process.processes import list_processes
from service.schedulers.executors.wandb.connection.system import describe_wandb
from service.schedulers.executors.wandb.runs.run_api import Account, HistoryPiece, WandbApi
from service.schedulers.executors.wandb.runs.runs import RunPath
from tests.log_lines import open_log
from tests.wandb.connection_use import (
    build_worker_environment,
    list_descendants,
    open_connection,
    read_commands,
)
from tests.wandb_backend import Backend
from tests.wandb_backend.backend import ENTITY, PROJECT

pytestmark = [pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

# All tests share a process: each start of wandb costs seconds.
LONG_ENOUGH, A_MOMENT = 60.0, 0.5


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def api(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[WandbApi]:
    connection = open_connection(
        build_worker_environment(backend, tmp_path_factory.mktemp("wandb"))
    )
    api = WandbApi(connection)
    await api.find_account()
    yield api
    await connection.close()


@pytest.fixture(autouse=True)
def _without_faults(backend: Backend) -> Iterator[None]:
    yield
    backend.recover()
    backend.world.writes_bare_nan = False
    backend.world.gate = None


@contextmanager
def count_requests(backend: Backend) -> Iterator[Counter[str]]:
    before, during = backend.requests, Counter[str]()
    yield during
    during.update(backend.requests - before)


def path(run_id: str) -> RunPath:
    return RunPath(ENTITY, PROJECT, run_id)


async def test_it_finds_out_whose_the_key_is(backend: Backend, api: WandbApi) -> None:
    assert await api.find_account() == Account(ENTITY)


async def test_it_asks_whether_wandb_answers(backend: Backend, api: WandbApi) -> None:
    await api.find_account()
    backend.fail("Viewer", [503, 503])
    assert not await api.is_reachable(deadline_seconds=LONG_ENOUGH)
    with count_requests(backend) as requests:
        assert await api.is_reachable(deadline_seconds=LONG_ENOUGH)
    assert requests == {"Viewer": 1}


async def test_it_finds_runs_by_one_request_for_a_hundred(backend: Backend, api: WandbApi) -> None:
    rows = [{"loss": 0.5, "val": {"acc": 1}}, {"loss": math.nan}, {"loss": -math.inf}]
    backend.plant_run("few-1", rows=rows)
    backend.plant_run("few-2", state="preempting").stop()
    backend.plant_run("few-3", state="crashed")
    ids = ["few-1", "few-2", "few-3", *(f"none-{number}" for number in range(130))]
    with count_requests(backend) as requests:
        runs = await api.find_runs(ENTITY, PROJECT, ids)
    assert requests == {"Runs": 2}
    assert {run_id: (run.state, run.last_step) for run_id, run in runs.items()} == {
        "few-1": ("running", 2),
        "few-2": ("preempting", -1),
        "few-3": ("crashed", -1),
    }
    assert [run.is_stopped for run in runs.values()] == [False, True, False]
    assert runs["few-1"].summary == {"_step": 2, "loss": -math.inf}
    backend.world.writes_bare_nan = True
    runs = await api.find_runs(ENTITY, PROJECT, ["few-1"])
    assert runs["few-1"].summary == {"_step": 2, "loss": -math.inf}
    assert await api.find_runs(ENTITY, "no-such-project", ["few-1"]) is None


async def test_it_reads_rows_that_have_some_of_the_keys(backend: Backend, api: WandbApi) -> None:
    rows = [
        {"loss": 1.0, "epoch": 0},
        {"loss": math.nan, "val/acc": 0.5, "other": 1},
        {"other": 2},
        {"val/acc": math.inf},
    ]
    backend.plant_run("rows", rows=rows)
    keys = ["loss", "val/acc", "epoch"]
    with count_requests(backend) as requests:
        found = list((await api.read_history(path("rows"), keys, 0)).rows)
    assert requests == {"RunSampledHistory": 1}
    assert found[0] == {"_step": 0, "loss": 1.0, "epoch": 0}
    assert math.isnan(found[1].pop("loss"))
    assert found[1:] == [{"_step": 1, "val/acc": 0.5}, {"_step": 3, "val/acc": math.inf}]
    assert await api.read_history(path("rows"), keys, 2) == HistoryPiece(found[2:], 3, True)
    assert await api.read_history(path("rows"), keys, 0, 0) == HistoryPiece(found[:1], 0, True)
    assert await api.read_history(path("rows"), keys, 4) == HistoryPiece([], 3, True)


async def test_it_leaves_out_no_row_of_a_long_history(backend: Backend, api: WandbApi) -> None:
    rows = [{"loss": float(step)} for step in range(12_345)]
    backend.plant_run("long", rows=rows)
    first = await api.read_history(path("long"), ["loss"], 0)
    second = await api.read_history(path("long"), ["loss"], first.read_to + 1)
    assert (first.read_to, first.is_all) == (9_999, False)
    assert (second.read_to, second.is_all) == (12_344, True)
    assert [row["loss"] for row in (*first.rows, *second.rows)] == [row["loss"] for row in rows]
    with count_requests(backend) as requests:
        last = await api.read_history(path("long"), ["loss"], 12_300)
    assert [row["_step"] for row in last.rows] == list(range(12_300, 12_345))
    assert requests == {"RunSampledHistory": 1}


async def test_a_stop_is_flagged(backend: Backend, api: WandbApi) -> None:
    backend.plant_run("unwanted")
    backend.plant_run("over", state="finished")
    for _ in range(2):
        await api.flag_stop(path("unwanted"))
        await api.flag_stop(path("over"))
    assert (await api.find_runs(ENTITY, PROJECT, ["unwanted"]))["unwanted"].is_stopped
    assert not backend.runs[path("over").external_ref].is_stopped


@pytest.mark.parametrize("failures", [[], [400]], ids=["together", "one by one"])
async def test_many_stops_are_flagged_at_once(
    backend: Backend, api: WandbApi, failures: list[int]
) -> None:
    ids = [f"many-{len(failures)}-{number}" for number in range(3)]
    for run_id in ids:
        backend.plant_run(run_id)
    backend.fail("StopRuns", failures)
    with count_requests(backend) as requests:
        flags = (api.flag_stop(path(run_id)) for run_id in (*ids, "gone"))
        done = await asyncio.gather(*flags, return_exceptions=True)
    assert [str(each) for each in done] == [*["None"] * 3, "Could not find run acme/mnist/gone."]
    assert requests == {"Runs": 1, "StopRuns": 4 if failures else 1}
    assert all(backend.runs[path(run_id).external_ref].is_stopped for run_id in ids)


@pytest.mark.parametrize(
    ("state", "sweep", "exit_code", "becomes"),
    [
        ("running", None, 1, "failed"),
        ("pending", None, 1, "failed"),
        ("running", None, 0, "finished"),
        ("running", "w1234567", 1, "failed"),
        ("preempting", None, 1, "preempted"),
        ("crashed", None, 1, "failed"),
        ("crashed", "w1234567", 3, "failed"),
        ("crashed", None, 0, "finished"),
    ],
)
async def test_a_run_without_an_end_gets_one(
    backend: Backend, api: WandbApi, state: str, sweep: str | None, exit_code: int, becomes: str
) -> None:
    run = backend.plant_run(f"{state}-{sweep}-{exit_code}", state=state, sweep=sweep)
    assert await api.end_run(path(run.name), exit_code)
    assert run.state == becomes
    assert not await api.end_run(path(run.name), exit_code)


async def test_a_run_that_was_to_stop_is_killed_by_its_end(backend: Backend, api: WandbApi) -> None:
    run = backend.plant_run("pruned")
    await api.flag_stop(path("pruned"))
    assert await api.end_run(path("pruned"), 255)
    assert run.state == "killed"


async def test_a_crashed_run_that_was_to_stop_is_killed_by_its_end(
    backend: Backend, api: WandbApi
) -> None:
    run = backend.plant_run("pruned-in-silence", state="crashed")
    await api.flag_stop(path(run.name))
    assert await api.end_run(path(run.name), 255)
    assert (run.state, run.exit_code) == ("killed", 255)


async def test_a_server_that_cannot_call_runs_failed_is_told_like_by_the_run(
    backend: Backend, api: WandbApi
) -> None:
    run = backend.plant_run("elsewhere")
    backend.fail("UpdateRunState", [400])
    assert await api.end_run(path("elsewhere"), 3)
    assert (run.state, run.exit_code) == ("failed", 3)


async def test_an_end_that_did_not_come_through_can_be_told_again(
    backend: Backend, api: WandbApi
) -> None:
    run = backend.plant_run("again", sweep="w1234567")
    # Others are asked all the same, which many failures would end.
    backend.fail("file_stream", [500] * 6)
    for _ in range(6):
        with pytest.raises(SystemAway, match="500"):
            await api.end_run(path("again"), 1)
    assert await api.end_run(path("again"), 1)
    assert run.state == "failed"


@pytest.mark.parametrize("state", ["finished", "failed", "killed", "preempted"])
async def test_a_run_that_has_ended_is_left_alone(
    backend: Backend, api: WandbApi, state: str
) -> None:
    run = backend.plant_run(f"ended-{state}", state=state)
    with count_requests(backend) as requests:
        assert not await api.end_run(path(run.name), 1)
    assert run.state == state
    assert requests == {"Run": 1}


async def test_a_run_that_is_not_there_is_refused(api: WandbApi) -> None:
    with pytest.raises(SystemRefused, match="Could not find run"):
        await api.flag_stop(path("nowhere"))
    for call in (api.end_run(path("nowhere"), 1), api.read_history(path("nowhere"), ["loss"], 0)):
        with pytest.raises(SystemRefused, match="There is no run acme/mnist/nowhere at W&B"):
            await call


async def test_a_storm_passes(backend: Backend, api: WandbApi) -> None:
    backend.fail("*", [500] * 2)
    with pytest.raises(SystemAway, match="cannot be asked now: HTTP 500"):
        await api.find_account()
    assert (await api.find_account()).entity == ENTITY


async def test_a_wandb_that_is_asked_too_often_says_so(backend: Backend, api: WandbApi) -> None:
    backend.fail("*", [429] * 2)
    with pytest.raises(SystemThrottled, match="is asked too often: HTTP 429"):
        await api.find_account()
    assert (await api.find_account()).entity == ENTITY


async def test_wandb_comes_back(backend: Backend, api: WandbApi) -> None:
    backend.go_down()
    with pytest.raises(SystemAway, match=r"cannot be asked now: .*connection refused"):
        await api.find_account()
    assert not await api.is_reachable(deadline_seconds=A_MOMENT)
    backend.come_back()
    assert await api.is_reachable(deadline_seconds=LONG_ENOUGH)


async def test_a_server_that_hangs_takes_no_longer_than_the_deadline(
    backend: Backend, api: WandbApi
) -> None:
    with backend.hang(), pytest.raises(SystemAway, match="did not answer within"):
        await api.find_account(deadline_seconds=A_MOMENT)
    assert (await api.find_account()).entity == ENTITY


async def test_a_core_that_was_killed_between_calls_is_replaced_unnoticed(api: WandbApi) -> None:
    await api.find_account()
    descendants = list_descendants(os.getpid())
    (core,) = (
        process
        for process in list_processes()
        if process.pid in descendants and "wandb-core" in "".join(read_commands([process.pid]))
    )
    os.kill(core.pid, signal.SIGKILL)
    wait_until_reaped(core.parent)
    assert (await api.find_account()).entity == ENTITY


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("n0tit" * 8, "Run `wandb login` as the worker's user, or set WANDB_API_KEY"),
        ("", "No API key configured. Use `wandb login` to log in. There is none in WANDB_API_KEY"),
    ],
    ids=["wrong", "none"],
)
async def test_a_key_that_is_no_good_is_refused_and_never_shown(
    backend: Backend, tmp_path: Path, key: str, message: str
) -> None:
    environment = build_worker_environment(backend, tmp_path) | {"WANDB_API_KEY": key}
    connection = open_connection(environment)
    with open_log() as log:
        try:
            with pytest.raises(SystemRefused, match=message) as refusal:
                await WandbApi(connection).find_account()
            commands = read_commands(list_descendants(os.getpid()))
        finally:
            await connection.close()
        told = log.read_text() + str(refusal.value) + repr(refusal.value)
    assert any("wandb-core" in command for command in commands)
    if key:
        assert key not in told + str(commands)


async def test_without_a_key_it_says_where_one_was_looked_for(
    backend: Backend, tmp_path: Path
) -> None:
    # Without the port, as other programs want it.
    keys = tmp_path / "keys"
    keys.write_text(f"machine 127.0.0.1 login user password {'n0tit' * 8}\n")
    environment = build_worker_environment(backend, tmp_path) | {"NETRC": str(keys)}
    del environment["WANDB_API_KEY"]
    connection = open_connection(environment)
    host = backend.url.removeprefix("http://")
    try:
        with pytest.raises(SystemRefused) as refusal:
            await WandbApi(connection).find_account()
    finally:
        await connection.close()
    assert str(refusal.value).endswith(f"for `machine {host}` in {keys}.")


async def test_a_password_of_the_address_is_never_shown(backend: Backend, tmp_path: Path) -> None:
    environment = build_worker_environment(backend, tmp_path)
    environment["WANDB_BASE_URL"] = backend.url.replace("://", "://ada:hunter%402@")
    # As if it was in a file of wandb's: then the process alone knows it.
    system = replace(describe_wandb(environment), secrets=())
    connection = SystemConnection(system)
    backend.plant_run("behind-a-proxy", sweep="w1234567")
    backend.fail("file_stream", [403])
    try:
        with pytest.raises(SystemRefused, match="://ada:…@127") as refusal:
            await WandbApi(connection).end_run(path("behind-a-proxy"), 1)
    finally:
        await connection.close()
    assert refusal.value.is_about_key


async def test_an_end_goes_the_way_of_all_calls(backend: Backend, tmp_path: Path) -> None:
    backend.world.gate = "open"
    environment = build_worker_environment(backend, tmp_path) | {
        "WANDB_BASE_URL": "http://wandb.invalid",
        "WANDB_HTTP_PROXY": backend.url,
        "WANDB_X_EXTRA_HTTP_HEADERS": '{"X-Gate": "open"}',
    }
    run = backend.plant_run("behind-a-gate", sweep="w1234567")
    connection = open_connection(environment)
    try:
        assert await WandbApi(connection).end_run(path("behind-a-gate"), 1)
    finally:
        await connection.close()
    assert run.state == "failed"


async def test_a_key_may_come_from_netrc(backend: Backend, tmp_path: Path) -> None:
    environment = build_worker_environment(backend, tmp_path)
    key = environment.pop("WANDB_API_KEY")
    connection = open_connection(environment)
    api = WandbApi(connection)
    try:
        with pytest.raises(SystemRefused):
            await api.find_account()
        write_netrc(tmp_path, backend, key)
        assert (await api.find_account()).entity == ENTITY
        run = backend.plant_run("netrc", sweep="w1234567")
        assert await api.end_run(path("netrc"), 1)
        assert run.state == "failed"
        backend.world.api_key = "renewed" * 6
        write_netrc(tmp_path, backend, backend.world.api_key)
        with pytest.raises(SystemRefused):
            await api.find_account()
        assert (await api.find_account()).entity == ENTITY
    finally:
        backend.world.api_key = key
        await connection.close()


def wait_until_reaped(pid: int) -> None:
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.01)


def write_netrc(home: Path, backend: Backend, key: str) -> None:
    netrc = home / ".netrc"
    netrc.write_text(f"machine 127.0.0.1:{backend.port} login user password {key}\n")
    netrc.chmod(0o600)
