"""`asktell study import --from-optuna`: the command against the application on a port of it."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any

import asktell
import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, create_trial
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.cli.imports.found import ORIGIN_ATTR
from service.samplers.seeding import derive_seed
from service.storage.database import Database
from tests.api.command_use import Run, build_run
from tests.api.conftest import TOKEN
from tests.api.optuna_sources import (
    DISTRIBUTIONS,
    SPACE,
    locate,
    make_all_kinds,
    make_trial,
    open_source,
    write_study,
)
from tests.api.served import serve_app

SEED = 7
WIDE = {**DISTRIBUTIONS, "lr": optuna.distributions.FloatDistribution(1e-5, 1.0, log=True)}


@pytest.fixture
def run(url: str) -> Run:
    return build_import(url)


@pytest.fixture
def client(url: str) -> Iterator[asktell.Client]:
    with asktell.Client(url, TOKEN) as client:
        yield client


def build_import(url: str) -> Run:
    """Runs `asktell study import …`, however it ends."""
    return partial(build_run(url, "study", "import"), status=None, COLUMNS="200")


async def list_trials(client: asktell.Client, name: str) -> list[asktell.FrozenTrial]:
    study = await asyncio.to_thread(client.get_study, name)
    return await asyncio.to_thread(study.get_trials)


def describe(trial: FrozenTrial | asktell.FrozenTrial) -> dict[str, Any]:
    """What both have; NaN equals itself as text."""
    user_attrs = {key: each for key, each in trial.user_attrs.items() if key != ORIGIN_ATTR}
    user_attrs = {key: "NaN" if each != each else each for key, each in user_attrs.items()}
    return {
        "state": trial.state.name,
        "params": trial.params,
        "values": trial.values and [repr(value) for value in trial.values],
        "points": {step: repr(value) for step, value in trial.intermediate_values.items()},
        "user_attrs": user_attrs,
        "constraints": trial.constraints,
        "times": [
            moment and moment.timestamp()
            for moment in (trial.datetime_start, trial.datetime_complete)
        ],
    }


def read_ended(location: str, name: str) -> list[FrozenTrial]:
    with open_source(location) as storage:
        trials = optuna.load_study(study_name=name, storage=storage).trials
    return [trial for trial in trials if trial.state.is_finished()]


@pytest.mark.parametrize("kind", ["sqlite", "journal", "postgres"])
async def test_everything_of_ended_trials_arrives_and_arrives_once(
    run: Run, client: asktell.Client, empty_database: Database, tmp_path: Path, kind: str
) -> None:
    location = empty_database.url if kind == "postgres" else locate(kind, tmp_path)
    write_study(location, "theirs", make_all_kinds(), direction="maximize")
    first = await run("ours", "--from-optuna", location, "--json")
    again = await run("ours", "--from-optuna", location)

    assert first.exit_code == 0, first.output
    document = json.loads(first.stdout)
    assert document["imported"] == {"complete": 4, "pruned": 2, "fail": 1}
    assert document["left_out"] == {"running": 1, "waiting": 1}
    assert again.stdout.splitlines()[1:] == [
        "7 were there already.",
        "Left out: 1 running, 1 waiting.",
    ]
    study = await asyncio.to_thread(client.get_study, "ours")
    assert [each.direction.name for each in study.objectives] == ["MAXIMIZE"]
    imported = await list_trials(client, "ours")
    assert [describe(each) for each in imported] == [
        describe(each) for each in read_ended(location, "theirs")
    ]


@pytest.mark.filterwarnings("ignore:.*set_metric_names is experimental")
async def test_several_objectives_keep_their_names(
    run: Run, client: asktell.Client, tmp_path: Path
) -> None:
    location = locate("sqlite", tmp_path)
    write_study(location, "other", [])
    trials = [make_trial(number, values=[number, -1.0]) for number in range(3)]
    write_study(location, "theirs", trials, directions=["minimize", "maximize"])
    with open_source(location) as storage:
        study = optuna.load_study(study_name="theirs", storage=storage)
        study.set_metric_names(["loss", "accuracy"])
    result = await run("ours", "--from-optuna", location, "--source-study", "theirs")

    assert result.exit_code == 0, result.output
    ours = await asyncio.to_thread(client.get_study, "ours")
    assert [(each.name, each.direction.name) for each in ours.objectives] == [
        ("loss", "MINIMIZE"),
        ("accuracy", "MAXIMIZE"),
    ]
    values = [trial.values for trial in await list_trials(client, "ours")]
    assert values == [[0.0, -1.0], [1.0, -1.0], [2.0, -1.0]]


async def test_only_the_states_that_are_asked_for(run: Run, tmp_path: Path) -> None:
    location = locate("journal", tmp_path)
    write_study(location, "theirs", make_all_kinds())
    result = await run("ours", "--from-optuna", location, "--states", "pruned, fail", "--json")
    document = json.loads(result.stdout)
    assert document["imported"] == {"complete": 0, "pruned": 2, "fail": 1}
    assert document["left_out"] == {"complete": 4, "running": 1, "waiting": 1}


async def test_what_does_not_fit_is_named_and_nothing_is_imported(
    run: Run, client: asktell.Client, tmp_path: Path
) -> None:
    location = locate("journal", tmp_path)
    unfit = {
        1: make_trial(1, params={"lr": 0.5, "layers": 1, "optimizer": None}, distributions=WIDE),
        4: make_trial(4, values=None, state=optuna.trial.TrialState.FAIL, user_attrs={"": 1}),
        6: make_trial(6, intermediate_values={-1: 0.5}),
    }
    # More than a batch, and what does not fit is not in the last one.
    trials = [unfit.get(number) or make_trial(number) for number in range(210)]
    write_study(location, "theirs", trials)
    narrow = {**SPACE, "layers": {"type": "int", "low": 1, "high": 7}}
    study = await asyncio.to_thread(partial(client.create_study, "ours", space=narrow))
    refused = await run("ours", "--from-optuna", location)

    assert refused.exit_code == 1
    assert "unfit: 1: lr: " in refused.stderr
    assert "unfit: 4: user_attrs: names must have 1 to 512 characters." in refused.stderr
    assert "unfit: 6: intermediate_values.0.step: " in refused.stderr
    assert "unfit: 7: layers: " in refused.stderr
    assert "asktell: 29 trials do not fit, so none was imported" in refused.stderr
    assert await asyncio.to_thread(study.get_trials) == []

    skipped = await run("ours", "--from-optuna", location, "--skip-unfit", "--json")
    assert skipped.exit_code == 0, skipped.output
    document = json.loads(skipped.stdout)
    assert document["imported"]["complete"] == 181
    assert [each["trial"] for each in document["unfit"][:4]] == ["1", "4", "6", "7"]


async def test_what_the_server_alone_can_tell_is_skipped_trial_by_trial(
    run: Run, client: asktell.Client, tmp_path: Path
) -> None:
    study = await asyncio.to_thread(client.create_study, "ours")
    other = {"optimizer": optuna.distributions.CategoricalDistribution(["adam", "lion"])}
    trial = create_trial(value=1.0, params={"optimizer": "lion"}, distributions=other)
    await asyncio.to_thread(study.add_trial, trial)
    location = locate("journal", tmp_path)
    trials = [make_trial(0), make_trial(1, params={}, distributions={}), make_trial(2)]
    write_study(location, "theirs", trials)

    refused = await run("ours", "--from-optuna", location)
    assert refused.exit_code == 1
    assert "asktell: The server refuses 0 to 2, after 0 trials" in refused.stderr
    skipped = await run("ours", "--from-optuna", location, "--skip-unfit", "--json")
    document = json.loads(skipped.stdout)
    assert [each["trial"] for each in document["unfit"]] == ["0", "2"]
    assert document["imported"]["complete"] == 1


async def test_the_sampler_goes_on_as_optunas_does(
    run: Run, client: asktell.Client, tmp_path: Path
) -> None:
    location = locate("sqlite", tmp_path)
    trials = [make_trial(number) for number in range(30)]
    with open_source(location) as storage:
        optuna.create_study(storage=storage, study_name="theirs").add_trials(trials)
    create = partial(
        client.create_study, "ours", space=SPACE, sampler={"type": "TPESampler"}, seed=SEED
    )
    study = await asyncio.to_thread(create)
    result = await run("ours", "--from-optuna", location)
    assert result.exit_code == 0, result.output
    asked = await asyncio.to_thread(study.ask)

    seed = derive_seed(SEED, len(trials), "relative")
    plain = optuna.create_study(sampler=TPESampler(seed=seed))
    plain.add_trials(trials)
    assert asked.params == plain.ask(dict(DISTRIBUTIONS)).params


async def test_a_key_of_ones_own_is_for_one_batch(client: asktell.Client) -> None:
    study = await asyncio.to_thread(client.create_study, "ours")
    document = {"state": "COMPLETE", "params": {}, "values": 1.0}
    add = partial(study.add_trials, [document], idempotency_key="mine")
    assert await asyncio.to_thread(add) == await asyncio.to_thread(add) == [0]
    with pytest.raises(ValueError, match="A key is for at most 200 trials, not 201"):
        study.add_trials([document] * 201, idempotency_key="mine")


class HeldUp:
    """Passes requests on, but holds the second batch of trials up until it is let go."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._n_batches = 0
        self.arrived, self.let_go, self.passed = (asyncio.Event() for _ in range(3))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_batch = scope.get("method") == "POST" and scope["path"].endswith("/trials")
        self._n_batches += is_batch
        if not is_batch or self._n_batches != 2:
            await self._app(scope, receive, send)
            return
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        self.arrived.set()
        await self.let_go.wait()
        remaining = iter(messages)

        async def repeat() -> Message:
            return next(remaining)

        async def forget(message: MutableMapping[str, Any]) -> None:
            """Nobody listens any more."""

        await self._app(scope, repeat, forget)
        self.passed.set()


