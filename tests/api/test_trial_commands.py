"""`asktell ask`, `report` and `tell`, in this process and from a shell script."""

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.api.command_use import Run, build_run
from tests.api.conftest import TOKEN
from tests.api.served import serve_app

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"

REFUSALS = [
    (("ask", "nowhere"), 1, "nowhere"),
    (("ask", "digits", "--param", "lr=7"), 2, "lr"),
    (("ask", "digits", "--wait-seconds", "61"), 2, "wait"),
    (("tell", "digits", "0"), 2, "--state PRUNED or FAIL"),
    (("tell", "digits", "0", "good"), 2, "A value is a number, not 'good'"),
    (("tell", "digits", "0", "nan"), 2, "NaN"),
    (("tell", "digits", "0", "1", "2"), 2, "values"),
    (("tell", "digits", "0", "1", "--attempt", "2"), 2, "attempt"),
    (("tell", "digits", "0", "1", "--stat", "FAIL"), 2, "not '--stat'"),
    (("tell", "digits", "9", "1"), 1, "'digits' has no such trial"),
    (("report", "digits", "0", "1", "much"), 2, "The value is a number, not 'much'"),
    (("report", "digits", "0", "first", "1"), 2, "Usage: "),
]


@pytest.fixture
def run(url: str) -> Run:
    return build_run(url)


async def test_goes_from_ask_to_tell(run: Run, api: httpx.AsyncClient, study: str) -> None:
    asked = (await run("ask", "digits", "--param", "lr=0.01", "--lease-seconds", "60")).stdout
    assert asked.startswith("Trial 0 of digits, attempt 1\n")
    assert "  lr = 0.01\n" in asked
    assert "It is lost if nothing is heard of it until 20" in asked

    assert (await run("report", "digits", "0", "1", "-0.5")).stdout == "continue\n"
    told = await run(
        *("tell", "digits", "0", "-1.5", "--attempt", "1", "--attr", "seen=true"),
        *("--constraint", "memory=-3"),
    )

    assert told.stdout == "Trial 0 of digits is COMPLETE.\n"
    trial = (await api.get(f"{study}/trials/0")).json()
    assert trial["intermediate_values"] == [{"step": 1, "value": -0.5}]
    assert (trial["values"], trial["user_attrs"]) == ([-1.5], {"seen": True})
    assert trial["constraints"] == {"memory": -3}


async def test_prints_what_the_api_answers(run: Run, api: httpx.AsyncClient, study: str) -> None:
    (asked,) = json.loads((await run("ask", "digits", "--json")).stdout)["trials"]
    assert asked.keys() == {"number", "attempt", "params", "user_attrs", "lease_expires_at"}
    decision = json.loads((await run("report", "digits", "0", "0", "inf", "--json")).stdout)
    assert decision["should_prune"] is False
    told = await run("tell", "digits", "0", "--state", "fail", "--reason", "no memory", "--json")
    assert json.loads(told.stdout) == (await api.get(f"{study}/trials/0")).json()
    assert json.loads(told.stdout)["reason"] == "no memory"


async def test_says_what_stands_in_the_way(run: Run, study: str) -> None:
    await run("ask", "digits")
    for arguments, status, hint in REFUSALS:
        failed = await run(*arguments, status=status)
        assert hint in failed.stderr, arguments
        lines = failed.stderr.splitlines()
        assert not any(line.split(": ")[-1] in lines[0] for line in lines[1:]), arguments
        assert failed.stdout == "", arguments


async def test_tells_apart_why_there_is_no_trial(run: Run, api: httpx.AsyncClient) -> None:
    study = {"name": "s", "direction": "minimize", "budget": {"max_trials": 2}, "parallelism": 1}
    await api.post("/studies", json=study)
    await run("ask", "s")
    assert "[parallelism-reached]" in (await run("ask", "s", status=4)).stderr
    preempted = ("--state", "FAIL", "--cause", "preempted")
    assert (await run("tell", "s", "0", *preempted)).stdout == "Trial 0 of s is tried again.\n"
    await run("ask", "s")
    await run("tell", "s", "0", "0.5")
    await api.post("/studies/s/pause")
    assert "[study-paused]" in (await run("ask", "s", status=4)).stderr
    await api.post("/studies/s/stop")
    assert "[study-finished]" in (await run("ask", "s", status=3)).stderr


async def test_a_trial_that_comes_after_ctrl_c_is_given_back(
    app: ASGIApp, api: httpx.AsyncClient
) -> None:
    await api.post("/studies", json={"name": "s", "direction": "minimize", "parallelism": 1})
    await api.post("/studies/s/ask")
    is_asked = asyncio.Event()

    async def note_asks(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/studies/s/ask":
            is_asked.set()
        await app(scope, receive, send)

    async with serve_app(note_asks) as url:
        command = (sys.executable, "-m", "service.cli.main", "ask", "s", "--wait-seconds", "60")
        environ = {**os.environ, "ASKTELL_URL": url, "ASKTELL_TOKEN": TOKEN}
        waiting = await asyncio.create_subprocess_exec(*command, env=environ)
        await is_asked.wait()
        waiting.send_signal(signal.SIGINT)
        await api.post("/studies/s/trials/0/tell", json={"state": "COMPLETE", "values": [1]})
        assert await waiting.wait() != 0

    (again,) = (await api.post("/studies/s/ask")).json()["trials"]
    assert (again["number"], again["attempt"]) == (1, 2)


async def test_arguments_are_quoted_for_a_shell(run: Run, api: httpx.AsyncClient) -> None:
    space = {"opt": {"name": {"type": "categorical", "choices": ["it's a $HOME"]}}, "n": 3}
    await api.post("/studies", json={"name": "s", "direction": "minimize", "space": space})

    words = shlex.split((await run("ask", "s", "--args")).stdout)

    assert words == ["0", "1", "--n=3", "--opt.name=it's a $HOME"]


async def test_the_script_of_the_page_runs(url: str, api: httpx.AsyncClient) -> None:
    (script,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    asktell = f'asktell() {{ {shlex.quote(sys.executable)} -m service.cli.main "$@"; }}\n'

    ran = await asyncio.to_thread(
        subprocess.run,
        ["/bin/sh", "-c", asktell + script.replace("--trials 20", "--trials 1")],
        env={**os.environ, "ASKTELL_URL": url, "ASKTELL_TOKEN": TOKEN},
        capture_output=True,
        text=True,
    )

    (trial,) = (await api.get("/studies/shell/trials")).json()["trials"]
    assert (trial["values"], trial["intermediate_values"]) == ([0.9], [{"step": 0, "value": 0.5}])
    assert ran.stdout.splitlines()[:3] == [
        "Study shell is active.",
        "Trial 0 of shell is COMPLETE.",
        "best value 0.9 (trial 0)",
    ]
    assert "[study-finished]" in ran.stderr
