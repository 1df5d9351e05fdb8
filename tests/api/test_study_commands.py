"""`asktell study`: the commands in this process, against the application on a port of it."""

import asyncio
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import optuna
import pytest
from optuna.distributions import FloatDistribution
from starlette.types import ASGIApp, Receive, Scope, Send

from service.storage.database import Database
from tests.api.command_use import Run, build_run
from tests.api.conftest import SPACE, TOKEN
from tests.api.served import serve_app
from tests.plain_optuna import open_rdb_storage

ODD_NAME = "a [red]b [bold] :x: %2F\u202e 100%"

REFUSALS = [
    (("create", "a/b"), 2, "no /"),
    (("create", "s", "--objective", "loss=down"), 2, "NAME=minimize"),
    (("create", "s", "--direction", "minimize", "--objective", "a=minimize"), 2, "either"),
    (("create", "s", "--space", "none.json"), 2, "none.json cannot be read"),
    (("create", "s", "--space", "{a: 1, a: 2}"), 2, "--space cannot be used:\n  a: line 1:"),
    (("create", "s", "--space", '{"x": {"type": "float"}}'), 2, "space"),
    (("create", "s", "--sampler", "Guess"), 2, "sampler"),
    (("create", "s", "--from", "{budget: 3}", "--trials", "3"), 2, "`budget` in --from"),
    (("create", "s", "--attr", "who"), 2, "--attr takes NAME=VALUE"),
    (("show", "nowhere"), 1, "nowhere"),
    (("best", "digits"), 1, "asktell: "),
    (("enqueue", "digits", "lr=2"), 2, "lr"),
    (("enqueue", "digits", "lr=0.1", "lr=0.01"), 2, "'lr' twice"),
    (("delete", "digits"), 2, "--yes"),
    (("trials", "digits", "--state", "DONE"), 2, "state"),
]


@pytest.fixture
def run(url: str) -> Run:
    return build_run(url, "study")


async def read(api: httpx.AsyncClient, path: str) -> Any:
    response = await api.get(path)
    assert response.status_code == 200, response.text
    return response.json()


async def tell(api: httpx.AsyncClient, study: str, *values: float) -> None:
    for value in values:
        (trial,) = (await api.post(f"{study}/ask")).json()["trials"]
        body = {"state": "COMPLETE", "values": value}
        await api.post(f"{study}/trials/{trial['number']}/tell", json=body)


def note_queries(app: ASGIApp, queries: list[str]) -> ASGIApp:
    """Notes what lists of trials are asked for."""

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith(("/trials", "/pareto")):
            queries.append(scope["query_string"].decode())
        await app(scope, receive, send)

    return note


