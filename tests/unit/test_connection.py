"""The connection with a process that does what the test wants, and no wandb anywhere."""

import asyncio
import json
import math
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.schedulers.executors.connection.connection import (
    ConnectionPace,
    SystemAway,
    SystemBusy,
    SystemConnection,
    SystemRefused,
    SystemSilent,
)
from service.schedulers.executors.process.processes import list_processes
from service.schedulers.executors.wandb.connection.system import describe_wandb
from service.schedulers.executors.wandb.runs.run_api import Account, WandbApi
from tests.log_lines import open_log

# Each life of the process takes the next list of what to do: at its start, then for each call.
PROCESS = """
import json, os, sys, time

def say(document):
    print(json.dumps(document), flush=True)

folder = sys.argv[1]
name = min(os.listdir(folder + "/lives"))
with open(folder + "/lives/" + name) as stream:
    script = json.load(stream)
os.remove(folder + "/lives/" + name)
start = script.pop(0)
if start == "die":
    sys.exit("Traceback:\\nModuleNotFoundError: nothing here")
if start[0] == "refuse":
    say({"refused": start[1]})
    sys.exit(1)
if start[0] == "die saying":
    sys.exit(start[1])
if start == "be silent":
    sys.stdin.read()
if start == "start late":
    with open(folder + "/may answer"):
        pass
say({"ready": True})
for line in sys.stdin:
    with open(folder + "/asked", "a") as stream:
        stream.write(line)
    request = json.loads(line)
    answer = {"id": request["id"], "kind": "done", "value": os.getpid(), "seconds": 0.01}
    answer["is_about_key"] = False
    match script.pop(0):
        case "echo":
            answer["value"] = request["arguments"]
        case "answer":
            pass
        case ["answer", extra]:
            answer |= extra
        case "answer late":
            with open(folder + "/may answer"):
                pass
        case ["answer late", extra]:
            with open(folder + "/may answer"):
                answer |= extra
        case "be silent":
            while True:
                time.sleep(60)
        case "garble":
            print("W&B says hello")
        case "die":
            os._exit(3)
        case "stay":
            say(answer)
            while True:
                time.sleep(60)
    say(answer)
"""

AWAY = ["answer", {"kind": "away", "value": "HTTP 503"}]
AWAY_LATE = ["answer late", {"kind": "away", "value": "HTTP 503"}]
REFUSED = ["answer", {"kind": "refused", "value": "There is no such run."}]
SLOW = ["answer", {"seconds": 2.5}]
A_MOMENT, LONG_ENOUGH = 0.2, 60.0
KEY = "madeup" * 7
PASSWORD = "hunter%402"
BASE_URL = f"https://ada:{PASSWORD}@wandb.example"
INSTALL_IT = [["refuse", "Install it."]]


