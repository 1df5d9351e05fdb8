"""Optimizers whose study a server keeps."""

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asktell
import httpx
import optuna
import pytest
from asktell.flyte import Optimizer, suggest

from tests.sdk.clocks import wait_until
from tests.sdk.servers import ServerProcess
from tests.sdk_flyte import objectives
from tests.sdk_flyte.test_runs import count_states

_numbers = itertools.count(1)


@pytest.fixture
def client(server: ServerProcess) -> Iterator[asktell.Client]:
    with server.open_client() as opened:
        yield opened


@pytest.fixture
def options(client: asktell.Client) -> dict[str, Any]:
    """How to have a study of the test's own on the server."""
    name = f"flyte-{next(_numbers)}"
    return {"server": client, "study_name": name, "sampler": {"type": "RandomSampler"}}


class FailingOnce(httpx.BaseTransport):
    """Answers 500 when the study itself is first asked for."""

    def __init__(self) -> None:
        self._inner = httpx.HTTPTransport()
        self._has_failed = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        is_study = request.method == "GET" and request.url.path.split("/")[-2] == "studies"
        if is_study and not self._has_failed:
            self._has_failed = True
            return httpx.Response(500)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


async def measure(trial: asktell.Trial, x: float) -> float:
    return x


async def test_trials_are_on_the_server_and_the_study_shows_them(options: dict[str, Any]) -> None:
    optimizer = Optimizer(measure, 2, 4, direction="maximize", **options)
    await optimizer(x=suggest.float(0.25, 1, log=True))
    trials = options["server"].get_study(options["study_name"]).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 4
    study = optimizer.study
    assert study.study_name == options["study_name"]
    assert study.best_value == max(trial.params["x"] for trial in trials)
    distribution = optuna.distributions.FloatDistribution(0.25, 1, log=True)
    assert study.trials[0].distributions == {"x": distribution}
    assert "Timeline" in optimizer.deck().html


async def test_nested_inputs_of_a_task_are_suggested_by_the_server(options: dict[str, Any]) -> None:
    optimizer = Optimizer(objectives.nested, 1, 2, **options)
    await optimizer(params={"optimizer": {"lr": suggest.float(0, 1)}})
    for trial in optimizer.study.trials:
        assert trial.params == {"params.optimizer.lr": trial.value}


async def test_all_kinds_of_suggestions_arrive(options: dict[str, Any]) -> None:
    choices = ["a", 2, 2.5, True, None]

    def objective(trial: asktell.Trial, **inputs: Any) -> float:
        assert inputs["step"] in (0, 0.25, 0.5, 0.75, 1)
        assert inputs["odd"] in (1, 3, 5)
        assert inputs["choice"] in choices
        assert inputs["fixed"] == 2.0
        return inputs["late"] + trial.suggest_float("own", 0, 1)

    optimizer = Optimizer(objective, 2, 6, **options)
    await optimizer(
        step=suggest.float(0, 1, step=0.25),
        odd=suggest.integer(1, 5, step=2),
        choice=suggest.category(choices),
        fixed=suggest.float(2, 2),
        late=suggest.integer(1, 100, log=True),
    )
    study = optimizer.study
    assert count_states(study) == {"COMPLETE": 6}
    assert set(study.trials[0].params) == {"step", "odd", "choice", "fixed", "late", "own"}


async def test_ends_and_reasons_are_told(options: dict[str, Any]) -> None:
    def objective(trial: asktell.Trial) -> Any:
        trial.report(0.5, 0)
        return [None, "text"][trial.number] if trial.number < 2 else end(trial)

    def end(trial: asktell.Trial) -> float:
        if trial.number == 2:
            raise asktell.TrialPruned
        raise ValueError("bad")

    optimizer = Optimizer(objective, 1, 4, **options)
    await optimizer()
    trials = optimizer.study.trials
    assert [trial.state.name for trial in trials] == ["FAIL", "FAIL", "PRUNED", "FAIL"]
    assert trials[2].value == 0.5
    assert trials[3].user_attrs["reason"] == "ValueError: bad"


async def test_a_successor_brings_the_study_to_what_was_wanted(options: dict[str, Any]) -> None:
    for _ in range(2):
        optimizer = Optimizer(measure, 2, 3, **options)
        await optimizer(x=suggest.float(0, 1))
        assert len(optimizer.study.trials) == 3
    await optimizer(x=suggest.float(0, 1))
    assert count_states(optimizer.study) == {"COMPLETE": 6}


async def test_running_trials_of_a_killed_optimizer_are_run_again(options: dict[str, Any]) -> None:
    client: asktell.Client = options["server"]
    study = client.create_study(options["study_name"], sampler=options["sampler"])
    space = {"x": {"type": "float", "low": 0, "high": 1}}
    study.ask(distributions=space).tell(0.5)
    left = study.ask(distributions=space)
    calls: list[tuple[int, float]] = []

    def objective(trial: asktell.Trial, x: float) -> float:
        calls.append((trial.number, x))
        return x

    optimizer = Optimizer(objective, 1, 3, **options)
    await optimizer(x=suggest.float(0, 1))
    assert [number for number, _ in calls] == [1, 2]
    assert calls[0] == (left.number, left.params["x"])
    assert count_states(optimizer.study) == {"COMPLETE": 3}