async def test_creates_from_options_and_a_file(
    run: Run, api: httpx.AsyncClient, tmp_path: Path
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("lr: {type: float, low: 1e-5, high: 0.1, log: true}\n")
    body = json.dumps({"budget": {"max_trials": 9, "patience": 5}, "direction": "minimize"})

    await run(
        *("create", "s", "--direction", "maximize", "--space", space, "--from", body),
        *("--sampler", "RandomSampler", "--pruner", '{"type": "MedianPruner"}', "--seed", "7"),
        *("--trials", "20", "--parallelism", "4", "--attr", "who=Ada", "--attr", "n=3"),
    )

    study = await read(api, "/studies/s")
    assert [each["direction"] for each in study["objectives"]] == ["maximize"]
    assert study["space"]["lr"]["low"] == 1e-5
    assert (study["sampler"]["type"], study["pruner"]["type"]) == ("RandomSampler", "MedianPruner")
    assert (study["seed"], study["parallelism"]) == (7, 4)
    assert (study["budget"]["max_trials"], study["budget"]["patience"]) == (20, 5)
    assert study["user_attrs"] == {"who": "Ada", "n": 3}


async def test_creates_with_several_objectives_and_loads(run: Run, api: httpx.AsyncClient) -> None:
    options = ("create", "s", "--objective", "loss=minimize", "--objective", "a=b=maximize")
    made = json.loads((await run(*options, "--json")).stdout)
    assert made["objectives"] == [
        {"name": "loss", "direction": "minimize"},
        {"name": "a=b", "direction": "maximize"},
    ]
    refused = await run(*options, status=1)
    assert (refused.stdout, "asktell: " in refused.stderr) == ("", True)
    assert json.loads((await run(*options, "--load", "--json")).stdout) == made
    assert made == await read(api, "/studies/s")


async def test_says_what_stands_in_the_way(run: Run, study: str) -> None:
    for arguments, status, hint in REFUSALS:
        failed = await run(*arguments, status=status)
        assert hint in failed.stderr, arguments
        assert failed.stdout == "", arguments


async def test_lists_and_shows_as_the_api_does(run: Run, api: httpx.AsyncClient) -> None:
    assert "study create" in (await run("ls")).stdout
    await run("create", ODD_NAME, "--space", json.dumps(SPACE), "--trials", "5")
    path = f"/studies/{quote(ODD_NAME, safe='')}"
    await tell(api, path, 0.5, 0.25)

    listed = await run("ls")
    shown = await run("show", ODD_NAME)

    for printed in (listed.stdout, shown.stdout):
        assert "a [red]b [bold] :x: %2F\N{REPLACEMENT CHARACTER} 100%" in printed
    assert " 2/5 " in listed.stdout
    assert "0.25" in listed.stdout
    assert "active (max_trials)" not in shown.stdout
    assert "2 complete, 0 pruned, 0 failed, 0 running, 0 waiting" in shown.stdout
    assert "best value 0.25 (trial 1)" in shown.stdout
    assert "1e-05 … 0.1 log=True" in shown.stdout
    assert "adam, sgd" in shown.stdout
    document = json.loads((await run("show", ODD_NAME, "--json")).stdout)
    assert document == await read(api, path)
    (only,) = json.loads((await run("ls", "--json", "--name", "red")).stdout)["studies"]
    assert only == (await read(api, "/studies"))["studies"][0]
    assert json.loads((await run("ls", "--json", "--state", "paused")).stdout) == {"studies": []}


async def test_shows_spaces_in_every_form(run: Run) -> None:
    space = {
        "x": json.loads(optuna.distributions.distribution_to_json(FloatDistribution(0, 1))),
        "g": {"value": {"type": "categorical", "choices": ["a", "b"]}},
        "noise": {"type": "normal", "mu": 0, "sigma": 2},
        "fixed": {"value": [1, 2]},
    }
    await run("create", "s", "--space", json.dumps(space))

    rows = (await run("show", "s")).stdout.splitlines()[-4:]

    assert sorted(" ".join(row.split()) for row in rows) == [
        "fixed constant [1, 2]",
        "g.value categorical a, b",
        "noise normal mu=0 sigma=2",
        "x float 0 … 1",
    ]


async def test_shows_the_ranges_that_trials_said_last(run: Run, api: httpx.AsyncClient) -> None:
    await run("create", "free")
    assert "range last seen" not in (await run("show", "free")).stdout
    x = {"type": "float", "low": 1e-5, "high": 0.1, "log": True}
    first = {"x": x, "n": {"type": "int", "low": 1, "high": 4, "step": 3}}
    kind = {"type": "categorical", "choices": ["a", "b"]}
    y = {"type": "float", "low": 0, "high": 4, "step": 1}
    for distributions in (first, {"n": {"type": "int", "low": 2, "high": 9}, "kind": kind, "y": y}):
        asked = await api.post("/studies/free/ask", json={"distributions": distributions})
        assert asked.status_code == 200, asked.text

    rows = (await run("show", "free")).stdout.splitlines()[-6:]

    shown = [" ".join(row.split()) for row in rows]
    assert shown[0] == "parameter type range last seen"
    assert shown[2:] == [
        "kind categorical a, b",
        "n int 2 … 9",
        "x float 1e-05 … 0.1 log=True",
        "y float 0 … 4 step=1.0",
    ]


async def test_shows_trials_whatever_is_in_them(
    run: Run, api: httpx.AsyncClient, study: str
) -> None:
    assert "no such trials" in (await run("trials", "digits")).stdout
    await tell(api, study, 0.5, 0.75, 0.25)
    await api.post(f"{study}/ask")
    reason = {"state": "FAIL", "reason": "[bold]it\nraised[/]\x1b[31m " + "x" * 900}
    await api.post(f"{study}/trials/3/tell", json=reason)

    shown = (await run("trials", "digits")).stdout
    best = json.loads((await run("trials", "digits", "--json", "--order", "best")).stdout)
    newest = json.loads((await run("trials", "digits", "--json", "--limit", "1")).stdout)
    failed = await run("trials", "digits", "--state", "fail", "--state", "RUNNING", "--json")

    rows = shown.splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["3", "2", "1", "0"]
    assert rows[0].endswith(f"[bold]it raised[/]\N{REPLACEMENT CHARACTER}[31m {'x' * 900}")
    assert "lr=" in rows[1]
    assert [trial["number"] for trial in best["trials"]] == [1, 0, 2]
    (failed_trial,) = newest["trials"]
    assert failed_trial.items() >= (await read(api, f"{study}/trials/3")).items()
    assert [trial["number"] for trial in json.loads(failed.stdout)["trials"]] == [3]
    assert "; --limit shows more" not in shown
    assert (await run("trials", "digits", "--limit", "2")).stdout.count("COMPLETE") == 1


async def test_lists_all_by_value_without_comparing_them_for_each_page(
    app: ASGIApp, api: httpx.AsyncClient, study: str
) -> None:
    ends: list[dict[str, Any]] = [
        {"values": 0.5},
        {"values": 0.75, "constraints": {"memory": 0.1}},
        {"values": "-Infinity"},
        {"values": 0.75, "constraints": {"memory": -1}},
        {"values": "Infinity", "constraints": {"memory": 2}},
        {"values": 0.75},
    ]
    for end in ends:
        (trial,) = (await api.post(f"{study}/ask")).json()["trials"]
        body = {"state": "COMPLETE", **end}
        told = await api.post(f"{study}/trials/{trial['number']}/tell", json=body)
        assert told.status_code == 200, told.text
    await api.post(f"{study}/ask")
    queries: list[str] = []

    async with serve_app(note_queries(app, queries)) as url:
        run = build_run(url, "study", "trials", "digits", "--order", "best")
        every = json.loads((await run("--json", "--state", "complete")).stdout)["trials"]
        ranked = json.loads((await run("--json", "--limit", "500")).stdout)["trials"]
        refused = await run("--json", "--state", "FAIL", status=2)

    assert every == ranked
    assert [trial["number"] for trial in every] == [3, 5, 0, 2, 4, 1]
    assert ["order=best" in query for query in queries] == [False, True, True]
    assert "only COMPLETE trials" in refused.stderr


async def test_the_best_of_several_objectives_have_no_order(run: Run) -> None:
    await run("create", "two", "--objective", "loss=minimize", "--objective", "cost=minimize")
    assert (
        "one objective"
        in (await run("trials", "two", "--order", "best", "--json", status=2)).stderr
    )


async def test_tables_leave_the_reports_where_they_are(
    app: ASGIApp, api: httpx.AsyncClient, study: str
) -> None:
    await tell(api, study, 0.5)
    await api.post(f"{study}/ask")
    points = [{"step": 0, "value": 0.5}, {"step": 41, "value": 0.25}]
    await api.post(f"{study}/trials/1/report", json={"points": points})
    objectives = [{"name": name, "direction": "minimize"} for name in ("loss", "cost")]
    await api.post("/studies", json={"name": "two", "objectives": objectives})
    (trial,) = (await api.post("/studies/two/ask")).json()["trials"]
    told = {"state": "COMPLETE", "values": [1, 2]}
    await api.post(f"/studies/two/trials/{trial['number']}/tell", json=told)
    queries: list[str] = []

    async with serve_app(note_queries(app, queries)) as url:
        run = build_run(url, "study")
        shown = (await run("trials", "digits")).stdout
        best = (await run("best", "two")).stdout

    head, _, running, complete = (line.split() for line in shown.splitlines())
    assert head == ["trial", "state", "value", "last", "step", "took", "parameters"]
    assert (running[:4], complete[:4]) == (
        ["1", "RUNNING", "-", "41"],
        ["0", "COMPLETE", "0.5", "-"],
    )
    assert best.split()[:6] == ["trial", "state", "loss", "cost", "took", "parameters"]
    assert len(queries) == 2
    assert all("fields=" in query for query in queries)
    assert not any("intermediate_values" in query for query in queries)


async def test_lists_the_trials_that_meet_conditions(
    run: Run, api: httpx.AsyncClient, study: str
) -> None:
    for lr in (0.01, 0.02, 0.03):
        params = {"lr": lr, "optimizer": "adam"}
        (trial,) = (await api.post(f"{study}/ask", json={"params": params})).json()["trials"]
        told = {"state": "COMPLETE", "values": lr * 10}
        await api.post(f"{study}/trials/{trial['number']}/tell", json=told)

    options = ("--where", "lr < 0.03", "--where", 'optimizer="adam"', "--where", "value>.1")
    met = json.loads((await run("trials", "digits", *options, "--json")).stdout)
    none = await run("trials", "digits", "--where", "optimizer=sgd")
    refused = await run("trials", "digits", "--where", "lr<1", "--where", "layer<3", status=2)

    assert [trial["number"] for trial in met["trials"]] == [1]
    assert "no such trials" in none.stdout
    assert '"layer"; did you mean "layers"?' in refused.stderr


async def test_shows_the_best(run: Run, api: httpx.AsyncClient, study: str) -> None:
    await tell(api, study, 0.5, 0.75)
    shown = await run("best", "digits")
    assert shown.stdout.startswith("best value 0.75 (trial 1)\n  layers=")
    assert json.loads((await run("best", "digits", "--json")).stdout)["values"] == [0.75]


async def test_shows_the_best_of_several_objectives(run: Run, api: httpx.AsyncClient) -> None:
    await run("create", "two", "--objective", "loss=minimize", "--objective", "cost=minimize")
    assert "no complete trial" in (await run("best", "two", status=1)).stderr
    for values in ([1, 2], [2, 1], [3, 3]):
        (trial,) = (await api.post("/studies/two/ask")).json()["trials"]
        told = {"state": "COMPLETE", "values": values}
        await api.post(f"/studies/two/trials/{trial['number']}/tell", json=told)

    best = json.loads((await run("best", "two", "--json")).stdout)

    assert [trial["number"] for trial in best["trials"]] == [0, 1]
    assert (await run("best", "two")).stdout.split()[2:4] == ["loss", "cost"]


async def test_enqueues(run: Run, api: httpx.AsyncClient, study: str) -> None:
    assert (await run("enqueue", "digits", "lr=1e-3", "optimizer=sgd")).stdout == (
        "Trial 0 of digits waits to be asked for.\n"
    )
    numbers = await run("enqueue", "digits", "layers=2", "--attr", "why=why not", "--json")
    assert json.loads(numbers.stdout) == {"numbers": [1]}
    asked = (await api.post(f"{study}/ask", json={"count": 2})).json()["trials"]
    assert (asked[0]["params"]["lr"], asked[0]["params"]["optimizer"]) == (0.001, "sgd")
    assert asked[1]["params"]["layers"] == 2
    assert (await read(api, f"{study}/trials/1"))["user_attrs"] == {"why": "why not"}


async def test_changes_state(run: Run, api: httpx.AsyncClient, study: str) -> None:
    assert (await run("pause", "digits")).stdout == "Study digits is paused.\n"
    resumed = json.loads((await run("resume", "digits", "--json")).stdout)
    assert resumed == await read(api, study)
    assert (await run("stop", "digits")).stdout == "Study digits is finished.\n"


async def test_exports(run: Run, api: httpx.AsyncClient, study: str, tmp_path: Path) -> None:
    await tell(api, study, 0.5)
    header, row = (await run("export", "digits")).stdout.splitlines()
    assert header.startswith("number,value,")
    assert row.startswith("0,0.5,")
    await run("export", "digits", "--json", "-o", tmp_path / "trials.json")
    assert len(json.loads((tmp_path / "trials.json").read_text())) >= 1
    not_utf8 = tmp_path / "\udcff.csv"
    await run("export", "digits", "-o", not_utf8)
    assert not_utf8.exists()
    assert (
        "cannot be written" in (await run("export", "digits", "-o", "/no/where", status=1)).stderr
    )


async def test_deletes_when_told_twice(run: Run, api: httpx.AsyncClient, study: str) -> None:
    assert (await run("delete", "digits", "--yes")).stdout == (
        "Study digits and its 0 trials are deleted.\n"
    )
    await run("create", "s")
    assert json.loads((await run("delete", "s", "-y", "--json")).stdout) == {"deleted": "s"}
    assert (await read(api, "/studies"))["studies"] == []


@pytest.mark.parametrize(("answer", "status"), [("n", 1), ("y", 0)])
async def test_asks_in_a_terminal_before_it_deletes(
    run: Run, url: str, study: str, answer: str, status: int
) -> None:
    controller, terminal = pty.openpty()
    os.write(controller, f"{answer}\n".encode())
    deleted = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "service.cli.main", "study", "delete", "digits"],
        env={**os.environ, "ASKTELL_URL": url, "ASKTELL_TOKEN": TOKEN},
        stdin=terminal,
        capture_output=True,
        text=True,
    )
    os.close(controller)
    os.close(terminal)

    assert deleted.returncode == status, deleted.stderr
    assert "Delete study digits and its 0 trials, for good?" in deleted.stderr
    assert (await run("show", "digits", status=None)).exit_code == 1 - status


async def test_adopts_and_releases(run: Run, api: httpx.AsyncClient, database: Database) -> None:
    with open_rdb_storage(database) as storage:
        optuna.create_study(storage=storage, study_name="plain").ask()
    adopted = await run("adopt", "plain", "--sampler", "RandomSampler", "--trials", "3", "--json")
    assert json.loads(adopted.stdout) == await read(api, "/studies/plain")
    assert json.loads(adopted.stdout)["sampler"]["type"] == "RandomSampler"
    assert "release it with force" in (await run("release", "plain", status=1)).stderr
    released = await run("release", "plain", "--force")
    assert released.stdout == "Study plain is Optuna's own. Failed trials: 0.\n"
