"""What awaiting an optimizer does, by functions in place of tasks, which wait for each other."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from typing import Any

import optuna
import pytest
from asktell.flyte import Optimizer, suggest
from asktell.flyte._inputs import Inputs
from asktell.flyte._limits import Limits
from asktell.flyte._objectives import CallbackObjective
from asktell.flyte._sweep import Sweep
from asktell.flyte._trials import StudyTrials
from optuna.trial import TrialState


def count_states(study: optuna.Study) -> Counter[str]:
    return Counter(trial.state.name for trial in study.trials)


async def measure(trial: optuna.Trial, x: float) -> float:
    await asyncio.sleep(0)
    return x


async def test_each_await_runs_more_trials(study: optuna.Study) -> None:
    optimizer = Optimizer(measure, 2, 3, study)
    assert await optimizer(x=suggest.float(0, 1)) is None  # type: ignore[func-returns-value]
    assert count_states(study) == {"COMPLETE": 3}
    optimizer.n_trials = 2
    await optimizer(x=suggest.float(0, 1))
    assert count_states(study) == {"COMPLETE": 5}
    assert [trial.value for trial in study.trials] == [trial.params["x"] for trial in study.trials]


def plain(trial: optuna.Trial, power: int) -> float:
    return trial.suggest_float("x", 0, 1) ** power


async def later(trial: optuna.Trial, power: int) -> float:
    return plain(trial, power)


def awaitable(trial: optuna.Trial, power: int) -> Awaitable[float]:
    return later(trial, power)


@pytest.mark.parametrize("callback", [plain, later, awaitable])
async def test_a_callback_may_return_a_value_or_something_to_await(
    callback: Any, study: optuna.Study
) -> None:
    await Optimizer(callback, 2, 3, study)(power=2)
    values = [trial.params["x"] ** 2 for trial in study.trials]
    assert [trial.value for trial in study.trials] == values


async def test_no_more_trials_run_at_a_time_than_wanted(study: optuna.Study) -> None:
    three_run = asyncio.Event()

    async def objective(trial: optuna.Trial) -> float:
        running = count_states(study)["RUNNING"]
        assert running <= 3
        if running == 3:
            three_run.set()
        await three_run.wait()
        return 0.0

    await Optimizer(objective, 3, 10, study)()
    assert count_states(study) == {"COMPLETE": 10}


async def test_a_trial_is_made_when_its_turn_comes_and_so_is_its_copy(study: optuna.Study) -> None:
    copies = 0

    class Counted:
        def __deepcopy__(self, memo: dict[int, Any]) -> "Counted":
            nonlocal copies
            copies += 1
            return self

    def objective(trial: optuna.Trial, counted: Counted) -> float:
        assert copies == trial.number + 1 == len(study.trials)
        return 0.0

    await Optimizer(objective, 1, 4, study)(counted=Counted())
    assert copies == 4


async def test_no_trial_is_made_before_the_delay_is_over(study: optuna.Study) -> None:
    await Optimizer(plain, 2, 2, study, 0.001)(power=1)
    assert count_states(study) == {"COMPLETE": 2}
    waiting = asyncio.ensure_future(Optimizer(plain, 2, 2, study, 3600)(power=1))
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(study.trials) == 2
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_the_sampler_learns_from_trials_as_they_end() -> None:
    class Listening(optuna.samplers.RandomSampler):
        seen: list[int]

        def sample_independent(self, study: optuna.Study, *rest: Any) -> Any:
            complete = study._get_trials(states=(TrialState.COMPLETE,), use_cache=True)
            self.seen.append(len(complete))
            return super().sample_independent(study, *rest)

    sampler = Listening(seed=1)
    sampler.seen = []
    study = optuna.create_study(sampler=sampler)
    await Optimizer(plain, 1, 4, study)(power=1)
    assert sampler.seen == [0, 1, 2, 3]


async def test_suggestions_handed_to_a_callback_are_replaced_too(study: optuna.Study) -> None:
    def objective(trial: optuna.Trial, params: dict[str, Any], y: float) -> float:
        assert trial.params == {"params.x": params["x"], "y": y}
        return params["x"] + y

    await Optimizer(objective, 1, 2, study)(
        params={"x": suggest.float(0, 1), "fixed": 1}, y=suggest.float(0, 1)
    )
    assert count_states(study) == {"COMPLETE": 2}


def return_pair(trial: optuna.Trial) -> tuple[int, float]:
    return 1, 2.5


async def test_several_values_are_told(study: optuna.Study) -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    await Optimizer(return_pair, 1, 1, study)()
    assert study.trials[0].values == [1.0, 2.5]


@pytest.mark.parametrize("inputs", [{}, {"x": 1, "y": 2}, {"y": 2}])
async def test_inputs_that_do_not_fit_are_refused_before_a_trial_is_made(
    inputs: dict[str, Any], study: optuna.Study
) -> None:
    with pytest.raises(TypeError, match="measure"):
        await Optimizer(measure, 1, 1, study)(**inputs)
    assert study.trials == []


async def test_suggestions_that_share_a_name_are_refused_before_a_trial_is_made(
    study: optuna.Study,
) -> None:
    def objective(trial: optuna.Trial, **inputs: Any) -> float:
        return 0.0

    colliding = {"a": {"b": suggest.float(0, 1)}, "a.b": suggest.float(0, 1)}
    with pytest.raises(ValueError, match="share"):
        await Optimizer(objective, 1, 1, study)(**colliding)
    assert study.trials == []


async def test_no_trial_is_started_after_the_timeout(study: optuna.Study) -> None:
    now = 100.0

    def objective(trial: optuna.Trial) -> float:
        nonlocal now
        now += 1
        return 0.0

    limits = Limits(concurrency=1, n_trials=10, timeout=3)
    sweep = Sweep(
        CallbackObjective(objective), StudyTrials(study), Inputs({}), limits, clock=lambda: now
    )
    await sweep.run()
    assert count_states(study) == {"COMPLETE": 3}


async def test_a_timeout_of_nothing_starts_nothing(study: optuna.Study) -> None:
    await Optimizer(plain, 1, 2, study, timeout=0)(power=1)
    assert study.trials == []


async def test_a_sampler_that_has_nothing_left_ends_the_run() -> None:
    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"x": [0.0, 0.5, 1.0]}))
    optimizer = Optimizer(measure, 1, 10, study)
    await optimizer(x=suggest.float(0, 1))
    assert sorted(trial.params["x"] for trial in study.trials) == [0.0, 0.5, 1.0]
    assert count_states(study) == {"COMPLETE": 3}
