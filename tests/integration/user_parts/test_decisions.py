"""They decide as in plain Optuna, whoever asks and however often all starts anew."""

import asyncio
import re
from pathlib import Path

import pytest

from service.domain.errors import InvalidParams, StudyFinished
from service.domain.studies import (
    Component,
    StopReason,
)
from service.domain.trials import AskedTrial
from service.domain.user_code import Role
from service.engine.ask import Ask, ask
from service.engine.engine import Engine
from service.engine.replay import replay_study
from service.engine.suggest import suggest
from service.engine.user_code import CodeRunner
from service.sandbox import Sandbox
from service.storage.database import Database
from tests.integration.user_parts.use import (
    DECLARES,
    DEPTH,
    N_TRIALS,
    SPACE,
    WALK,
    create,
    live,
    live_in_optuna,
    running,
    train,
)


def find_documented(page: str, about: str) -> str:
    text = (Path(__file__).parents[3] / "docs" / page).read_text()
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if about in b)
    return str(block)


DOCUMENTED = find_documented("python-search-spaces.md", "class RandomWalk")


@pytest.mark.parametrize(
    "source", [WALK, DECLARES, DOCUMENTED], ids=["declared", "in Python", "documented"]
)
async def test_a_random_walk_and_a_pruner_decide_as_in_plain_optuna(
    database: Database, sandbox: Sandbox, source: str
) -> None:
    wanted, attrs = live_in_optuna(source)
    space = None if "objective" in source else SPACE
    lives = []
    async with running(database, sandbox) as engine:
        actor = await create(engine, source, space=space)
        lives += await live(actor, 10)
    # Another server, and other processes: the objects go on as they were.
    async with running(database, sandbox) as engine:
        actor = await engine.get_actor("s")
        lives += await live(actor, N_TRIALS - 10)
        (_,) = await ask(actor, Ask())
        stored = dict(actor.begin().mirror.user_attrs)

    assert lives == wanted
    assert {state for _, state in wanted} == {"COMPLETE", "PRUNED"}
    if attrs:
        begun = attrs["begun"] + 1
        assert stored == {**attrs, "begun": begun}
    runner = CodeRunner(sandbox, may_be_uncontained=True)
    replayed = await asyncio.to_thread(replay_study, database, "s", code_runner=runner)
    assert replayed.difference is None
    assert replayed.n_trials == N_TRIALS + 1


async def test_parameters_that_code_declares_as_it_goes(engine: Engine) -> None:
    wanted, _ = live_in_optuna(DECLARES)
    actor = await create(engine, WALK)
    lives = []
    for _ in range(8):
        (trial,) = await ask(actor, Ask())
        params = dict(await suggest(actor, trial.number, {"x": SPACE["x"]}))
        params |= await suggest(actor, trial.number, {"size": DEPTH})
        if trial.number:
            # Refused after the first of two was drawn: nothing of that has happened.
            with pytest.raises(InvalidParams):
                await suggest(actor, trial.number, {"new": SPACE["x"], "kind": DEPTH})
        params |= await suggest(actor, trial.number, {"kind": SPACE["kind"]})
        if params["kind"] == "b":
            params |= await suggest(actor, trial.number, {"depth": DEPTH})
        state = await train(actor, AskedTrial(trial.number, 1, params, None))
        lives.append((params, state.name))
    assert lives == wanted[:8]
    assert actor.begin().mirror.user_attrs["begun"] == 8


TERMINATES = """
import optuna

def best_enough(study):
    done = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
    return len(done) >= 4

def optimize(sweep):
    assert sweep.config["metric"] == {"name": "value", "goal": "minimize"}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    return study, best_enough
"""


async def test_a_terminator_ends_its_study(engine: Engine, database: Database) -> None:
    functions = {Role.OPTIMIZER: "optimize"}
    actor = await create(engine, TERMINATES, space=SPACE, functions=functions)
    await live(actor, 4)
    with pytest.raises(StudyFinished):
        await ask(actor, Ask())
    assert (actor.count_trials, actor.control.stop_reason) == (4, StopReason.EXHAUSTED)
    assert (await asyncio.to_thread(replay_study, database, "s")).difference is None


UNPICKLABLE = """
import optuna

def sampler():
    return optuna.samplers.TPESampler(seed=5, n_startup_trials=2, gamma=lambda n: max(1, n // 3))
"""


@pytest.mark.filterwarnings("ignore:`gamma` has been deprecated")
async def test_one_with_functions_as_arguments_draws_as_in_plain_optuna(engine: Engine) -> None:
    source = f"{UNPICKLABLE}\ndef pruner():\n    return optuna.pruners.NopPruner()\n"
    wanted, _ = live_in_optuna(source)
    actor = await create(engine, source, space=SPACE)
    assert actor.spec.sampler == Component("UserSampler", {"name": "TPESampler"})
    assert await live(actor, 10) == wanted[:10]
