"""`asktell sweep`: the commands in this process, against the application on a port of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import asktell
import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from service.cli.failures import CannotStart
from service.cli.main import app as command_line
from service.cli.sweep.live import LineView
from service.cli.sweep.snapshots import Snapshot, Snapshots
from service.cli.sweep.watch import Choice, Watch
from tests.api.conftest import TOKEN
from tests.api.served import serve_app
from tests.api.sweep_use import (
    REPORT,
    claim,
    claim_mirrors,
    end,
    observe,
    send_log,
    tell_mirror,
)

FILE = """
program: train.py
method: random
metric: {name: accuracy, goal: maximize}
parameters:
  lr: {min: 0.1, max: 1.0}
run_cap: 2
queue: gpu
"""

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
async def url(app: ASGIApp) -> AsyncIterator[str]:
    async with serve_app(app) as url:
        yield url


@pytest.fixture(autouse=True)
def quiet_server() -> Iterator[None]:
    """The server's log goes to the standard output of this process, which is the commands', too."""
    with capture_logs():
        yield


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lenet.yaml"
    path.write_text(FILE)
    return path


@pytest.fixture
def run(url: str) -> Run:
    """Runs `asktell sweep …` beside the server's event loop."""

    return partial(invoke, url)


async def invoke(url: str, *arguments: str | Path) -> Result:
    return await asyncio.to_thread(
        CliRunner().invoke,
        command_line,
        ["sweep", *map(str, arguments)],
        env={"ASKTELL_URL": url, "ASKTELL_TOKEN": TOKEN, "COLUMNS": "200"},
    )


@pytest.fixture
async def sweep(run: Run, file: Path) -> str:
    """A sweep `s` whose trials nobody launches unless the test does."""
    result = await run("run", file, "--name", "s", "--detach")
    assert result.exit_code == 0, result.output
    return "s"


def rewrite(file: Path, text: str) -> None:
    file.write_text(text)


async def claim_of_gpu(api: httpx.AsyncClient, count: int = 1) -> list[dict[str, Any]]:
    return await claim(api, count, queue="gpu", wait_seconds=20)


async def test_shows_a_sweep_until_it_is_over(run: Run, api: httpx.AsyncClient, file: Path) -> None:
    running = asyncio.create_task(run("run", file))
    (first,) = await claim_of_gpu(api)
    assert first["launch"]["directory"] == str(file.parent)
    await end(api, first, values={"accuracy": 0.75})
    (second,) = await claim_of_gpu(api)
    await end(api, second, exit_code=1)
    result = await running

    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("Sweep lenet-")
    assert "trial 1 failed: " in result.output
    end_line = next(line for line in lines if " is finished (max_trials): " in line)
    assert "1 complete, 0 pruned, 1 failed, 0 running, 0 left" in end_line
    assert lines[-2] == "best accuracy 0.75 (trial 0)"
    assert lines[-1].strip().startswith("lr=")


async def test_a_sweep_without_a_result_fails(run: Run, api: httpx.AsyncClient, file: Path) -> None:
    running = asyncio.create_task(run("run", file, "--trials", "1", "--json"))
    (attempt,) = await claim_of_gpu(api)
    await end(api, attempt, exit_code=3)
    result = await running

    assert result.exit_code == 1, result.output
    document = json.loads(result.stdout)
    assert document["sweep"]["state"] == "finished"
    assert document["sweep"]["study"]["counts"]["fail"] == 1
    assert document["best"] is None


