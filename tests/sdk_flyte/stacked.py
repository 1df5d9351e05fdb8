"""A module as users write them: `@optimize` above `@fl.task`, and an eager task that awaits it."""

import asyncio

import flytekit as fl
import optuna
from asktell.flyte import optimize, suggest
from flytekit.core.context_manager import FlyteContextManager


@optimize(concurrency=2, n_trials=3)
@fl.task
async def objective(x: float, power: int) -> float:
    return x**power


# With decks flytekit asks pip twice what is installed, which takes seconds.
@fl.eager(deck_fields=())
async def train() -> int:
    await objective(x=suggest.float(0, 1), power=2)
    return sum(trial.state.name == "COMPLETE" for trial in objective.study.trials)


@fl.task
async def picky(x: float) -> float:
    """Fails above 0.5, is pruned below 0.2."""
    if x > 0.5:
        raise ValueError(f"{x} is too much")
    if x < 0.2:
        raise optuna.TrialPruned("hopeless")
    return x


@fl.task
async def sleep(x: float) -> float:
    await asyncio.sleep(600)
    return x


@fl.eager(deck_fields=())
async def stop_at_error() -> int:
    """Awaits an execution that does not end, and one that fails."""

    @optimize(concurrency=2, n_trials=2, on_error="raise")
    async def optimizer(trial: optuna.Trial) -> float:
        return await (sleep(x=1.0) if trial.number == 0 else picky(x=1.0))

    await optimizer()
    return 0


@fl.eager(deck_fields=())
async def show_all() -> str:
    """What flytekit shows of the executions; the second optimizer's are not the first one's."""
    for _ in range(2):
        await optimize(picky, n_trials=1)(x=0.3)
    queue = FlyteContextManager.current_context().worker_queue
    assert queue is not None
    return queue.render_html()


@fl.eager(deck_fields=())
async def try_all() -> dict[str, str]:
    """The state and reason of each trial, by x."""
    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"x": [0.1, 0.3, 0.9]}))

    @optimize(concurrency=3, n_trials=3, study=study)
    async def optimizer(trial: optuna.Trial) -> float:
        return await picky(x=trial.suggest_float("x", 0, 1))

    await optimizer()
    return {
        str(trial.params["x"]): f"{trial.state.name} {trial.user_attrs.get('reason', '')}"
        for trial in study.trials
    }
