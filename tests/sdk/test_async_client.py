"""`AsyncClient` on the real server: the same life of a trial, cancellations, and faults."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import asktell
import httpx
import optuna
import pytest
from asktell._retries import Clock

from tests.sdk.clocks import FakeTime
from tests.sdk.scripts import ASKED, STUDY, Script, problem
from tests.sdk.servers import LossyProxy, ServerProcess

SPACE = {"x": {"type": "float", "low": 0.0, "high": 1.0}}
STUDY_ANSWER = httpx.Response(200, json=STUDY)
THRESHOLD = {"type": "ThresholdPruner", "args": {"upper": 1.0}}


class WatchedTransport(httpx.AsyncHTTPTransport):
    """The network; `asked` is set when an ask leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/ask"):
            self.asked.set()
        return await super().handle_async_request(request)


class BreakingTransport(httpx.AsyncHTTPTransport):
    """The network, which breaks when the first ask is answered, once the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.answered, self.breaks = asyncio.Event(), asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if not request.url.path.endswith("/ask") or self.answered.is_set():
            return response
        await response.aread()
        self.answered.set()
        await self.breaks.wait()
        raise httpx.ReadError("The network broke.")


def open_client(server: ServerProcess, **options: Any) -> asktell.AsyncClient:
    return asktell.AsyncClient(server.url, server.token, **options)


@pytest.fixture
async def opened(server: ServerProcess) -> AsyncIterator[asktell.AsyncClient]:
    async with open_client(server) as client:
        yield client


@pytest.fixture
async def astudy(opened: asktell.AsyncClient, name: str) -> asktell.AsyncStudy:
    return await opened.create_study(name, sampler={"type": "RandomSampler"}, pruner=THRESHOLD)


async def wait_until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 - what happens inside the client sets no event
        await asyncio.sleep(0.002)


async def test_a_study_is_worked_on(opened: asktell.AsyncClient, name: str) -> None:
    settings: dict[str, Any] = {"space": SPACE, "direction": "maximize", "seed": 1}
    study = await opened.create_study(name, **settings)
    assert (await opened.create_study(name, **settings, load_if_exists=True)).seed == 1
    assert study.direction.name == "MAXIMIZE"
    async with await study.ask() as trial:
        x = await trial.suggest_float("x", 0.0, 1.0)
        assert trial.params == {"x": x}
        trial.set_user_attr("note", "first")
        await trial.tell(x)
    first, second = await study.ask(2)
    await study.tell_many([(first, 2.0), (second.number, None, "FAIL")])
    assert await study.enqueue_trial({"x": 0.5}) == 3
    assert (await study.ask()).params == {"x": 0.5}
    await study.tell(3, 1.5)
    assert await study.add_trial({"params": {"x": 1.0}, "state": "COMPLETE", "values": [3.0]}) == 4
    states = [trial.state.name for trial in await study.trials()]
    assert states == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert [found.number for found in await study.get_trials(["FAIL"], page_size=1)] == [2]
    assert (await study.get_trial(0)).user_attrs == {"note": "first"}
    assert (await study.best_trial()).number == 4
    assert (await study.best_params(), await study.best_value()) == ({"x": 1.0}, 3.0)
    assert [best.number for best in await study.best_trials()] == [4]
    assert (await study.summary()).counts.total == 5
    assert (await study.export()).count("\n") == 6


async def test_studies_are_managed(opened: asktell.AsyncClient, name: str) -> None:
    names = [f"{name}-{index}" for index in range(3)]
    studies = [await opened.create_study(each) for each in names]
    listed = opened.list_studies(name_contains=f"{name}-", page_size=2)
    assert [summary.name async for summary in listed] == names
    study = studies[0]
    await study.set_user_attr("owner", "me")
    assert await study.user_attrs() == {"owner": "me"}
    await study.configure(budget={"max_trials": 1})
    await study.pause()
    with pytest.raises(asktell.StudyPausedError):
        await study.ask()
    await study.resume()
    await study.ask()
    await study.finish()
    assert (await study.summary()).state == "stopping"
    await opened.delete_study(names[0])
    with pytest.raises(asktell.NotFoundError):
        await opened.get_study(names[0])
    with pytest.raises(asktell.ConflictError):
        await opened.create_study(names[1])


async def test_sweeps_and_workers_are_seen(opened: asktell.AsyncClient, name: str) -> None:
    sweep = await opened.create_sweep(
        {"name": name, "space": SPACE, "direction": "minimize", "launch": {"program": "train.py"}}
    )
    assert (await (await opened.get_sweep(name)).summary()).state == "active"
    assert (await sweep.pause()).state == "paused"
    assert [found.name async for found in opened.list_sweeps(name_contains=name)] == [name]
    assert [attempt async for attempt in sweep.attempts()] == []
    assert isinstance(await opened.list_workers(), list)


async def test_a_report_brings_the_decision(astudy: asktell.AsyncStudy) -> None:
    trial = await astudy.ask()
    assert await trial.should_prune() is False
    await trial.report(0.5, 0)
    assert await trial.should_prune() is False
    await trial.report(2.0, 1)
    assert await trial.should_prune() is True
    assert await trial.suggest_int("n", 1, 9) == trial.params["n"]
    assert await trial.suggest_categorical("c", ["a", None]) in ("a", None)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (None, "FAIL"),
        (OSError("mine"), "FAIL"),
        (asktell.TrialPruned(), "PRUNED"),
        (optuna.TrialPruned(), "PRUNED"),
    ],
)
async def test_no_trial_stays_running_by_mistake(
    astudy: asktell.AsyncStudy, error: Exception | None, state: str
) -> None:
    with suppress(OSError):
        async with await astudy.ask() as trial:
            await trial.report(0.5, 0)
            if error is not None:
                raise error
    told = await astudy.get_trial(0)
    assert (told.state.name, told.intermediate_values) == (state, {0: 0.5})


async def test_a_cancelled_trial_has_failed(astudy: asktell.AsyncStudy) -> None:
    running = asyncio.Event()

    async def work() -> None:
        async with await astudy.ask():
            running.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    told = await astudy.get_trial(0)
    assert (told.state.name, told.reason) == ("FAIL", "CancelledError")


async def test_a_cancelled_trial_does_not_wait_long_for_an_absent_server() -> None:
    time, script = FakeTime(), Script(STUDY_ANSWER, httpx.Response(200, json=ASKED))
    client = asktell.AsyncClient(
        "http://box", "t", transport=httpx.MockTransport(script), clock=time.clock
    )
    trial = await (await client.get_study("s")).ask()
    script.steps = [httpx.ConnectError]
    await trial.report(0.5, 0)
    with pytest.raises(asyncio.CancelledError):
        async with trial:
            raise asyncio.CancelledError
    assert 0 < sum(time.pauses) <= 6.0


async def test_a_trial_that_comes_after_its_ask_was_cancelled_is_given_back(
    server: ServerProcess, name: str
) -> None:
    transport = WatchedTransport()
    async with open_client(server) as other, open_client(server, transport=transport) as client:
        await other.create_study(name, parallelism=1)
        study = await client.get_study(name)
        first = await (await other.get_study(name)).ask()
        waiting = asyncio.create_task(study.ask(wait_seconds=60.0))
        await transport.asked.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await first.tell(1.0)
        await client.close()
        given_back = await first.study.get_trial(1)
        assert (given_back.state.name, given_back.phase) == ("RUNNING", "queued")
        assert (await first.study.ask()).number == 1


async def test_so_is_one_whose_answer_is_lost_after_that(
    server: ServerProcess, opened: asktell.AsyncClient, name: str
) -> None:
    created = await opened.create_study(name)
    transport = BreakingTransport()
    async with open_client(server, transport=transport) as client:
        asking = asyncio.create_task((await client.get_study(name)).ask())
        await transport.answered.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        transport.breaks.set()
    assert [trial.phase for trial in await created.trials()] == ["queued"]


async def test_so_is_one_whose_answer_was_lost_before_that(
    server: ServerProcess, proxy: LossyProxy, opened: asktell.AsyncClient, name: str
) -> None:
    created = await opened.create_study(name)
    is_pausing = asyncio.Event()

    async def pause(seconds: float) -> None:
        is_pausing.set()
        await asyncio.Event().wait()

    clock = Clock(async_sleep=pause)
    async with asktell.AsyncClient(proxy.url, server.token, clock=clock) as client:
        study = await client.get_study(name)
        proxy.lose_answers(1)
        asking = asyncio.create_task(study.ask())
        await is_pausing.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert [trial.phase for trial in await created.trials()] == ["queued"]


async def test_an_ask_that_was_refused_leaves_nothing_to_give_back() -> None:
    is_pausing = asyncio.Event()

    async def pause(seconds: float) -> None:
        is_pausing.set()
        await asyncio.Event().wait()

    script = Script(STUDY_ANSWER, problem(409, "study-paused"))
    client = asktell.AsyncClient(
        "http://box", "t", transport=httpx.MockTransport(script), clock=Clock(async_sleep=pause)
    )
    asking = asyncio.create_task((await client.get_study("s")).ask(wait_seconds=60.0))
    await is_pausing.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await client.close()
    assert len(script.requests) == 2


async def test_a_held_trial_outlives_its_lease(astudy: asktell.AsyncStudy) -> None:
    patient, trial = await astudy.ask(), await astudy.ask(lease_seconds=1.0)
    first = trial.lease_expires_at
    assert first is not None
    await wait_until(lambda: (trial.lease_expires_at or first).timestamp() > first.timestamp() + 1)
    assert (await astudy.get_trial(1)).phase == "live"
    assert (await trial.tell(1.0)).attempt == 1
    await patient.tell(1.0)


async def test_a_lost_lease_is_an_error_of_the_loser(
    opened: asktell.AsyncClient, astudy: asktell.AsyncStudy
) -> None:
    trial = await astudy.ask()
    await astudy.tell(trial.number, state="FAIL", cause="preempted")
    taken = await (await opened.get_study(astudy.name)).ask()
    assert (taken.number, taken.attempt) == (0, 2)
    with pytest.raises(asktell.LeaseLostError):
        async with trial:
            await trial.report(0.5, 0)
    assert (await taken.tell(1.0)).attempt == 2


async def test_lost_answers_double_nothing(
    server: ServerProcess, proxy: LossyProxy, name: str
) -> None:
    async with asktell.AsyncClient(proxy.url, server.token) as client:
        study = await client.create_study(name)
        proxy.lose_answers(2)
        trials = await study.ask(3)
        assert [trial.number for trial in trials] == [0, 1, 2]
        proxy.lose_answers(1)
        await client.delete_study(name)
        assert proxy.lost_answers == 3


async def test_reports_outlive_a_killed_server(mortal_server: ServerProcess, name: str) -> None:
    async with open_client(mortal_server) as client:
        study = await client.create_study(name, pruner=THRESHOLD)
        trial, told = await study.ask(2)
        await trial.report(0.0, 0)
        mortal_server.kill()
        for step in range(1, 700):
            await trial.report(1 / step, step)
        await told.report(0.5, 0)
        assert await trial.should_prune() is False
        starter = threading.Thread(target=mortal_server.start)
        starter.start()
        await told.tell(0.5)
        await wait_until(lambda: not trial._reports.is_away)
        starter.join()
        await trial.report(2.0, 700)
        assert await trial.should_prune() is True
        expected = [0.0, *(1 / step for step in range(1, 700)), 2.0]
        assert list((await study.get_trial(0)).intermediate_values.items()) == list(
            enumerate(expected)
        )
        assert (await study.get_trial(1)).intermediate_values == {0: 0.5}


async def test_no_task_and_no_socket_is_left(server: ServerProcess, name: str) -> None:
    before = asyncio.all_tasks()
    async with open_client(server) as client:
        study = await client.create_study(name)
        trial = await study.ask()
    assert asyncio.all_tasks() == before
    assert trial.told is None


def test_wrong_arguments_are_refused_as_by_the_client(server: ServerProcess) -> None:
    with pytest.raises(asktell.ConfigurationError):
        asktell.AsyncClient("ftp://box", server.token)