def leave_running(options: dict[str, Any], n_trials: int) -> None:
    """As an optimizer does that is killed."""
    client: asktell.Client = options["server"]
    study = client.create_study(options["study_name"], sampler=options["sampler"])
    for trial in study.ask(n_trials, lease_seconds=3600):
        trial._lease.close()


async def test_trials_that_were_taken_over_end_with_a_cancelled_optimizer(
    options: dict[str, Any],
) -> None:
    leave_running(options, 3)
    runs = asyncio.Event()

    async def objective(trial: asktell.Trial) -> float:
        runs.set()
        await asyncio.sleep(3600)
        return 0.0

    optimizer = Optimizer(objective, 1, 3, **options)
    running = asyncio.ensure_future(optimizer())
    await runs.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert count_states(optimizer.study) == {"FAIL": 3}


async def test_trials_that_were_taken_over_end_with_an_error(options: dict[str, Any]) -> None:
    leave_running(options, 3)

    def objective(trial: asktell.Trial) -> float:
        raise ValueError("bad")

    optimizer = Optimizer(objective, 1, 3, on_error="raise", **options)
    with pytest.raises(ValueError, match="bad"):
        await optimizer()
    assert count_states(optimizer.study) == {"FAIL": 3}


async def test_trials_that_a_timeout_leaves_wait_for_the_next_await(
    options: dict[str, Any],
) -> None:
    leave_running(options, 3)
    optimizer = Optimizer(measure, 1, 3, timeout=0, **options)
    await optimizer(x=0.5)
    assert count_states(optimizer.study) == {"RUNNING": 3}
    assert not list(optimizer._trials._opened._heartbeats._leases)  # type: ignore[attr-defined]
    optimizer._others["timeout"] = None
    await optimizer(x=0.5)
    assert count_states(optimizer.study) == {"COMPLETE": 6}


async def test_an_await_that_could_not_begin_counts_for_nothing(
    server: ServerProcess, options: dict[str, Any]
) -> None:
    transport = FailingOnce()
    with asktell.Client(server.url, server.token, transport=transport, max_retries=0) as client:
        optimizer = Optimizer(measure, 1, 3, **{**options, "server": client})
        with pytest.raises(asktell.AsktellError):
            await optimizer(x=0.5)
        await optimizer(x=0.5)
        assert count_states(optimizer.study) == {"COMPLETE": 3}


async def test_two_awaits_at_a_time_run_their_trials_each(options: dict[str, Any]) -> None:
    optimizer = Optimizer(measure, 1, 3, **options)
    ranges = suggest.float(0, 1), suggest.float(2, 3)
    await asyncio.gather(*(optimizer(x=each) for each in ranges))
    study = optimizer.study
    assert count_states(study) == {"COMPLETE": 6}
    assert Counter(int(trial.params["x"]) for trial in study.trials) == {0: 3, 2: 3}


async def test_trials_asked_for_at_a_time_have_their_own_parameters(
    client: asktell.Client, options: dict[str, Any]
) -> None:
    trials = Optimizer(measure, 1, 2, **options)._trials
    await trials.prepare(2)
    both_ask = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        threads.submit(both_ask.wait)
        asks = [asyncio.ensure_future(trials.ask({name: suggest.float(0, 1)})) for name in "xy"]
        await asyncio.sleep(0)
        both_ask.set()
        assert [set(trial.params) for trial in await asyncio.gather(*asks)] == [{"x"}, {"y"}]
    distribution = optuna.distributions.FloatDistribution(0, 1)
    shown = [trial.distributions for trial in trials.study.trials]
    assert shown == [{"x": distribution}, {"y": distribution}]


async def test_a_study_whose_space_has_changed_can_be_shown(options: dict[str, Any]) -> None:
    await Optimizer(measure, 1, 2, **options)(x=suggest.float(0, 1))
    optimizer = Optimizer(measure, 1, 4, **options)
    await optimizer(x=suggest.float(0, 1, step=0.5))
    values = [trial.params["x"] for trial in optimizer.study.trials]
    distribution = optuna.distributions.FloatDistribution(min(values), max(values))
    assert optimizer.study.trials[0].distributions == {"x": distribution}


async def test_trials_that_wait_for_another_attempt_are_run_too(options: dict[str, Any]) -> None:
    client: asktell.Client = options["server"]
    study = client.create_study(options["study_name"], sampler=options["sampler"])
    study.ask().tell(state="FAIL", cause="preempted")
    optimizer = Optimizer(measure, 2, 2, **options)
    await optimizer(x=suggest.float(0, 1))
    trials = study.trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 2
    assert trials[0].attempt == 2