class Time:
    """Passes when somebody sleeps, and when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.seconds += seconds


class Stage:
    """A folder of what the processes to come are to do, and of what they were asked."""

    def __init__(self, folder: Path, *lives: list[Any]) -> None:
        self._folder = folder
        self._lives = 0
        self.time = Time()
        self.chance = 0.0
        (folder / "lives").mkdir()
        for life in lives:
            self.add_life(life)
        os.mkfifo(folder / "may answer")

    @property
    def asked(self) -> list[Any]:
        with suppress(FileNotFoundError):
            lines = (self._folder / "asked").read_text().splitlines()
            return [json.loads(line) for line in lines]
        return []

    def add_life(self, life: list[Any]) -> None:
        self._lives += 1
        (self._folder / "lives" / str(self._lives)).write_text(json.dumps(life))

    async def let_answer(self) -> None:
        await asyncio.to_thread((self._folder / "may answer").write_text, "")

    @asynccontextmanager
    async def open(self, **pace: float) -> AsyncIterator[SystemConnection]:
        worker = {**os.environ, "WANDB_BASE_URL": BASE_URL, "WANDB_API_KEY": KEY}
        command = (sys.executable, "-c", PROCESS, str(self._folder))
        connection = SystemConnection(
            replace(describe_wandb(worker), command=command),
            pace=ConnectionPace(**{"farewell_seconds": LONG_ENOUGH, **pace}),
            clock=self.time,
            now=self.time.now,
            chance=lambda: self.chance,
            sleep=self.time.sleep,
        )
        try:
            yield connection
        finally:
            await connection.close()


async def ask(
    connection: SystemConnection, *, seconds: float = LONG_ENOUGH, **arguments: Any
) -> Any:
    return await connection.call("look", arguments, deadline_seconds=seconds)


async def fail(connection: SystemConnection, times: int) -> None:
    for _ in range(times):
        with pytest.raises(SystemAway):
            await ask(connection)


async def test_one_process_does_what_it_is_asked(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "echo", "echo", "answer"])
    async with stage.open() as connection:
        arguments = {"keys": ["ä", "\n"], "nothing": None, "rows": [math.inf, -math.inf]}
        assert await ask(connection, **arguments) == arguments
        assert math.isnan((await ask(connection, value=math.nan))["value"])
    assert [each["operation"] for each in stage.asked] == ["look", "look"]


async def test_it_does_one_thing_at_a_time(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "answer late", "echo"])
    async with stage.open() as connection:
        first = asyncio.create_task(ask(connection))
        second = asyncio.create_task(ask(connection, number=2))
        await wait_until(lambda: len(stage.asked) == 1)
        third = ask(connection, seconds=A_MOMENT)
        with pytest.raises(SystemAway, match=r"this one waited 0\.2 s"):
            await third
        assert len(stage.asked) == 1
        await stage.let_answer()
        await first
        assert await second == {"number": 2}
    assert not connection.is_away


async def test_a_refusal_is_an_answer(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *[REFUSED] * 6, "echo"])
    async with stage.open() as connection:
        for _ in range(6):
            with pytest.raises(SystemRefused, match=r"^There is no such run\.$"):
                await ask(connection)
        assert not connection.is_away
        assert await ask(connection, a=1) == {"a": 1}


async def test_after_five_failures_calls_fail_at_once_but_for_one_a_pause(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *[AWAY] * 6, "echo", "echo"])
    with open_log() as log:
        async with stage.open() as connection:
            await fail(connection, 4)
            stage.chance = 0.5
            await fail(connection, 1)
            assert connection.is_away
            with pytest.raises(SystemAway, match=r"has not answered since .*; next try in 16 s\."):
                await ask(connection)
            assert len(stage.asked) == 5
            stage.time.seconds += 16
            with pytest.raises(SystemAway, match=r"wandb\.example cannot be asked now: HTTP 503"):
                await ask(connection)
            with pytest.raises(SystemAway, match="next try in 30 s"):
                await ask(connection)
            stage.time.seconds += 30
            assert await ask(connection, a=1) == {"a": 1}
            assert not connection.is_away
            assert await ask(connection, a=2) == {"a": 2}
        events = [line["event"] for line in log.read_lines() if "system." in line["event"]]
    assert events == ["system.away", "system.back"]
    assert len(stage.asked) == 8


async def test_while_it_is_tried_again_the_others_fail_at_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *[AWAY] * 5, "answer late"])
    async with stage.open() as connection:
        await fail(connection, 5)
        trying = asyncio.create_task(ask(connection))
        await wait_until(lambda: len(stage.asked) == 6)
        with pytest.raises(SystemAway, match="has not answered since"):
            await ask(connection)
        await stage.let_answer()
        await trying
        assert not connection.is_away


async def test_calls_that_wait_for_their_turn_fail_with_the_one_before_them(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *[AWAY] * 4, AWAY_LATE])
    async with stage.open() as connection:
        await fail(connection, 4)
        stage.chance = 0.01
        calls = [asyncio.create_task(ask(connection)) for _ in range(3)]
        await wait_until(lambda: len(stage.asked) == 5)
        await stage.let_answer()
        for call in calls:
            with pytest.raises(SystemAway):
                await call
    assert stage.time.sleeps == []
    assert len(stage.asked) == 5


async def test_a_pause_is_part_of_the_time_of_a_call(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", AWAY, "be silent"])
    stage.chance = 0.05
    async with stage.open(late_seconds=A_MOMENT) as connection:
        await fail(connection, 1)
        with pytest.raises(SystemAway, match=r"did not answer within 0\.2 s\."):
            await ask(connection, seconds=A_MOMENT + 0.1)


async def test_after_a_failure_a_call_waits_if_it_has_the_time(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", AWAY, "echo"])
    stage.chance = 0.75
    async with stage.open() as connection:
        await fail(connection, 1)
        with pytest.raises(SystemAway, match=r"has not answered since .* next try in 2 s\. .*503"):
            await ask(connection, seconds=2)
        assert await ask(connection, a=1) == {"a": 1}
    assert stage.time.sleeps == [1.5]


async def test_after_a_burst_it_asks_twice_a_second(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *["answer"] * 13])
    async with stage.open() as connection:
        for _ in range(13):
            await ask(connection)
    assert stage.time.sleeps == pytest.approx([0.5, 0.5, 0.5])


async def test_too_many_calls_say_nothing_about_wandb(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *["answer"] * 10])
    async with stage.open(calls_per_second=0.1) as connection:
        for _ in range(10):
            await ask(connection)
        for _ in range(6):
            with pytest.raises(SystemBusy, match="is asked too often"):
                await ask(connection, seconds=10)
        assert not connection.is_away
        assert await WandbApi(connection).is_reachable()
    assert len(stage.asked) == 10


async def test_with_too_little_time_left_nothing_is_asked(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "answer late"])
    async with stage.open() as connection:
        first = asyncio.create_task(ask(connection))
        await wait_until(lambda: len(stage.asked) == 1)
        calls = [asyncio.create_task(ask(connection)) for _ in range(6)]
        api = WandbApi(connection)
        reaching = asyncio.create_task(api.is_reachable(deadline_seconds=LONG_ENOUGH))
        for _ in range(10):
            await asyncio.sleep(0)
        stage.time.seconds += LONG_ENOUGH - 0.9
        await stage.let_answer()
        await first
        for call in calls:
            with pytest.raises(SystemBusy, match=r"Other calls .* took so long"):
                await call
        assert await reaching
        assert not connection.is_away
    assert len(stage.asked) == 1


async def test_all_who_want_to_know_the_account_share_one_question(tmp_path: Path) -> None:
    account = {"entity": "acme"}
    stage = Stage(tmp_path, ["start", ["answer late", {"value": account}]])
    async with stage.open() as connection:
        api = WandbApi(connection)
        asking = [asyncio.create_task(api.find_account()) for _ in range(48)]
        await wait_until(lambda: len(stage.asked) == 1)
        asking[0].cancel()
        reaching = asyncio.create_task(api.is_reachable())
        await asyncio.sleep(0)
        await stage.let_answer()
        accounts = await asyncio.gather(*asking[1:])
        assert await reaching
    assert set(accounts) == {Account(**account)}
    assert len(stage.asked) == 1


async def test_after_a_slow_answer_it_leaves_wandb_alone_for_a_while(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", SLOW, "answer", "answer"])
    stage.chance = 0.5
    async with stage.open() as connection:
        for _ in range(3):
            await ask(connection)
    assert stage.time.sleeps == [1.0]


async def test_a_process_that_does_not_answer_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stage = Stage(tmp_path, ["start", "answer", "be silent"], ["start", "answer"])
    async with stage.open(late_seconds=A_MOMENT) as connection:
        first = await ask(connection)
        with pytest.raises(SystemAway, match=r"wandb\.example did not answer within 0\.2 s\."):
            await ask(connection, seconds=A_MOMENT)
        assert await ask(connection) != first
        assert len(list_own_folders(tmp_path)) == 1
    assert is_gone(first)
    assert not list_own_folders(tmp_path)


async def test_an_answer_that_comes_late_is_for_nobody(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "answer", "answer late", "echo", "answer"])
    async with stage.open() as connection:
        process = await ask(connection)
        with pytest.raises(SystemAway):
            await ask(connection, seconds=A_MOMENT)
        await stage.let_answer()
        assert await ask(connection, a=1) == {"a": 1}
        assert await ask(connection) == process


async def test_who_stops_waiting_leaves_the_process_to_the_others(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "answer late", "echo"])
    async with stage.open() as connection:
        asking = asyncio.create_task(ask(connection))
        await wait_until(lambda: len(stage.asked) == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await stage.let_answer()
        assert await ask(connection, a=1) == {"a": 1}


async def test_what_nobody_waits_for_any_more_says_as_much_of_wandb(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", *[AWAY_LATE] * 5])
    async with stage.open() as connection:
        for asked in range(5):
            asking = asyncio.create_task(ask(connection))
            await wait_until(lambda count=asked: len(stage.asked) == count + 1)
            asking.cancel()
            await asyncio.wait([asking])
            await stage.let_answer()
        await wait_until(lambda: connection.is_away)


async def test_what_is_not_done_though_wandb_answers_is_no_absence(tmp_path: Path) -> None:
    undone = ["answer", {"kind": "undone", "value": "HTTP 503"}]
    stage = Stage(tmp_path, ["start", *[undone] * 6])
    async with stage.open() as connection:
        for _ in range(6):
            with pytest.raises(SystemSilent, match=r"^HTTP 503$"):
                await ask(connection)
        assert not connection.is_away


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("die", r"The process that calls W&B is gone: It ended with status 3\."),
        ("garble", "The process that calls W&B is gone: It said something that is no answer"),
        (["answer", {"id": 77}], "is gone: It said something that is no answer"),
    ],
)
async def test_a_process_that_is_of_no_use_is_replaced(
    tmp_path: Path, trouble: Any, message: str
) -> None:
    stage = Stage(tmp_path, ["start", "answer", trouble], ["start", "answer"])
    async with stage.open() as connection:
        first = await ask(connection)
        with pytest.raises(SystemAway, match=message):
            await ask(connection)
        assert await ask(connection) != first


async def test_a_process_that_ends_between_calls_is_replaced_unnoticed(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "answer"], ["start", "answer"])
    async with stage.open() as connection:
        first = await ask(connection)
        os.kill(first, signal.SIGKILL)
        # Without a pause, so that asyncio cannot know.
        while any(each.pid == first and each.state != "Z" for each in list_processes()):
            pass
        assert await ask(connection) != first
    assert len(stage.asked) == 2


async def test_a_process_that_does_not_start_is_a_failure_that_may_pass(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["die"], ["start", "echo"])
    async with stage.open() as connection:
        with pytest.raises(SystemAway, match="did not start: ModuleNotFoundError: nothing here"):
            await ask(connection)
        assert await ask(connection, a=1) == {"a": 1}


async def test_a_process_that_takes_too_long_to_start_is_killed(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["be silent"])
    async with stage.open(start_seconds=A_MOMENT) as connection:
        with pytest.raises(SystemAway, match=r"did not start: It was not ready within 0\.2 s\."):
            await ask(connection)


async def test_a_process_that_cannot_work_says_what_to_do(tmp_path: Path) -> None:
    stage = Stage(tmp_path, INSTALL_IT)
    async with stage.open() as connection:
        with pytest.raises(SystemRefused, match=r"^Install it\.$"):
            await ask(connection)


async def test_a_process_that_cannot_work_is_started_again_after_a_pause(tmp_path: Path) -> None:
    stage = Stage(tmp_path, INSTALL_IT, INSTALL_IT, ["start", "echo"])
    async with stage.open(refused_seconds=30.0) as connection:
        for lives_left in (2, 1):
            for _ in range(3):
                with pytest.raises(SystemRefused, match=r"^Install it\.$"):
                    await ask(connection)
            assert len(list((tmp_path / "lives").iterdir())) == lives_left
            stage.time.seconds += 30
        assert await ask(connection, a=1) == {"a": 1}


async def test_its_start_takes_nothing_from_the_time_of_a_call(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start late", "echo"])
    async with stage.open() as connection:
        asking = asyncio.create_task(ask(connection, a=1))
        await wait_until(lambda: not list((tmp_path / "lives").iterdir()))
        stage.time.seconds += 2 * LONG_ENOUGH
        await stage.let_answer()
        assert await asking == {"a": 1}


@pytest.mark.parametrize("secret", [KEY, PASSWORD, "hunter@2"])
async def test_no_secret_is_in_any_message(tmp_path: Path, secret: str) -> None:
    said = [["answer", {"kind": kind, "value": secret}] for kind in ("refused", "away")]
    stage = Stage(tmp_path, ["start", *said])
    async with stage.open() as connection:
        for kind in (SystemRefused, SystemAway):
            with pytest.raises(kind, match="…") as raised:
                await ask(connection)
            assert secret not in str(raised.value)
    for life in (["die saying", secret], ["refuse", secret]):
        stage.add_life([life])
        async with stage.open() as connection:
            with pytest.raises((SystemRefused, SystemAway), match="…") as raised:
                await ask(connection)
            assert secret not in f"{raised.value} {raised.value.__cause__}"


async def test_a_refusal_says_whether_it_is_about_the_key(tmp_path: Path) -> None:
    of_key = ["answer", {"kind": "refused", "value": "Log in.", "is_about_key": True}]
    stage = Stage(tmp_path, ["start", REFUSED, of_key])
    async with stage.open() as connection:
        for is_about_key in (False, True):
            with pytest.raises(SystemRefused) as refusal:
                await ask(connection)
            assert refusal.value.is_about_key is is_about_key


async def test_at_its_end_the_process_ends(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "answer"])
    async with stage.open() as connection:
        process = await ask(connection)
        await connection.close()
        assert is_gone(process)
        with pytest.raises(SystemAway, match="The worker ends"):
            await ask(connection)


async def test_at_its_end_a_process_that_goes_on_is_killed(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "stay"])
    async with stage.open(farewell_seconds=A_MOMENT) as connection:
        process = await ask(connection)
    assert is_gone(process)


async def test_at_its_end_calls_fail_that_are_under_way(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "be silent"])
    async with stage.open(farewell_seconds=A_MOMENT) as connection:
        asking = asyncio.create_task(ask(connection))
        await wait_until(lambda: len(stage.asked) == 1)
        waiting = asyncio.create_task(ask(connection))
        await connection.close()
        for call in (asking, waiting):
            with pytest.raises(SystemAway):
                await call


async def test_at_its_end_nobody_waits_for_a_start(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["be silent"])
    async with stage.open() as connection:
        asking = asyncio.create_task(ask(connection))
        await wait_until(lambda: not list((tmp_path / "lives").iterdir()))
        await connection.close()
        with pytest.raises(SystemAway, match="The worker ends"):
            await asking


def test_the_process_gets_what_wandb_needs_and_no_more() -> None:
    passed = {
        **{"HOME": "/home/train", "PATH": "/bin", "HTTPS_PROXY": "http://proxy.example"},
        **{"WANDB_API_KEY": KEY, "WANDB_BASE_URL": "https://wandb.example"},
        **{"WANDB_CACHE_DIR": "/cache", "WANDB_HTTP_TIMEOUT": "25", "WANDB_ENTITY": "acme"},
    }
    kept_back = {
        **{"ASKTELL_TOKEN": "ours", "AWS_SECRET_ACCESS_KEY": "theirs", "LD_PRELOAD": "odd"},
        **{"WANDB_SERVICE": "another's", "WANDB_MODE": "offline", "WANDB_RUN_ID": "the worker's"},
        **{"WANDB_SWEEP_ID": "s", "WANDB_CONFIG": "{}", "WANDB_DIR": "/runs"},
    }
    system = describe_wandb(passed | kept_back | {"WANDB_SILENT": "false"})
    assert system.environment == passed | {
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_SILENT": "true",
        "WANDB_X_GRAPHQL_RETRY_MAX": "1",
    }
    assert describe_wandb({}).environment["WANDB_HTTP_TIMEOUT"] == "10"


async def wait_until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG_ENOUGH):
        while True:
            if is_so():
                return
            await asyncio.sleep(0.01)


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def list_own_folders(folder: Path) -> list[Path]:
    return list(folder.glob("asktell-connection-*"))
