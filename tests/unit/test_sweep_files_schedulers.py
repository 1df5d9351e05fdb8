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
from service.cli.sweep.wishes import Wishes, draft_wished
from service.domain.errors import InvalidSweepFile
from service.sweep_files import (
    ArtifactFile,
    ArtifactText,
    Defaults,
    Dialect,
    SourceUnavailable,
    SweepFile,
    draft_sweep_file,
)

EXAMPLE = Path(__file__).parents[2] / "examples" / "wandb_launch" / "sweep.yaml"

LAUNCH = """job: acme/digits/train:v1
project: digits
metric: {name: loss}
parameters: {n: {min: 1, max: 4}}
launch: {queue: gpu}
"""
ENGINE = """method: custom
metric: {name: loss}
program: train.py
parameters: {n: {min: 1, max: 4}}
"""
KEYS = st.sampled_from(
    [
        *("engine", "source", "search_space", "optimizer", "num_workers", "settings", "job"),
        *("sampler", "pruner", "metrics", "optuna_source", "artifact", "method", "type", "args"),
        *("queue", "priority", "overrides", "run_config", "entry_point", "resource_args", "seed"),
        *("name", "impute", "impute_while_running"),
    ]
)
SOURCES = {
    "search.py": "def objective(trial):\n    trial.suggest_int('n', 1, 4)\n",
    "tools.py": "def sampler():\n    return TPESampler()\n\n\ndef pruner():\n    pass\n",
}


class FewSources:
    """The files above, each also in the one artifact that W&B has.

    Attributes:
        wanted: What was asked of W&B.
    """

    def __init__(self) -> None:
        self.wanted: list[ArtifactFile] = []

    def read_file(self, path: str) -> str:
        if path == "binary.py":
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        if path not in SOURCES:
            raise FileNotFoundError(2, "No such file or directory")
        return SOURCES[path]

    def read_artifact(self, wanted: ArtifactFile) -> ArtifactText:
        self.wanted.append(wanted)
        if wanted.file not in SOURCES:
            raise SourceUnavailable(f"There is no {wanted.file}.")
        return ArtifactText(SOURCES[wanted.file], "acme/digits/search:v3")


def read(text: str) -> SweepFile:
    file = draft_sweep_file(text, Defaults(name="s"), FewSources())
    file.problems.check()
    return file


def find_problems(text: str) -> dict[str, str]:
    with pytest.raises(InvalidSweepFile) as caught:
        read(text)
    return {error.field: error.message.partition(": ")[2] for error in caught.value.errors}


def list_notes(file: SweepFile) -> list[str]:
    return [note.partition(": ")[2] for note in file.notes]


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


@pytest.mark.parametrize(
    ("keys", "name", "value"),
    [
        ("launch: {queue: 7, priority: high}", "priority", 1),
        ("launch: {queue: 7, priority: 3}", "priority", 3),
        ("launch: {queue: 7}", "launch_queue", "7"),
        ("launch: {queue: q, template_variables: {gpus: 2}}", "template_variables", {"gpus": 2}),
        ("launch: {queue: q, resource: kubernetes}", "resource", "kubernetes"),
        (
            "launch: {queue: q, overrides: {entry_point: [python, a.py]}}",
            "entry_point",
            ["python", "a.py"],
        ),
        (
            'launch: {queue: q}\nprogram: a.py\ncommand: [python, "${program}"]',
            "entry_point",
            ["python", "a.py"],
        ),
        ("launch: {queue: q}\nwandb: {value: best}", "value", "best"),
        ("launch: {queue: q}\nqueue: mine", "queue", "mine"),
    ],
)
def test_what_the_queue_gets(keys: str, name: str, value: Any) -> None:
    document = read(LAUNCH.replace("launch: {queue: gpu}", keys) + "method: random\n").document

    assert document["launch"][name] == value
    CreateSweepBody.model_validate(document)


def test_an_image_may_be_launched() -> None:
    file = read(
        LAUNCH.replace("job: acme/digits/train:v1", "image_uri: train:v1") + "method: grid\n"
    )

    assert file.document["launch"]["image"] == "train:v1"


