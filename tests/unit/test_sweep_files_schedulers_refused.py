"""Sweep files for W&B's schedulers that cannot be honoured."""

import pytest

from tests.unit.scheduler_file_use import ENGINE, LAUNCH, find_problems


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            LAUNCH.replace("launch: {queue: gpu}", "image_uri: a\nlaunch: {quue: gpu}"),
            {
                "method": "This must be one of",
                "job": "Give `job` or `image_uri`, one of them.",
                "launch.quue": 'Did you mean "queue"?',
                "launch.queue": "Name the queue of W&B Launch",
            },
        ),
        (
            LAUNCH + 'method: random\ncommand: ["${env}", python, "${args}"]\ndirectory: /srv\n',
            {
                "command.0": "W&B Launch does not replace ${env}",
                "command.2": "`wandb.config`",
                "directory": "for programs that our workers launch",
            },
        ),
        (
            LAUNCH.replace("gpu}", "gpu, overrides: {args: [a], run_config: 1, dockerfile: x}}")
            + "method: random\n",
            {
                "launch.overrides.args": "write constants under `run_config`",
                "launch.overrides.run_config": "is written {epochs: 20}",
                "launch.overrides.dockerfile": "not known here",
            },
        ),
        (
            f"{LAUNCH}method: random\nexecutor: process\n",
            {"executor": "is for queues of W&B Launch"},
        ),
        (
            f"{ENGINE}executor: wandb-launch\n",
            {"executor": "This needs `job` or `image_uri`"},
        ),
        (
            f"{LAUNCH}scheduler: {{num_workers: 0, settings: {{smapler: 1, artifact: a/b/c:v1}}}}\n"
            "method: custom\n",
            {
                "scheduler.num_workers": "an integer from 1, not 0",
                "scheduler.settings.smapler": 'Did you mean "sampler"?',
                "scheduler.settings.artifact": "There is no optuna_wandb.py.",
            },
        ),
        (
            f"{LAUNCH}method: custom\nparallelism: 2\nsampler: {{type: TPESampler}}\n"
            "scheduler: {num_workers: 2, settings: {method: grid, sampler: {type: TPESampler}}}\n",
            {
                "parallelism": "says the same",
                "sampler": "leave one out",
                "scheduler.settings.sampler": "grid stands for a sampler",
            },
        ),
        (
            f"{ENGINE}scheduler: {{engine: ax}}\n",
            {"scheduler.engine": "Ax is not here"},
        ),
        (
            f"{ENGINE}scheduler: {{engine: wandb, source: search.py}}\n",
            {
                "scheduler.engine": "The engine wandb needs `method: grid or random or bayes`.",
                "scheduler.source": "This needs `engine: optuna`.",
            },
        ),
        (
            f"{ENGINE}scheduler: {{engine: optuna, num_workers: 2, optimizer: build}}\n",
            {
                "scheduler.num_workers": "not known here",
                "scheduler.optimizer": "This needs `source`",
            },
        ),
        (
            f"{LAUNCH}scheduler: {{settings: {{optuna_source: 'a/b/c:v1'}}}}\n",
            {"scheduler.settings.optuna_source": "There is no optuna_wandb.py."},
        ),
        (
            f"{LAUNCH}scheduler: {{settings: {{optuna_source: acme/digits/search}}}}\n",
            {"scheduler.settings.optuna_source": "an artifact of W&B with its alias"},
        ),
        (
            f"{LAUNCH}scheduler: {{settings: {{artifact: search.py}}}}\n",
            {"scheduler.settings.artifact": "an artifact of W&B with its alias"},
        ),
        (
            f"{LAUNCH}scheduler: {{settings: {{optuna_source: search.py, artifact: 'c:v1'}}}}\n",
            {"scheduler.settings.artifact": "leave one out"},
        ),
        (
            f"{LAUNCH}scheduler: {{settings: {{artifact: 'c:v1', optuna_source_filename: 3}}}}\n",
            {"scheduler.settings.optuna_source_filename": "a path in the artifact, not 3"},
        ),
        (
            f"{LAUNCH}method: custom\nscheduler: {{settings: {{optuna_source_filename: a.py}}}}\n",
            {"scheduler.settings.optuna_source_filename": "needs `optuna_source`"},
        ),
        (
            f"{ENGINE}scheduler: {{engine: optuna, source: 'a/b/c:v1', optimizer: build}}\n",
            {"scheduler.source": "Give the path of a Python file"},
        ),
        (
            f"{LAUNCH}scheduler: {{settings: {{optuna_source: other.py}}}}\n",
            {"scheduler.settings.optuna_source": "other.py cannot be read: No such file"},
        ),
        (
            f"{LAUNCH}scheduler: {{settings: {{optuna_source: binary.py}}}}\n",
            {"scheduler.settings.optuna_source": "cannot be read as UTF-8"},
        ),
        (
            "direction: minimize\npython: {source: search.py}\nlaunch: {program: a}\n",
            {"python.source": "the Python text itself"},
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused(text: str, problems: dict[str, str]) -> None:
    found = find_problems(text)

    assert found.keys() == problems.keys()
    assert all(words in found[key] for key, words in problems.items())
