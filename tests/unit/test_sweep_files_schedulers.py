"""Sweep files for W&B's schedulers: that of W&B Launch, and `wandb sweep-scheduler`."""

import json
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.api.sweep_bodies import CreateSweepBody
from service.cli.sweep.preview import build_preview
from service.domain.errors import InvalidSweepFile
from service.sweep_files import Dialect
from tests.unit.scheduler_file_use import ENGINE, LAUNCH, list_notes, read

EXAMPLE = Path(__file__).parents[2] / "examples" / "wandb_launch" / "sweep.yaml"
KEYS = st.sampled_from(
    [
        *("engine", "source", "search_space", "optimizer", "num_workers", "settings", "job"),
        *("sampler", "pruner", "metrics", "optuna_source", "artifact", "method", "type", "args"),
        *("queue", "priority", "overrides", "run_config", "entry_point", "resource_args", "seed"),
        *("name", "impute", "impute_while_running"),
    ]
)


def test_the_example_of_a_launch_sweep() -> None:
    file = read(EXAMPLE.read_text())

    preview = build_preview(file, "s")
    assert file.dialect is Dialect.WANDB
    assert preview.launch.executor == "wandb-launch"
    given = {key: value for key, value in preview.launch.arguments.items() if value}
    assert given == {
        "job": "acme/digits/train:latest",
        "launch_queue": "gpu",
        "resource_args": {"kubernetes": {"backoffLimit": 0}},
        "project": "digits",
        "entity": "acme",
        "value": "last",
        "sweep": True,
    }
    assert preview.spec.sampler.type == "TPESampler"
    assert preview.spec.sampler.args["n_startup_trials"] == 8
    assert preview.spec.pruner is not None
    assert preview.spec.pruner.args["wrapped_pruner"]["args"]["percentile"] == 25.0
    assert (preview.settings.parallelism, preview.settings.budget.max_trials) == (4, 30)
    assert preview.space.distributions.keys() == {"learning_rate", "hidden_units", "activation"}
    assert preview.space.constants == {"epochs": 10}
    (note,) = file.notes
    assert note.startswith("line 12: Here the server is the scheduler")
    assert note.endswith("have no effect: job, resource.")


def test_what_launchs_optuna_scheduler_does_by_itself() -> None:
    file = read(f"{LAUNCH}scheduler: {{job: a/b/optuna:latest}}\n")

    assert file.document["pruner"] == {"type": "MedianPruner"}
    assert "sampler" not in file.document
    assert file.document["parallelism"] == 8
    notes = list_notes(file)
    assert any("8 trials run at a time" in note for note in notes)
    assert any("MedianPruner" in note for note in notes)


@pytest.mark.parametrize(
    ("keys", "sampler", "pruner"),
    [
        ("method: random\n", {"type": "RandomSampler"}, None),
        ("scheduler: {settings: {method: bayes}}\n", {"type": "TPESampler"}, None),
        (
            "scheduler: {settings: {sampler: {type: CmaEsSampler}, pruner: {type: NopPruner}}}\n",
            {"type": "CmaEsSampler"},
            {"type": "NopPruner"},
        ),
        (
            "method: bayes\nscheduler: {job: a/b/c:v1, settings: {sampler: {type: QMCSampler}}}\n",
            {"type": "QMCSampler"},
            {"type": "MedianPruner"},
        ),
        (
            "scheduler: {job: a/b/optuna:v1}\nearly_terminate: {type: hyperband, min_iter: 3}\n",
            None,
            {"type": "WandbHyperbandPruner", "args": {"min_iter": 3, "eta": 3, "strict": True}},
        ),
        (
            "scheduler: {settings: {sampler: {type: TPESampler, args: {seed: 5, group: true}}}}\n",
            {"type": "TPESampler", "args": {"group": True}},
            {"type": "MedianPruner"},
        ),
    ],
)
def test_how_a_launch_sweep_searches(keys: str, sampler: Any, pruner: Any) -> None:
    document = read(LAUNCH + keys).document

    assert (document.get("sampler"), document.get("pruner")) == (sampler, pruner)
    assert document.get("seed") == (5 if "seed" in keys else None)
    CreateSweepBody.model_validate(document)


def test_several_metrics_of_the_scheduler() -> None:
    metrics = "[{name: a, goal: maximize}, {name: b}]"
    settings = f"scheduler: {{job: a/b/optuna:v1, settings: {{metrics: {metrics}}}}}\n"
    several = LAUNCH.replace("metric: {name: loss}\n", settings)

    file, single = read(several), read(LAUNCH + settings)

    assert file.document["objectives"] == [
        {"name": "a", "direction": "maximize"},
        {"name": "b", "direction": "minimize"},
    ]
    assert "pruner" not in file.document
    assert file.find_line("objectives.1.name") == 3
    assert single.document["objectives"] == [{"name": "loss", "direction": "minimize"}]
    assert "As in W&B, this has no effect beside `metric`." in list_notes(single)


def test_engines_of_wandbs_sweep_scheduler() -> None:
    plain = read(ENGINE)
    optuna = read(f"{ENGINE}scheduler: {{engine: optuna}}\n")
    wandb = read(f"{ENGINE.replace('custom', 'grid')}scheduler: {{engine: wandb}}\n")

    assert (optuna.document, optuna.notes) == (plain.document, ())
    assert {"pruner", "parallelism", "sampler"}.isdisjoint(optuna.document)
    assert wandb.document["sampler"] == {"type": "GridSampler"}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 9) | st.sampled_from(["a", "custom", "optuna", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(
    rest=st.fixed_dictionaries({}, optional=dict.fromkeys(("method", "job", "command"), ANYTHING)),
    metric=st.dictionaries(KEYS, ANYTHING, max_size=3),
    scheduler=st.dictionaries(KEYS, ANYTHING, max_size=4) | ANYTHING,
    launch=st.dictionaries(KEYS, ANYTHING, max_size=4) | ANYTHING,
)
def test_whatever_is_in_a_file_is_accepted_or_refused(
    rest: dict[str, Any], metric: Any, scheduler: Any, launch: Any
) -> None:
    sweep = {"metric": metric, "scheduler": scheduler, "launch": launch, **rest}

    with suppress(InvalidSweepFile):
        read(json.dumps(sweep))


def test_both_files_of_the_docs_are_one_sweep() -> None:
    page = EXAMPLE.parents[2] / "docs" / "coming-from-the-wandb-optuna-scheduler.md"
    files = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)

    theirs, ours = (build_preview(read(f"seed: 1\n{file}"), "s") for file in files)

    assert replace(theirs.spec, name="digits") == ours.spec
    assert (theirs.settings, theirs.launch) == (ours.settings, ours.launch)