def test_the_same_in_every_run() -> None:
    overrides = (
        "launch: {queue: gpu, registry: {url: x}, overrides: {run_config: {epochs: 5, n: 9}}}"
    )
    file = read(LAUNCH.replace("launch: {queue: gpu}", overrides) + "method: random\n")

    assert file.document["space"].keys() == {"n", "epochs"}
    assert build_preview(file, "s").space.constants == {"epochs": 5}
    assert "As in W&B, the parameter of this name wins." in list_notes(file)
    assert any("registry of its own" in note for note in list_notes(file))


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


def test_engines_of_wandbs_sweep_scheduler() -> None:
    plain = read(ENGINE)
    optuna = read(f"{ENGINE}scheduler: {{engine: optuna}}\n")
    wandb = read(f"{ENGINE.replace('custom', 'grid')}scheduler: {{engine: wandb}}\n")

    assert (optuna.document, optuna.notes) == (plain.document, ())
    assert {"pruner", "parallelism", "sampler"}.isdisjoint(optuna.document)
    assert wandb.document["sampler"] == {"type": "GridSampler"}


def test_python_of_the_launch_scheduler() -> None:
    text = LAUNCH + "scheduler: {settings: {optuna_source: %s, sampler: {type: QMCSampler}}}\n"

    space, tools = read(text % "search.py"), read(text % "tools.py")

    assert space.document["python"] == {"source": SOURCES["search.py"]}
    assert "space" not in space.document
    assert space.document["sampler"] == {"type": "QMCSampler"}
    assert space.document["pruner"] == {"type": "MedianPruner"}
    assert any("the Python file declares the parameters" in each for each in list_notes(space))
    assert tools.document["python"] == {"source": SOURCES["tools.py"]}
    assert tools.document["space"].keys() == {"n"}
    assert {"sampler", "pruner"}.isdisjoint(tools.document)
    assert "As in W&B, that of the Python file counts." in list_notes(tools)


@pytest.mark.parametrize(
    "named",
    [
        "optuna_source: 'digits/search:latest'",
        "artifact: 'digits/search:latest'",
        "artifact: 'digits/search:latest', optuna_source: 'digits/search:latest'",
    ],
)
def test_python_in_an_artifact(named: str) -> None:
    sources = FewSources()
    settings = f"{{{named}, optuna_source_filename: search.py}}"
    text = f"{LAUNCH}entity: acme\nscheduler: {{settings: {settings}}}\n"

    file = draft_sweep_file(text, Defaults(name="s"), sources)

    file.problems.check()
    (wanted,) = sources.wanted
    assert (wanted.artifact, wanted.file) == ("digits/search:latest", "search.py")
    assert (wanted.entity, wanted.project) == ("acme", "digits")
    assert file.document["python"] == {"source": SOURCES["search.py"]}
    assert file.document["user_attrs"] == {
        "python_source": "wandb-artifact://acme/digits/search:v3/search.py"
    }
    assert "space" not in file.document
    assert file.document["pruner"] == {"type": "MedianPruner"}
    assert any("search.py of acme/digits/search:v3" in each for each in list_notes(file))


def test_a_file_needs_no_name_in_an_artifact() -> None:
    settings = "{optuna_source: search.py, optuna_source_filename: tools.py}"

    file = read(f"{LAUNCH}scheduler: {{settings: {settings}}}\n")

    assert file.document["python"] == {"source": SOURCES["search.py"]}
    assert "`optuna_source` is a file itself, so this has no effect." in list_notes(file)


def test_python_needs_no_parameters() -> None:
    text = "job: a/b/c:v1\nproject: p\nlaunch: {queue: q}\nmetric: {name: loss}\n"
    file = read(f"{text}scheduler: {{settings: {{optuna_source: search.py}}}}\n")

    assert file.dialect is Dialect.WANDB
    assert file.find_place("python.source") == file.places["python.source"]


def test_python_of_wandbs_sweep_scheduler() -> None:
    functions = "engine: optuna, source: search.py, search_space: objective, optimizer: build"

    file = read(f"{ENGINE}scheduler: {{{functions}}}\n")

    assert file.document["python"] == {
        "source": SOURCES["search.py"],
        "search_space": "objective",
        "optimizer": "build",
    }
    assert "space" not in file.document