async def test_options_win_over_the_file(run: Run, api: httpx.AsyncClient, file: Path) -> None:
    options = ["--name", "n", "--trials", "7", "--parallelism", "3", "--directory", "/srv"]
    result = await run("run", file, *options, "--detach", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["sweep"] == "n"
    sweep = (await api.get("/sweeps/n")).json()
    assert sweep["budget"]["max_trials"] == 7
    assert sweep["parallelism"] == 3
    assert sweep["sweep"]["launch"]["directory"] == "/srv"
    assert sweep["sweep"]["launch"]["program"] == "train.py"


@pytest.mark.parametrize("options", [[], ["--trials", "3"]])
async def test_a_wrong_file_is_refused_by_key_and_line(
    run: Run, file: Path, options: list[str]
) -> None:
    rewrite(file, FILE.replace("run_cap", "run_cup"))
    result = await run("run", file, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{file}:7: run_cup: ")
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("options", [[], ["--trials", "3"]])
async def test_what_the_server_would_tell_bit_by_bit_is_told_at_once(
    run: Run, file: Path, options: list[str]
) -> None:
    wrong = "executor: wandb\nwandb: {mod: 1, tags: 5}\nretry: {on: [bored]}\nlease_seconds: null\n"
    rewrite(file, FILE + wrong + "budget: 7\npruner: {type: NoPruner}\n")
    result = await run("run", file, *options)
    assert result.exit_code == 2
    keys = [line.split(": ")[:2] for line in result.stderr.splitlines()]
    assert keys == [
        [f"{file}:{line}", key]
        for line, key in (
            (10, "wandb.mod"),
            (10, "wandb.tags"),
            (11, "retry.on.0"),
            (12, "lease_seconds"),
            (13, "budget"),
            (14, "pruner"),
        )
    ]


@pytest.mark.parametrize(("budget", "shown"), [("7", "7"), ("[]", "a list")])
async def test_a_budget_that_is_none_stays_wrong_beside_an_option(
    run: Run, file: Path, budget: str, shown: str
) -> None:
    rewrite(file, f"direction: minimize\nlaunch: {{program: a}}\nbudget: {budget}\n")
    result = await run("run", file, "--trials", "3", "--detach")
    assert result.exit_code == 2
    assert result.stderr == f"{file}:3: budget: This must be a mapping, not {shown}.\n"


async def test_what_only_the_server_finds_wrong_is_said_as_it_says_it(file: Path) -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        problem = {"code": "invalid-request", "detail": "Not here.", "errors": []}
        response = JSONResponse(problem, 422, media_type="application/problem+json")
        await response(scope, receive, send)

    async with serve_app(refuse) as url:
        result = await invoke(url, "run", file)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("asktell: Not here.")


async def test_a_name_that_is_taken_asks_for_another(run: Run, file: Path, sweep: str) -> None:
    result = await run("run", file, "--name", sweep)
    assert result.exit_code == 1
    assert "--name gives this sweep another one." in result.stderr


async def test_a_missing_file_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    assert (await run("run", tmp_path / "none.yaml")).exit_code == 2


async def test_lists_and_shows(run: Run, api: httpx.AsyncClient, sweep: str) -> None:
    nobody = await run("show", sweep)
    assert "no worker for queue gpu: start `asktell worker --queue gpu`" in nobody.output

    first, second = await claim_of_gpu(api, count=2)
    await observe(api, first, note="To upload it: wandb sync runs/1")
    await end(api, first, exit_code=9)
    await end(api, second, values={"accuracy": 0.75})
    listed = await run("ls")
    assert [word for line in listed.output.splitlines() for word in line.split()][-7:] == [
        *("s", "finished", "2/2", "0.75", "0", "gpu", "-")
    ]
    assert json.loads((await run("ls", "--json")).stdout)["sweeps"][0]["name"] == sweep
    assert (await run("ls", "--state", "paused", "--json")).stdout == '{"sweeps": []}\n'
    assert "There are no sweeps" in (await run("ls", "--name", "zzz")).output

    shown = await run("show", sweep)
    assert "s: finished (max_trials)" in shown.output
    assert "best accuracy 0.75 (trial 1)" in shown.output
    assert "trial 0 failed: " in shown.output
    (line,) = (each for each in shown.output.splitlines() if first["id"] in each)
    assert line.endswith("; To upload it: wandb sync runs/1")
    document = json.loads((await run("show", sweep, "--json")).stdout)
    assert [each["exit_code"] for each in document["attempts"]] == [0, 9]
    assert document["best"]["values"] == [0.75]


async def test_a_trial_that_no_worker_had_tells_why_it_failed(
    run: Run, api: httpx.AsyncClient, sweep: str, file: Path
) -> None:
    (attempt,) = await claim_of_gpu(api)
    await end(api, attempt, exit_code=9)
    assert (await api.post(f"/studies/{sweep}/ask")).status_code == 200
    told = {"state": "FAIL", "reason": "objective: it raised\nValueError"}
    assert (await api.post(f"/studies/{sweep}/trials/1/tell", json=told)).status_code == 200

    shown = (await run("show", sweep)).output
    failures = json.loads((await run("show", sweep, "--json")).stdout)["failures"]
    logs = await run("logs", sweep, "1")

    reason = "objective: it raised ValueError"
    assert shown.index(f"trial 1 failed: {reason}") < shown.index("trial 0 failed: ")
    assert [(each["trial"], each["attempt"]) for each in failures] == [(1, None), (0, 1)]
    assert f"Trial 1 of s failed before a worker had it: {reason}" in logs.stderr


async def test_whose_worker_has_left_is_told_how_it_goes_on(
    run: Run, api: httpx.AsyncClient, sweep: str
) -> None:
    report = REPORT | {"queue": "gpu"}
    assert (await api.put("/workers/w1", json=report)).status_code == 204
    await claim_of_gpu(api, count=2)
    hint = "no worker for queue gpu follows what runs: start `asktell worker --queue gpu`"
    assert hint not in (await run("show", sweep)).output
    assert (await api.delete("/workers/w1")).status_code == 204
    assert hint in (await run("show", sweep)).output


async def test_changes_state(run: Run, api: httpx.AsyncClient, sweep: str) -> None:
    await claim_of_gpu(api)
    assert (await run("pause", sweep)).output == "Sweep s is paused.\n"
    assert "`asktell sweep resume s`" in (await run("show", sweep)).output
    resumed = json.loads((await run("resume", sweep, "--json")).stdout)
    assert resumed["sweep"]["state"] == "active"
    assert (await run("stop", sweep)).output == "Sweep s is stopping.\n"
    assert (await run("cancel", sweep)).output == "Sweep s is stopping.\n"
    missing = await run("stop", "nothing")
    assert missing.exit_code == 1
    assert "sweep-not-found" in missing.stderr


async def test_changes_limits_of_a_sweep(run: Run, api: httpx.AsyncClient, sweep: str) -> None:
    assert (await run("set", sweep, "--trials", "7", "--max-failures", "3")).exit_code == 0
    settings = (await api.get(f"/studies/{sweep}")).json()
    assert settings["budget"]["max_trials"] == 7
    assert settings["budget"]["max_failures"] == 3
    assert "--trials" in (await run("set", sweep)).stderr


async def test_prints_and_follows_logs(run: Run, api: httpx.AsyncClient, sweep: str) -> None:
    none = await run("logs", sweep)
    assert none.exit_code == 1
    assert "Sweep s has had no attempt yet" in none.stderr

    first, second = await claim_of_gpu(api, count=2)
    for attempt in (first, second):
        await send_log(api, attempt, f"trial {attempt['trial']}\n")
    assert (await run("logs", sweep)).stdout == "trial 1\n"
    assert (await run("logs", sweep, "0")).stdout == "trial 0\n"
    assert (await run("logs", sweep, first["id"])).stdout == "trial 0\n"
    document = json.loads((await run("logs", sweep, "0", "--json")).stdout)
    assert (document["attempt"]["id"], document["text"]) == (first["id"], "trial 0\n")

    following = asyncio.create_task(run("logs", sweep, "0", "--follow"))
    await send_log(api, first, "done\n", offset=8)
    await end(api, first)
    assert (await following).stdout == "trial 0\ndone\n"


async def test_exports(run: Run, api: httpx.AsyncClient, sweep: str, tmp_path: Path) -> None:
    (attempt,) = await claim_of_gpu(api)
    await end(api, attempt, values={"accuracy": 0.75})
    table = (await run("export", sweep)).stdout
    assert "params_lr" in table.splitlines()[0]
    assert ",0.75," in table.splitlines()[1]
    assert json.loads((await run("export", sweep, "--json")).stdout)
    result = await run("export", sweep, "--output", tmp_path / "trials.csv")
    assert (result.exit_code, result.stdout) == (0, "")
    assert await asyncio.to_thread((tmp_path / "trials.csv").read_text) == table


WANDB = {"executors": ["wandb"], "queue": "gpu"}
PAGE = "https://wandb.example/ada/numbers"


async def test_one_option_makes_trials_runs_of_wandb(
    run: Run, api: httpx.AsyncClient, file: Path
) -> None:
    options = ["--executor", "wandb", "--project", "numbers", "--name", "w", "--detach"]
    assert (await run("run", file, *options)).exit_code == 0
    assert "queue gpu: start" in (await run("show", "w")).output
    report = REPORT | {"queue": "gpu", "executors": ["process"]}
    assert (await api.put("/workers/w1", json=report)).status_code == 204
    assert "queue gpu has the executor wandb: start" in (await run("show", "w")).output

    assert len(await claim_mirrors(api, queue="gpu")) == 1
    made = {"external_ref": "ada/numbers/k1", "url": f"{PAGE}/sweeps/k1", "seen": "running"}
    await tell_mirror(api, "w", **made)
    (attempt,) = await claim(api, **WANDB)
    await observe(api, attempt, url=f"{PAGE}/runs/{attempt['run_id']}", note="Recorded offline.")

    shown = (await run("show", "w")).output
    listed = (await run("ls")).output
    logs = await run("logs", "w")

    assert f"in W&B: {PAGE}/sweeps/k1" in shown
    assert attempt["launch"]["project"] == "numbers"
    for words in (f"{PAGE}/runs/{attempt['run_id']}", "Recorded offline."):
        assert words in shown
        assert words in logs.stderr
    assert f"{PAGE}/sweeps/k1" in listed


async def test_a_live_view_shows_where_trials_are(
    url: str, run: Run, api: httpx.AsyncClient, file: Path
) -> None:
    options = ["--executor", "wandb", "--mode", "offline", "--name", "w", "--detach"]
    assert (await run("run", file, *options)).exit_code == 0
    first, second = await claim(api, 2, **WANDB)
    await observe(api, second, note="Recorded offline.")

    def look(snapshots: Snapshots) -> str | None:
        newest = snapshots.take().newest
        return newest and newest.note

    with asktell.Client(url, TOKEN) as client:
        snapshots = Snapshots(client, "w")
        assert await asyncio.to_thread(look, snapshots) == "Recorded offline."
        await end(api, second)
        await observe(api, first, note="On its way.")
        assert await asyncio.to_thread(look, snapshots) == "On its way."
        await end(api, first)
        assert await asyncio.to_thread(look, snapshots) is None


async def test_options_that_contradict_the_file_are_refused(run: Run, file: Path) -> None:
    for command in ("run", "check"):
        result = await run(command, file, "--project", "numbers", "--mode", "offline")
        assert result.exit_code == 2
        assert result.stderr.splitlines() == [
            "asktell: --project is for --executor wandb or wandb-launch or wandb-agent.",
            "asktell: --mode is for --executor wandb.",
        ]
        result = await run(command, file, "--executor", "wandb", "--project", "a b")
        assert result.exit_code == 2
        assert result.stderr.startswith("asktell: --project must have no spaces")


class Keys:
    """Somebody at a keyboard: presses Ctrl-C at the first looks, and answers what is asked."""

    def __init__(self, *choices: Choice | type[KeyboardInterrupt]) -> None:
        self.choices = list(choices)

    def wait(self, seconds: float) -> None:
        if self.choices:
            raise KeyboardInterrupt

    def choose(self) -> Choice:
        choice = self.choices.pop(0)
        if isinstance(choice, Choice):
            return choice
        raise choice


async def watch(url: str, name: str, keys: Keys) -> tuple[Snapshot | None, list[str]]:
    said: list[str] = []

    def run_watch() -> Snapshot | None:
        with asktell.Client(url, TOKEN) as client:
            return Watch(
                Snapshots(client, name).take,
                client.get_sweep(name),
                LineView(said.append),
                wait=keys.wait,
                choose=keys.choose,
            ).run()

    return await asyncio.to_thread(run_watch), said


@pytest.mark.parametrize("choice", [Choice.DETACH, KeyboardInterrupt])
async def test_ctrl_c_may_detach(
    url: str, api: httpx.AsyncClient, sweep: str, choice: Choice | type[KeyboardInterrupt]
) -> None:
    snapshot, _ = await watch(url, sweep, Keys(Choice.WATCH, choice))
    assert snapshot is None
    assert (await api.get("/sweeps/s")).json()["sweep"]["state"] == "active"


@pytest.mark.parametrize(
    ("choice", "state"), [(Choice.STOP, "finished"), (Choice.CANCEL, "cancelled")]
)
async def test_ctrl_c_may_end_the_sweep(url: str, sweep: str, choice: Choice, state: str) -> None:
    snapshot, said = await watch(url, sweep, Keys(choice))
    assert snapshot is not None
    assert snapshot.summary.state == state
    assert not snapshot.has_succeeded
    assert len(said) >= 2


class Flaky:
    """A look at a sweep that fails as often as a server that is being restarted."""

    def __init__(self, look: Callable[[], Snapshot], failures: int) -> None:
        self._look = look
        self._failures = failures

    def __call__(self) -> Snapshot:
        if self._failures:
            self._failures -= 1
            raise asktell.ApiConnectionError("Connection refused.")
        return self._look()


@pytest.mark.parametrize("failures", [3, 599, 600])
async def test_a_restart_of_the_server_does_not_end_the_view(
    url: str, run: Run, sweep: str, failures: int
) -> None:
    await run("cancel", sweep)
    said: list[str] = []

    def run_watch() -> Snapshot | None:
        with asktell.Client(url, TOKEN) as client:
            look = Flaky(Snapshots(client, sweep).take, failures)
            view = LineView(said.append)
            keys = Keys()
            return Watch(
                look, client.get_sweep(sweep), view, wait=keys.wait, choose=keys.choose
            ).run()

    if failures < 600:
        snapshot = await asyncio.to_thread(run_watch)
        assert snapshot is not None
        assert snapshot.summary.state == "cancelled"
        assert said[:2] == [
            "the server does not answer; the sweep goes on with it, still trying …",
            "the server answers again",
        ]
    else:
        with pytest.raises(CannotStart, match="stays away: Connection refused"):
            await asyncio.to_thread(run_watch)