async def test_a_killed_import_goes_on_and_nothing_is_imported_twice(
    app: ASGIApp, client: asktell.Client, tmp_path: Path
) -> None:
    location = locate("journal", tmp_path)
    write_study(location, "theirs", [make_trial(number) for number in range(250)])
    held_up = HeldUp(app)
    async with serve_app(held_up) as url:
        environment = {**os.environ, "ASKTELL_URL": url, "ASKTELL_TOKEN": TOKEN}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "service.cli.main"),
            *("study", "import", "ours", "--from-optuna", location),
            env=environment,
        )
        ended = asyncio.ensure_future(process.wait())
        arrived = asyncio.ensure_future(held_up.arrived.wait())
        await asyncio.wait({ended, arrived}, return_when=asyncio.FIRST_COMPLETED)
        assert arrived.done()
        process.kill()
        await ended
        again = await build_import(url)("ours", "--from-optuna", location, "--json")
        held_up.let_go.set()
        await held_up.passed.wait()

        assert again.exit_code == 0, again.output
        document = json.loads(again.stdout)
        assert (document["already_there"], document["imported"]["complete"]) == (200, 50)
    trials = await list_trials(client, "ours")
    assert Counter(trial.user_attrs[ORIGIN_ATTR] for trial in trials).most_common(1)[0][1] == 1
    assert len(trials) == 250