async def test_a_trial_whose_lease_ran_out_goes_on_as_the_attempt_it_was(
    options: dict[str, Any],
) -> None:
    """Another attempt would start other executions."""
    client: asktell.Client = options["server"]
    study = client.create_study(options["study_name"], sampler=options["sampler"])
    failed, lost = study.ask(2, lease_seconds=1)
    failed.tell(state="FAIL", cause="preempted")
    lost._lease.close()
    await asyncio.to_thread(wait_until, lambda: study.get_trial(1).phase == "queued")
    await Optimizer(measure, 1, 3, **options)(x=0.5)
    ends = [(trial.state.name, trial.attempt) for trial in study.trials]
    assert ends == [("COMPLETE", 2), ("COMPLETE", 1), ("COMPLETE", 1)]


async def test_a_trial_that_is_taken_over_is_renewed_by_its_own_lease(
    options: dict[str, Any],
) -> None:
    client: asktell.Client = options["server"]
    study = client.create_study(options["study_name"], sampler=options["sampler"])
    left = study.ask(lease_seconds=2)
    left._lease.close()

    async def objective(trial: asktell.Trial) -> float:
        first = study.get_trial(0).lease_expires_at
        assert first is not None
        await asyncio.to_thread(wait_until, lambda: study.get_trial(0).lease_expires_at != first)
        assert study.get_trial(0).phase == "live"
        return 1.0

    await Optimizer(objective, 1, 1, **options)()
    assert [(trial.state.name, trial.attempt) for trial in study.trials] == [("COMPLETE", 1)]


async def test_a_failed_trial_that_the_study_tries_again_is_handed_out_again(
    options: dict[str, Any],
) -> None:
    client: asktell.Client = options["server"]
    retry = {"max_attempts": 2, "on": ["failed"]}
    client.create_study(options["study_name"], sampler=options["sampler"], retry=retry)

    def objective(trial: asktell.Trial) -> float:
        if trial.attempt == 1:
            raise ValueError("bad")
        return 1.0

    optimizer = Optimizer(objective, 1, 2, **options)
    await optimizer()
    assert count_states(optimizer.study) == {"COMPLETE": 2}


async def test_without_resume_an_existing_study_is_refused(options: dict[str, Any]) -> None:
    await Optimizer(measure, 1, 1, **options)(x=0.5)
    with pytest.raises(asktell.ConflictError) as refused:
        await Optimizer(measure, 1, 1, resume=False, **options)(x=0.5)
    assert refused.value.code == "study-exists"
    assert "Go on with it by resume=True, or choose another study_name." in str(refused.value)


async def test_a_finished_study_ends_the_optimizer(options: dict[str, Any]) -> None:
    study = options["server"].create_study(
        options["study_name"], sampler=options["sampler"], budget={"max_trials": 2}
    )
    optimizer = Optimizer(measure, 3, 10, **options)
    await optimizer(x=suggest.float(0, 1))
    assert study.summary().state == "finished"
    assert count_states(optimizer.study) == {"COMPLETE": 2}


async def test_a_paused_study_can_be_waited_for_and_left(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="asktell")
    study = options["server"].create_study(options["study_name"], sampler=options["sampler"])
    study.pause()
    waiting = asyncio.ensure_future(Optimizer(measure, 5, 5, **options)(x=0.5))
    while "Waiting for a trial" not in caplog.text:  # noqa: ASYNC110 - a log has no event
        await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    study.resume()
    await Optimizer(measure, 5, 5, **options)(x=0.5)
    assert len(study.get_trials(states=["COMPLETE"])) == 5


async def test_a_cancelled_optimizer_tells_its_trials(options: dict[str, Any]) -> None:
    runs = asyncio.Event()

    async def objective(trial: asktell.Trial) -> float:
        runs.set()
        await asyncio.sleep(3600)
        return 0.0

    optimizer = Optimizer(objective, 1, 5, **options)
    running = asyncio.ensure_future(optimizer())
    await runs.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert count_states(optimizer.study) == {"FAIL": 1}


async def test_a_trial_that_somebody_else_has_got_is_left_to_them(options: dict[str, Any]) -> None:
    def objective(trial: asktell.Trial) -> float:
        if trial.attempt == 1:
            trial.study.tell(trial.number, state="FAIL", cause="preempted")
            trial.study.ask().tell(7.0)
        return 1.0

    optimizer = Optimizer(objective, 1, 1, **options)
    await optimizer()
    assert [trial.value for trial in optimizer.study.trials] == [7.0]


async def test_an_attribute_that_is_refused_ends_its_trial(options: dict[str, Any]) -> None:
    """Such as one that is nested deeper than the server reads."""
    nested: list[Any] = []
    for _ in range(300):
        nested = [nested]

    def objective(trial: asktell.Trial) -> float:
        trial.set_user_attr("nested", nested)
        return 1.0

    optimizer = Optimizer(objective, 1, 2, **options)
    with pytest.raises(asktell.InvalidError):
        await optimizer()
    assert count_states(optimizer.study) == {"FAIL": 1}


async def test_several_objectives_are_kept(options: dict[str, Any]) -> None:
    optimizer = Optimizer(objectives.pair, 1, 2, directions=["minimize", "maximize"], **options)
    await optimizer(x=suggest.float(0, 1))
    assert [direction.name for direction in optimizer.study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert [len(trial.values) for trial in optimizer.study.trials] == [2, 2]