@pytest.mark.parametrize(
    "scheduler",
    [
        "{engine: optuna, source: search.py, search_space: objective}",
        "{settings: {optuna_source: search.py}}",
        "{settings: {optuna_source: 'acme/digits/search:latest'}}",
    ],
)
def test_the_server_opens_no_file(scheduler: str) -> None:
    file = draft_sweep_file(f"{ENGINE}scheduler: {scheduler}\n", Defaults(name="s"))

    (error,) = file.problems.to_error().errors
    assert re.search("`asktell sweep run` .*sends the text.* under `python: ", error.message)


def test_python_in_our_own_form() -> None:
    body = {
        "direction": "minimize",
        "python": {"source": SOURCES["search.py"], "objective": "objective"},
        "launch": {"program": "train.py"},
    }

    assert read(json.dumps(body)).document == body | {"name": "s"}


@pytest.mark.parametrize(
    ("metric", "method", "sampler"),
    [
        (
            "impute: worst",
            "bayes",
            {"base_sampler": {"type": "TPESampler"}, "failed": "worst"},
        ),
        (
            "impute_while_running: latest",
            "custom",
            {"base_sampler": {"type": "TPESampler"}, "running": "latest"},
        ),
        (
            "impute: best, impute_while_running: best",
            "custom\nsampler: {type: CmaEsSampler, args: {popsize: 5}}",
            {
                "base_sampler": {"type": "CmaEsSampler", "args": {"popsize": 5}},
                "failed": "best",
                "running": "best",
            },
        ),
        ("impute: latest, impute_while_running: 'false'", "random", None),
        ("impute_while_running: false", "bayes", None),
    ],
)
def test_trials_without_a_value_count_as_the_metric_says(
    metric: str, method: str, sampler: Any
) -> None:
    text = ENGINE.replace("name: loss", f"name: loss, {metric}").replace("custom", method)

    file = read(text)

    found = file.document.get("sampler", {})
    assert (found.get("type") == "ImputingSampler") == (sampler is not None)
    assert found.get("args") == sampler
    assert any("learns nothing from trials" in each for each in list_notes(file)) == (
        method == "random"
    )
    build_preview(file, "s")


def test_a_sampler_that_cannot_impute_is_named_where_it_is() -> None:
    text = ENGINE.replace("loss", "loss, impute: worst") + "sampler: {type: QMCSampler}\n"

    with pytest.raises(InvalidSweepFile) as caught:
        build_preview(read(text), "s")

    (error,) = caught.value.errors
    assert error.field.startswith("sampler")
    assert "line 5: This must be one of TPESampler" in error.message


@pytest.mark.parametrize(
    ("metric", "key", "words"),
    [
        ("impute: mean", "metric.impute", 'latest, best, worst, not "mean"'),
        ("impute: false", "metric.impute", "not false"),
        ("impute_while_running: never", "metric.impute_while_running", "latest, best, worst"),
    ],
)
def test_odd_words_for_imputing(metric: str, key: str, words: str) -> None:
    (found,) = find_problems(ENGINE.replace("loss", f"loss, {metric}")).items()

    assert found[0] == key
    assert words in found[1]


def test_the_command_line_reads_what_is_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "search.py").write_text(SOURCES["search.py"])
    text = f"{LAUNCH}scheduler: {{settings: {{optuna_source: ./search.py}}}}\n"

    found = draft_wished(text, Wishes(), name="s", directory=str(tmp_path))
    lacking = draft_wished(text, Wishes(), name="s", directory=str(tmp_path / "elsewhere"))

    assert found.document["python"] == {"source": SOURCES["search.py"]}
    assert "cannot be read: No such file" in lacking.problems.to_error().message


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


def test_the_method_bayes_is_no_gaussian_process_where_python_declares_the_parameters() -> None:
    text = f"{LAUNCH}scheduler: {{settings: {{method: bayes, optuna_source: search.py}}}}\n"

    file = draft_sweep_file(text, Defaults(name="s", has_gp=True), FewSources())

    assert file.document["sampler"] == {"type": "TPESampler"}
    assert any("TPESampler here: of parameters that Python declares" in each for each in file.notes)