MISTAKES: list[tuple[list[str], str]] = [
    ([], "give either --from-optuna or --from-wandb"),
    (["--from-optuna", "x", "--from-wandb", "a/b"], "give either"),
    (["--from-optuna", "{folder}/none.log"], "There is no file"),
    (["--from-optuna", "sqlite:///{folder}/none.db"], "There is no file"),
    (["--from-optuna", "{folder}/source.db"], "write sqlite:///"),
    (["--from-optuna", "{folder}/notes.txt"], "is no journal of Optuna"),
    (["--from-optuna", "a b://c"], "is not a URL that SQLAlchemy reads"),
    (
        ["--from-optuna", "{source}"],
        "Say which study with --source-study; the storage has a, b",
    ),
    (["--from-optuna", "{source}", "--source-study", "c"], "no study 'c', but a, b"),
    (["--from-optuna", "{source}", "--states", "lost"], "--states is a list of"),
    (["--from-optuna", "{source}", "--metric", "loss"], "--metric is for --from-wandb"),
    (["--from-wandb", "a/b", "--states", "fail"], "--states is for --from-optuna"),
    (["--from-wandb", "a"], "write ENTITY/PROJECT or ENTITY/PROJECT/SWEEP, not a"),
    (["--from-wandb", "a/b", "--filter", "[]"], "--filter is a JSON object"),
    (["--from-wandb", "a/b", "--filter", "{{"], "--filter is not JSON"),
]
UNREADABLE: list[tuple[list[str], str]] = [
    (["--from-optuna", "oracle://u:secret@h/d"], "oracle://u:***@h/d needs a driver"),
    (
        ["--from-optuna", "postgresql://u:secret@127.0.0.1:1/d"],
        "postgresql+psycopg://u:***@127.0.0.1:1/d cannot be read: connection failed",
    ),
]


async def test_says_what_is_wrong_and_shows_no_password(run: Run, tmp_path: Path) -> None:
    source = locate("sqlite", tmp_path)
    write_study(source, "a", [])
    write_study(source, "b", [])
    (tmp_path / "notes.txt").write_text("lr 0.1\n\n")
    for arguments, message in [*MISTAKES, *UNREADABLE]:
        result = await run(
            "ours", *(each.format(folder=tmp_path, source=source) for each in arguments)
        )
        assert result.exit_code == (2 if (arguments, message) in MISTAKES else 1), arguments
        assert message in result.stderr
        assert "secret" not in result.output
    assert not (tmp_path / "none.db").exists()
    result = await run("a/b", "--from-optuna", source, "--source-study", "a")
    assert "asktell: A study's name is not empty and has no /" in result.stderr
